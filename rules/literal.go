package rules

import (
	"cmp"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// A need is what every match of an expression holds.
type need struct {
	whole []string // the match is one of these; nil if it could be too many things
	parts []list   // of each, the match holds at least one
}

// A list is fixed texts of which a match holds at least one.
type list struct {
	words []string
	lead  most // of the match, before it
}

// A most is how many octets something has at most: in any text, and in one of ASCII alone.
type most struct{ any, ascii int }

func (n most) add(more most) most { return most{n.any + more.any, n.ascii + more.ascii} }

// in is the number for a text.
func (n most) in(ascii bool) int {
	if ascii {
		return n.ascii
	}
	return n.any
}

// mostOf is how many octets a match of a tree has at most.
func mostOf(t *syntax.Regexp) most {
	wide, _ := reach(t, utf8.UTFMax)
	narrow, _ := reach(t, 1)
	return most{wide, narrow}
}

// maxWhole bounds the texts that a need spells out.
const maxWhole = 64

// required finds what every match of a tree holds.
func required(t *syntax.Regexp) need {
	switch t.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary:
		return need{whole: []string{""}}
	case syntax.OpLiteral:
		return need{whole: []string{string(t.Rune)}}
	case syntax.OpCharClass:
		return class(t.Rune)
	case syntax.OpCapture:
		return required(t.Sub[0])
	case syntax.OpQuest:
		n := required(t.Sub[0])
		if n.whole == nil {
			return need{}
		}
		return need{whole: limited(append([]string{""}, n.whole...))}
	case syntax.OpPlus:
		return need{parts: required(t.Sub[0]).all()}
	case syntax.OpRepeat:
		return repeat(t)
	case syntax.OpConcat:
		return concat(t.Sub)
	case syntax.OpAlternate:
		return alternate(t.Sub)
	}
	return need{}
}

// class spells out a small class of letters; those that never stand in a folded text are left out.
func class(ranges []rune) need {
	var whole []string
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i+1]-ranges[i] > 64 {
			return need{}
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			s := string(r)
			if Fold(s) != s {
				continue
			}
			if len(whole) == 8 {
				return need{}
			}
			whole = append(whole, s)
		}
	}
	return need{whole: whole}
}

// repeat is a counted repetition.
func repeat(t *syntax.Regexp) need {
	switch {
	case t.Min == 0:
		return need{}
	case t.Min == t.Max && t.Min <= 4:
		subs := make([]*syntax.Regexp, t.Min)
		for i := range subs {
			subs[i] = t.Sub[0]
		}
		return concat(subs)
	}
	return need{parts: required(t.Sub[0]).all()}
}

// concat joins what stands one behind the other as long as it can be spelled out, and keeps all of it that tells something.
func concat(subs []*syntax.Regexp) need {
	run := need{whole: []string{""}}
	var parts []list
	open := true           // all was spelled out so far
	var before, start most // before s, and before what run spells out
	for _, s := range subs {
		n := required(s)
		long := mostOf(s)
		if n.whole != nil {
			if joined := product(run.whole, n.whole); joined != nil {
				run.whole = joined
				before = before.add(long)
				continue
			}
		}
		open = false
		parts = append(parts, behind(run.all(), start)...)
		run.whole, start = []string{""}, before
		if n.whole != nil {
			run.whole = n.whole
		} else {
			parts = append(parts, behind(n.all(), before)...)
			start = before.add(long)
		}
		before = before.add(long)
	}
	if open {
		return run
	}
	return need{parts: append(parts, behind(run.all(), start)...)}
}

// behind are lists of what stands behind others.
func behind(lists []list, before most) []list {
	for i := range lists {
		lists[i].lead = lists[i].lead.add(before)
	}
	return lists
}

