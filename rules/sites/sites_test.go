package sites

import (
	"strings"
	"testing"
)

func table(t *testing.T) *Table {
	t.Helper()
	s, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheShippedTableKnowsTheClassOfNamesAndOfWhatIsBelowThem(t *testing.T) {
	s := table(t)
	for host, want := range map[string]Class{
		"bit.ly": Shortener, "x.page.link": Shortener | Cheap, "docs.google.com": Hosting, "mail.google.com": Redirector, "gmail.com": Freemail,
		"eu.safelinks.protection.outlook.com": Rewriter, "outlook.com": Freemail, "a.b.storage.googleapis.com": Bucket,
		"example.com": 0, "example.xyz": Cheap, "xyz": Cheap, "notbit.ly": 0, "paypal.us.com": Cheap, "": 0,
	} {
		if got := s.Class(host); got != want {
			t.Errorf("%s: %b, want %b", host, got, want)
		}
	}
	if !s.Class("bit.ly").Is(Shortener|Image) || s.Class("bit.ly").Is(Freemail) {
		t.Error("Is does not look at each class")
	}
}

func TestAContradictionIsAnError(t *testing.T) {
	for _, text := range []string{"toys a.example", "image a.example A.example", "image a.example\nimage a.example", "image example", "image .example", "freemail a..b", "image a_b.example"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if _, err := Parse("image a.example # why\n\n# nothing\nhosting a.example"); err != nil {
		t.Error(err)
	}
}

func TestEveryGroupSaysWhereItComesFrom(t *testing.T) {
	comment := false
	for i, line := range strings.Split(shipped, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			comment = true
		case strings.TrimSpace(line) == "":
			comment = false
		case !comment:
			t.Errorf("line %d stands in a group without a reason", i+1)
		}
	}
}

func BenchmarkClass(b *testing.B) {
	s, _ := Shipped()
	for b.Loop() {
		s.Class("click.mail.newsletter.example.com")
	}
}
