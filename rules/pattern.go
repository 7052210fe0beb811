package rules

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// The bounds of one pattern.
const (
	maxPattern = 1000 // octets as written
	maxMatch   = 4096 // octets that a regular expression may match
	maxProgram = 2000 // steps of a regular expression, each as often as it may be repeated
	minLiteral = 3    // octets of a fixed text by which a pattern is looked for
	maxLiteral = 16   // octets of it that are looked for
	maxClass   = 1024 // letters of a class that are folded one by one
	maxChoices = 100  // fixed texts of which a match holds at least one
	maxAlso    = 2    // lists of them that are asked for where one of another stands…
	maxBeside  = 4    // …of at most so many texts
)

// A pattern is one phrase or regular expression, compiled.
type pattern struct {
	source string
	exact  bool     // letters as written: no folding
	places placeSet // where it is looked for

	phrase      string // folded; empty for a regular expression
	left, right bool   // the phrase must begin, or end, at the border of a word

	program *program
	reach   most
	unbound error    // a match may have any length, which only short places allow
	holds   []octets // of each of which a match holds one

	// Fixed texts, folded, of which a match holds at least one. None: the pattern is tried on every text of its places.
	needs list   // its words only until the patterns are linked
	also  []list // other such texts, which are rarely there

	words []int32 // of needs, by number
}

// newPattern compiles what a rule wrote: /a regular expression/, or a phrase.
func newPattern(source string, exact bool) (*pattern, error) {
	if len(source) > maxPattern {
		return nil, fmt.Errorf("the pattern has %d octets; the most is %d", len(source), maxPattern)
	}
	p := &pattern{source: source, exact: exact}
	if len(source) > 1 && source[0] == '/' && source[len(source)-1] == '/' {
		return p, p.expression(source[1 : len(source)-1])
	}
	return p, p.ofWords(source)
}

// ofWords compiles a phrase.
func (p *pattern) ofWords(s string) error {
	rest, open := strings.CutPrefix(s, "*")
	rest, after := strings.CutSuffix(rest, "*")
	p.left, p.right = !open, !after
	p.phrase = rest
	if !p.exact {
		p.phrase = Fold(rest)
	}
	p.phrase = strings.TrimSpace(p.phrase)
	if strings.Contains(p.phrase, "*") {
		return errors.New(`a * stands only at the beginning or the end of a phrase; write a regular expression between slashes: /free .{0,20}money/`)
	}
	if len(p.phrase) < minLiteral && !p.exact || p.phrase == "" {
		return fmt.Errorf("the phrase %q is too short to be looked for: it needs %d letters", s, minLiteral)
	}
	p.reach = most{len(p.phrase), len(p.phrase)}
	if !p.exact {
		p.needs = list{words: cut([]string{p.phrase})}
	}
	return nil
}

