package rules

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// A need is what every match of an expression holds.
type need struct {
	whole []string // the match is one of these; nil if it could be too many things
	part  []string // the match holds at least one of these; nil if nothing is known
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
		return need{part: required(t.Sub[0]).best()}
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
	return need{part: required(t.Sub[0]).best()}
}

// concat joins what stands one behind the other as long as it can be spelled out, and keeps the best of the rest.
func concat(subs []*syntax.Regexp) need {
	run := need{whole: []string{""}}
	var best []string
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
		best = better(best, run.whole)
		best = better(best, n.best())
		run.whole = []string{""}
		if n.whole != nil {
			run.whole = n.whole
		}
	}
	if open {
		return run
	}
	return need{part: better(best, run.whole)}
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
	if !telling {
		part = nil
	}
	return need{whole: whole, part: part}
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

// best is the most telling list of which a match holds one; nil if there is none.
func (n need) best() []string { return better(n.part, n.whole) }

// better is the one of two lists whose shortest text is longer, cut to the length that is looked for; nil if neither is
// long enough.
func better(a, b []string) []string {
	la, lb := shortest(a), shortest(b)
	switch {
	case la < minLiteral && lb < minLiteral:
		return nil
	case la > lb || la == lb && len(a) <= len(b):
		return cut(a)
	}
	return cut(b)
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
