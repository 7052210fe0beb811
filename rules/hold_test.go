package rules

import (
	"regexp"
	"regexp/syntax"
	"testing"
)

// A text in which package regexp finds an expression has some octet of each set that the expression is said to hold; and what
// settles most texts is found.
func FuzzTextsThatMatchHoldTheirOctets(f *testing.F) {
	for _, c := range [][2]string{
		{`[a-z]{3,} [0-9]{5,}$`, "order 12345"}, {`\$\$\$|!!!|>>>`, "now!!!"}, {`(?i)k[^a]é`, "Kxé"}, {`^<>$`, "<>"}, {`@([a-z.]+\.)?(x|y)\.com>`, "<a@b.x.com>"},
		{`[\x{1F300}-\x{1FAFF}]`, "🎁"}, {`(a|b|)c*`, ""}, {"\ufffd", "\xff"}, {`(?:ab){0,2}(?:cd)+`, "cd"}, {`[^\n]`, "\xfe"},
	} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		tree, err := syntax.Parse(source, syntax.Perl)
		if err != nil || len(source) > 200 || len(text) > 200 {
			return
		}
		re, err := regexp.Compile(source)
		if err != nil {
			return
		}
		list := holds(tree)
		if len(list) > maxHolds {
			t.Fatalf("%q holds %d sets", source, len(list))
		}
		if there := octetsOf(text); re.MatchString(text) && !there.meetAll(list) {
			t.Fatalf("%q is in %q, which has none of %x", source, text, list)
		}
	})
}

func TestWhatIsHeldSettlesMostTexts(t *testing.T) {
	for source, text := range map[string]string{
		`[a-z]{3,} [0-9]{5,}$`: "an ordinary subject", `\$\$\$|!!!|>>>`: "an ordinary subject", `^<>$`: "ann@b.example", `[\x{1F300}-\x{1FAFF}]`: "an ordinary subject",
		`@([a-z.]+\.)?(google|apple)\.com>`: "an ordinary subject",
	} {
		tree, err := syntax.Parse(source, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if there := octetsOf(text); there.meetAll(holds(tree)) {
			t.Errorf("%s is tried on %q", source, text)
		}
	}
}
