package rules

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// A need is what every match of an expression holds.
type need struct {
	whole []string   // the match is one of these; nil if it could be too many things
	parts [][]string // of each list, the match holds at least one
}

// maxWhole bounds the texts that a need spells out.
const maxWhole = 32

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
	var parts [][]string
	open := true // all was spelled out so far
	for _, s := range subs {
		n := required(s)
		if n.whole != nil {
			if joined := product(run.whole, n.whole); joined != nil {
				run.whole = joined
				continue
			}
		}
		open = false
		parts = append(parts, run.all()...)
		run.whole = []string{""}
		if n.whole != nil {
			run.whole = n.whole
		} else {
			parts = append(parts, n.all()...)
		}
	}
	if open {
		return run
	}
	return need{parts: append(parts, run.all()...)}
}

// alternate is one of several; one that holds nothing long enough lets everything through.
func alternate(subs []*syntax.Regexp) need {
	var whole, part []string
	spelled, telling := true, true
	for _, s := range subs {
		n := required(s)
		spelled = spelled && n.whole != nil && len(whole)+len(n.whole) <= maxWhole
		if spelled {
			whole = append(whole, n.whole...)
		}
		b := n.best()
		telling = telling && b != nil && len(part)+len(b) <= maxChoices
		if telling {
			part = append(part, b...)
		}
	}
	if !spelled {
		whole = nil
	}
	n := need{whole: whole}
	if telling && len(part) > 0 {
		n.parts = [][]string{part}
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
func (n need) all() [][]string {
	var list [][]string
	for _, p := range n.parts {
		if shortest(p) >= minLiteral {
			list = append(list, cut(p))
		}
	}
	if shortest(n.whole) >= minLiteral {
		list = append(list, cut(n.whole))
	}
	return list
}

// best is the most telling of all: the one whose shortest text is the longest; nil if there is none.
func (n need) best() []string {
	var best []string
	for _, p := range n.all() {
		if l, b := shortest(p), shortest(best); l > b || l == b && len(p) < len(best) {
			best = p
		}
	}
	return best
}

// telling are the most telling lists, at most maxNeeds.
func (n need) telling() [][]string {
	list := n.all()
	slices.SortStableFunc(list, func(a, b []string) int { return shortest(b) - shortest(a) })
	return list[:min(len(list), maxNeeds)]
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