// expression compiles a regular expression.
func (p *pattern) expression(s string) error {
	flags := syntax.Perl
	if !p.exact {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(s, flags)
	if err != nil {
		return fmt.Errorf("the regular expression cannot be read: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	if !p.exact {
		tree = folded(tree)
	}
	if !known(tree) {
		return errors.New(`\B and (?m) are not supported here: texts are folded into one line`)
	}
	p.reach = mostOf(tree)
	_, p.unbound = reach(tree, utf8.UTFMax)
	if matchesNothing(tree, false) {
		return errors.New("the regular expression matches an empty text, so it is everywhere")
	}
	if size(tree)+2 > maxProgram {
		return fmt.Errorf("the regular expression is too large: more than %d steps; shorten its repetitions", maxProgram)
	}
	p.program = newProgram(tree)
	if !p.exact && p.unbound == nil && !anchored(tree) {
		p.needs, p.also = required(tree).telling()
	}
	if !p.local() {
		p.holds = holds(tree)
	}
	return nil
}

// local reports whether a match can be found by looking near the pattern's fixed texts, however long the text is.
func (p *pattern) local() bool { return p.needs.words != nil || p.words != nil }

// folded gives the letters of a tree the form that they have in a folded text.
func folded(t *syntax.Regexp) *syntax.Regexp {
	switch t.Op {
	case syntax.OpLiteral:
		t.Rune = []rune(Fold(string(t.Rune)))
		if len(t.Rune) == 0 {
			t.Op = syntax.OpEmptyMatch
		}
	case syntax.OpCharClass:
		t.Rune = foldedClass(t.Rune)
	}
	t.Flags &^= syntax.FoldCase
	for i, sub := range t.Sub {
		t.Sub[i] = folded(sub)
	}
	return t
}

// foldedClass adds to a class, which is given as ranges, the letters that its letters are folded to: /(а|о)/ and /[а-я]/ of
// the Cyrillic alphabet hold those that look like Latin ones too. A class of more than maxClass letters is left as it is.
func foldedClass(ranges []rune) []rune {
	size := 0
	for i := 0; i+1 < len(ranges); i += 2 {
		size += int(ranges[i+1]-ranges[i]) + 1
	}
	if size > maxClass {
		return ranges
	}
	var all []rune
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			all = append(all, r)
			if to := []rune(Fold(string(r))); len(to) == 1 && to[0] != r {
				all = append(all, to[0])
			}
		}
	}
	slices.Sort(all)
	var merged []rune
	for _, r := range slices.Compact(all) {
		if n := len(merged); n > 0 && merged[n-1] == r-1 {
			merged[n-1] = r
		} else {
			merged = append(merged, r, r)
		}
	}
	return merged
}

// known reports whether the tree holds only what can be looked for in a piece of a text.
func known(t *syntax.Regexp) bool {
	switch t.Op {
	case syntax.OpNoWordBoundary, syntax.OpBeginLine, syntax.OpEndLine:
		return false
	}
	for _, sub := range t.Sub {
		if !known(sub) {
			return false
		}
	}
	return true
}

// anchored reports whether the tree asks for the beginning or the end of the text.
func anchored(t *syntax.Regexp) bool {
	if t.Op == syntax.OpBeginText || t.Op == syntax.OpEndText {
		return true
	}
	for _, sub := range t.Sub {
		if anchored(sub) {
			return true
		}
	}
	return false
}

// matchesNothing reports whether the tree matches the empty text; at edges also where it asks for a place.
func matchesNothing(t *syntax.Regexp, edges bool) bool {
	nothing := func(sub *syntax.Regexp) bool { return matchesNothing(sub, edges) }
	switch t.Op {
	case syntax.OpEmptyMatch, syntax.OpStar, syntax.OpQuest:
		return true
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary:
		return edges
	case syntax.OpRepeat:
		return t.Min == 0 || nothing(t.Sub[0])
	case syntax.OpCapture, syntax.OpPlus:
		return nothing(t.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(t.Sub, func(s *syntax.Regexp) bool { return !nothing(s) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(t.Sub, nothing)
	}
	return false
}

// reach is the most octets that a match of the tree has in a text whose letters have at most wide octets.
func reach(t *syntax.Regexp, wide int) (int, error) {
	n, err := 0, error(nil)
	add := func(more int) {
		if n += more; n > maxMatch && err == nil {
			err = fmt.Errorf("a match may be longer than %d octets: bound repetitions, as in .{0,200} in place of .*", maxMatch)
		}
	}
	subs := func() int {
		sum := 0
		for _, s := range t.Sub {
			m, e := reach(s, wide)
			if e != nil && err == nil {
				err = e
			}
			if t.Op == syntax.OpAlternate {
				sum = max(sum, m)
			} else {
				sum += m
			}
		}
		return sum
	}
	switch t.Op {
	case syntax.OpLiteral:
		add(len(string(t.Rune)))
	case syntax.OpCharClass:
		if len(t.Rune) > 0 {
			add(min(utf8.RuneLen(t.Rune[len(t.Rune)-1]), wide))
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		add(wide)
	case syntax.OpStar, syntax.OpPlus:
		if m := subs(); m > 0 {
			add(maxMatch + 1)
		}
	case syntax.OpRepeat:
		if t.Max < 0 {
			add(maxMatch + 1)
		} else {
			add(subs() * t.Max)
		}
	default:
		add(subs())
	}
	return n, err
}
