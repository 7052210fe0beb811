package rules

import "testing"

// Words that stand in every letter count as more usual than their letters tell, and so does what holds them; the rarest counts
// as before.
func TestUsualWordsAreMoreOftenThanTheirLettersTell(t *testing.T) {
	for _, c := range []struct{ more, less string }{
		{"from", "fron"}, {"your", "yoru"}, {"mail", "mial"}, {"for", "fro"}, {"e-mail", "e-mial"}, {"http", "htpt"}, {"you ", "yuo "},
	} {
		if often(c.more) <= often(c.less) || often(c.more) > 1 {
			t.Errorf("%q %g, %q %g", c.more, often(c.more), c.less, often(c.less))
		}
	}
	if w := "zyxq"; often(w) != byLetters(w) {
		t.Errorf("%q: %g, not %g", w, often(w), byLetters(w))
	}
	for w, times := range underrated {
		if times <= 1 || len(w) != 3 && len(w) != 4 {
			t.Errorf("%q is not underrated: %g", w, times)
		}
	}
}
