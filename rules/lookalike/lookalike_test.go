package lookalike

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func table(t testing.TB) *Table {
	t.Helper()
	l, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFoldReadsWhatAReaderReads(t *testing.T) {
	l := table(t)
	for in, want := range map[string]string{
		"PayPal": "paypal", "раураӏ": "paypal", "Аррӏе": "apple", "ＭＩＣＲＯＳＯＦＴ": "microsoft", "𝗪𝗲𝗹𝗰𝗼𝗺𝗲": "welcome", "ᴜ́ʟᴛɪᴍᴏ": "ultimo",
		"V\u2069e\u2069r\u2069ify": "verify", "Ap\u200bple": "apple", "Ρeρe": "pepe", "ΗSΒC": "hsbc", "Straße": "straße", "Müller": "muller", "北京": "北京",
		"a\tb": "a b", "": "", "ﬁle": "file",
	} {
		if got := l.Fold(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNamesThatLookAlikeHaveOneSkeletonAndOthersNot(t *testing.T) {
	l := table(t)
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"paypal", "paypaI", true}, {"paypal", "paypa1", true}, {"microsoft", "rnicrosoft", true}, {"google", "g00gle", true}, {"wells", "vvells", true},
		{"apple", "аррӏе", true}, {"paypal", "paypals", false}, {"corn", "com", true}, {"example", "exarnple", true}, {"example", "exanple", false}, {"bank", "dank", false},
	} {
		if got := l.Skeleton(c.a) == l.Skeleton(c.b); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestNearIsOneSlip(t *testing.T) {
	for _, c := range []struct {
		a, b string
		near bool
	}{
		{"example", "exmaple", true}, {"example", "examples", true}, {"example", "exmple", true}, {"example", "exanple", true},
		{"example", "example", false}, {"example", "exmapel", false}, {"", "a", true}, {"ab", "ba", true}, {"a", "b", true}, {"ab", "cd", false}, {"abc", "a", false},
	} {
		if Near(c.a, c.b) != c.near || Near(c.b, c.a) != c.near {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.near)
		}
	}
}

func TestAWordOfSeveralAlphabetsIsMixedAndAWordOfALanguageIsNot(t *testing.T) {
	l := table(t)
	for word, want := range map[string]bool{"pаypal": true, "microsоft": true, "αpple": true, "bücher": false, "москва": false, "東京tower": false, "삼성shop": false, "ελλάδα": false, "plain": false, "": false} {
		if Mixed(word) != want {
			t.Errorf("%s: want %v", word, want)
		}
	}
	for word, want := range map[string]bool{"аррӏе": true, "сосо": true, "москва": false, "apple": false, "аpple": false, "北京": false, "а": false} {
		if l.Disguised(word) != want {
			t.Errorf("disguised %s: want %v", word, want)
		}
	}
}

func TestATableThatContradictsItselfIsAnError(t *testing.T) {
	for _, text := range []string{"a = а\nb ~ а", "A = а", "ab = а", "a = b", "a = аа", "a = \xff", "a а", "a ="} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// H-11: the cost of folding is bounded, whatever comes.
func TestOnlyTheBeginningOfALongTextIsFolded(t *testing.T) {
	l := table(t)
	long := strings.Repeat("\u0301а", 1<<20)
	if n := len(l.Fold(long)); n > maxFolded {
		t.Errorf("%d octets", n)
	}
	if n := testing.AllocsPerRun(10, func() { l.Skeleton(long) }); n > 10 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSkeleton(f *testing.F) {
	for _, s := range []string{"paypal", "аррӏе", "ﬁ\u0301\u200b", "\xff\xfe", "ß𝗪|vvrn"} {
		f.Add(s)
	}
	l := table(f)
	f.Fuzz(func(t *testing.T, s string) {
		fold := l.Fold(s)
		if utf8.ValidString(s) && len(s) <= maxFolded && !utf8.ValidString(fold) {
			t.Errorf("%q folds to what is no text: %q", s, fold)
		}
		if len(fold) > 18*maxFolded {
			t.Errorf("%d octets of %d", len(fold), len(s))
		}
		if again := l.Fold(fold); len(fold) <= maxFolded && ascii(fold) && again != fold {
			t.Errorf("%q folds again to %q", fold, again)
		}
		l.Skeleton(s)
		l.Disguised(s)
		Mixed(s)
	})
}

func BenchmarkSkeleton(b *testing.B) {
	l := table(b)
	b.ReportAllocs()
	for b.Loop() {
		l.Skeleton("rnicrosoft-online")
		l.Skeleton("аррӏе")
	}
}
