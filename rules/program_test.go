package rules

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// A grower makes an expression of octets, so that a fuzzer finds its way among expressions that can be read.
type grower struct{ octets []byte }

func (g *grower) next(n int) int {
	if len(g.octets) == 0 {
		return 0
	}
	b := g.octets[0]
	g.octets = g.octets[1:]
	return int(b) % n
}

func (g *grower) expression(depth int) string {
	if depth == 0 || len(g.octets) == 0 {
		return []string{"a", "b", "ab", "[ab]", ".", "é", "汉", " ", `\b`, "[^a]", "[a-zé-ü]", "^", "$", `\w`, "(?i:K)", "bab"}[g.next(16)]
	}
	one := func() string { return g.expression(depth - 1) }
	switch g.next(12) {
	case 0, 1, 2:
		return one() + one()
	case 3:
		return one() + one() + one()
	case 4, 5:
		return "(" + one() + "|" + one() + ")"
	case 6:
		return "(" + one() + "|" + one() + "|" + one() + ")"
	case 7:
		return "(?:" + one() + ")" + []string{"*", "+", "?", "*?", "+?", "??"}[g.next(6)]
	case 8, 9:
		return one() + ".{0," + itoa(g.next(6)) + "}" + []string{"", "?"}[g.next(2)] + one()
	case 10:
		least := g.next(3)
		return "(" + one() + "){" + itoa(least) + "," + itoa(least+g.next(4)) + "}" + []string{"", "?"}[g.next(2)]
	}
	return "(?:" + one() + "){" + itoa(g.next(4)) + ",}"
}

// A program finds what package regexp finds, and so it does when it remembers what failed from the beginning.
func FuzzProgramsMatchAsPackageRegexpDoes(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		tree, text := make([]byte, 4+rnd.IntN(30)), make([]byte, rnd.IntN(24))
		for _, list := range [][]byte{tree, text} {
			for i := range list {
				list[i] = byte(rnd.IntN(256))
			}
		}
		f.Add(tree, text)
	}
	f.Add([]byte("877B8C8"), []byte("770")) // a loop over an edge
	f.Fuzz(func(t *testing.T, tree, letters []byte) {
		if len(tree) > 200 || len(letters) > 300 {
			return
		}
		var b strings.Builder
		for _, c := range letters {
			b.WriteString([]string{"a", "b", " ", "ab", "é", "汉", "\n", "\xff", "_", "k", "\u212a", "\xe6\xb1", "c"}[c%13])
		}
		source, text := (&grower{tree}).expression(4), b.String()
		p, err := newPattern("/"+source+"/", true)
		if err != nil {
			return
		}
		want := regexp.MustCompile(source).FindStringIndex(text)
		for _, memory := range []bool{false, true} {
			m := &matcher{}
			w := window{0, 0, int32(len(text))}
			if memory {
				m.runner.remember(p.program, len(text), len(text), 0)
				m.runner.until = len(text) + 1
			}
			var got []int
			if start, end := m.search(p, []byte(text), w, len(text)); end >= 0 {
				got = []int{start, end}
			}
			if !slices.Equal(got, want) || m.spent {
				t.Fatalf("/%s/ in %q: %v, package regexp %v; memory %v", source, text, got, want, memory)
			}
		}
	})
}

// What takes long at one place is done with a memory, and takes no longer than the steps times the octets.
func TestTheWorkOfAProgramIsLinear(t *testing.T) {
	for _, source := range []string{`(a|a)*b`, `(a*)*b`, `a{0,50}a{0,50}a{0,50}a{0,50}b`, `(aa?){0,60}b`, `.*.*.*.*b`, `(\w+ ?)+$`} {
		p, err := newPattern("/"+source+"/", true)
		if err != nil {
			t.Fatal(err)
		}
		text := []byte(strings.Repeat("a", maxShort) + "-")
		m := &matcher{}
		if _, end := m.search(p, text, window{0, 0, int32(len(text))}, len(text)); end != noMatch || m.spent {
			t.Fatalf("%s: %d %v", source, end, m.spent)
		}
		if most := 16 * size(mustParse(t, source)) * len(text); m.runner.work > most {
			t.Errorf("%s: %d steps, more than %d", source, m.runner.work, most)
		}
	}
}

func mustParse(t *testing.T, source string) *syntax.Regexp {
	t.Helper()
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// What is counted as steps before a program is made is no less than what package regexp needs.
func TestTheSizeOfAnExpressionIsKnownBeforeItIsCompiled(t *testing.T) {
	s := shippedSet(t)
	for i := range s.patterns {
		p := &s.patterns[i]
		if p.program == nil {
			continue
		}
		tree := mustParse(t, "(?i)"+p.source[1:len(p.source)-1])
		prog, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if got := size(tree) + 2; got < len(prog.Inst)-2 || got > 2*len(prog.Inst) || len(p.program.steps) > got {
			t.Errorf("%s: %s", p.source, fmt.Sprintf("%d steps, in package regexp %d, in ours %d", got, len(prog.Inst), len(p.program.steps)))
		}
	}
}