// alternate is one of several; one that holds nothing long enough lets everything through.
func alternate(subs []*syntax.Regexp) need {
	var whole []string
	var part list
	spelled, telling := true, true
	for _, s := range subs {
		n := required(s)
		spelled = spelled && n.whole != nil && len(whole)+len(n.whole) <= maxWhole
		if spelled {
			whole = append(whole, n.whole...)
		}
		b := n.best()
		telling = telling && b.words != nil && len(part.words)+len(b.words) <= maxChoices
		if telling {
			part = list{append(part.words, b.words...), most{max(part.lead.any, b.lead.any), max(part.lead.ascii, b.lead.ascii)}}
		}
	}
	if !spelled {
		whole = nil
	}
	n := need{whole: whole}
	if telling && len(part.words) > 0 {
		n.parts = []list{part}
	}
	return n
}

// product joins every a with every b; nil if there are too many.
func product(a, b []string) []string {
	if len(a)*len(b) > maxWhole {
		return nil
	}
	list := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			list = append(list, x+y)
		}
	}
	return list
}

func limited(list []string) []string {
	if len(list) > maxWhole {
		return nil
	}
	return list
}

// all are the lists that tell something: those whose shortest text is long enough to be looked for.
func (n need) all() []list {
	var lists []list
	for _, p := range n.parts {
		if shortest(p.words) >= minLiteral {
			lists = append(lists, list{fewest(cut(p.words)), p.lead})
		}
	}
	if shortest(n.whole) >= minLiteral {
		lists = append(lists, list{words: fewest(cut(n.whole))})
	}
	return lists
}

// best is the one of all that costs least to look for; without words if there is none.
func (n need) best() list {
	var best list
	for _, p := range n.all() {
		if best.words == nil || p.cost() < best.cost() {
			best = p
		}
	}
	return best
}

// telling is the list that is best looked for, and others that are seldom there.
func (n need) telling() (best list, also []list) {
	lists := n.all()
	slices.SortStableFunc(lists, func(a, b list) int { return cmp.Compare(a.cost(), b.cost()) })
	if len(lists) == 0 {
		return list{}, nil
	}
	for _, l := range lists[1:] {
		if len(also) < maxAlso && len(l.words) <= maxBeside && l.often() < maxOften {
			also = append(also, l)
		}
	}
	return lists[0], also
}

// maxOften is how often what is asked for beside the best list may stand in ordinary mail: once in so many octets.
const maxOften = 1.0 / 2000

// often is about how often one of the words stands at a place of ordinary mail.
func (l list) often() float64 {
	sum := 0.0
	for _, w := range l.words {
		sum += often(w)
	}
	return sum
}

// cost compares lists by what it costs to look for them: where one of the words stands, the expression is tried at every
// place that a match could begin at.
func (l list) cost() float64 { return l.often() * float64(8+min(l.lead.ascii, maxMatch)) }

// dear is the cost from which on a list is worth a note.
const dear = 0.02

// complaint says what makes a list dear.
func (l list) complaint() string {
	worst := slices.MaxFunc(l.words, func(a, b string) int { return cmp.Compare(often(a), often(b)) })
	near := ""
	if l.lead.ascii > 0 {
		near = fmt.Sprintf(" and a match may begin at up to %d places before one,", l.lead.ascii)
	}
	return fmt.Sprintf("this pattern slows every message: of the fixed texts that it is looked for by, such as %q, one stands in about %.0f octets of ordinary mail,%s and there the pattern is tried; hold a longer text or a rarer one, nearer to the beginning", worst, 1/l.often(), near)
}

// shortest is the length of the shortest text, up to the length that is looked for.
func shortest(list []string) int {
	if len(list) == 0 || len(list) > maxChoices {
		return 0
	}
	n := maxLiteral
	for _, s := range list {
		if strings.TrimSpace(s) == "" {
			return 0
		}
		n = min(n, len(s))
	}
	return n
}

// cut shortens texts to what is looked for, between letters.
func cut(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		if len(s) > maxLiteral {
			n := maxLiteral
			for !utf8.RuneStart(s[n]) {
				n--
			}
			s = s[:n]
		}
		out[i] = s
	}
	return out
}

// fewest leaves out the words that begin with another one: where they stand, it does.
func fewest(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	kept := words[:0]
	for _, w := range words {
		if n := len(kept); n == 0 || !strings.HasPrefix(w, kept[n-1]) {
			kept = append(kept, w)
		}
	}
	return kept
}
