package rules

import (
	"cmp"
	"math/bits"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// maxHolds is how many sets of octets are asked for before an expression is tried on a whole text.
const maxHolds = 3

// holds are sets of octets of each of which every match of the tree holds one, the rarest in mail first. Where a text has none
// of a set, it need not be tried.
func holds(t *syntax.Regexp) []octets {
	list := held(t)
	slices.SortStableFunc(list, func(a, b octets) int { return cmp.Compare(a.often(), b.often()) })
	list = slices.Compact(list)
	return slices.Clip(list[:min(len(list), maxHolds)])
}

// held are all sets that are known to be held.
func held(t *syntax.Regexp) []octets {
	switch t.Op {
	case syntax.OpLiteral:
		var list []octets
		for _, r := range t.Rune {
			list = append(list, beginningsOf(oneLetter(r, t.Flags)))
		}
		return list
	case syntax.OpCharClass:
		return []octets{beginningsOf(newLetters(t.Rune))}
	case syntax.OpCapture, syntax.OpPlus:
		return held(t.Sub[0])
	case syntax.OpRepeat:
		if t.Min > 0 {
			return held(t.Sub[0])
		}
	case syntax.OpConcat:
		var list []octets
		for _, sub := range t.Sub {
			list = append(list, held(sub)...)
		}
		return list
	case syntax.OpAlternate:
		var any octets
		for _, sub := range t.Sub {
			list := held(sub)
			if len(list) == 0 {
				return nil
			}
			any.join(slices.MinFunc(list, func(a, b octets) int { return cmp.Compare(a.often(), b.often()) }))
		}
		return []octets{any}
	}
	return nil
}

// beginningsOf are the octets with which letters begin.
func beginningsOf(l *letters) (o octets) {
	l.beginnings(&o)
	return o
}

// join adds the octets of another set.
func (o *octets) join(other octets) {
	for i := range o {
		o[i] |= other[i]
	}
}

// often is about how often one of a set stands at a place of ordinary mail. Letters beyond ASCII are as good as one.
func (o *octets) often() float64 {
	sum := 0.0
	for c := range byte(utf8.RuneSelf) {
		if o.has(c) {
			sum += often(string(rune(c)))
		}
	}
	if bits.OnesCount64(o[2])+bits.OnesCount64(o[3]) > 0 {
		sum += often("\u0100")
	}
	return sum
}

// A direct is a pattern that is tried on whole texts, if they have some octet of each set that it holds.
type direct struct {
	pattern int32
	exact   bool // octets as written, not folded
	holds   []octets
}

// octetsOf is the set of a text's octets.
func octetsOf[T string | []byte](text T) (o octets) {
	for i := range len(text) {
		o.add(text[i])
	}
	return o
}

// meetAll reports whether a set has an octet in common with each of a list.
func (o *octets) meetAll(list []octets) bool {
	for i := range list {
		if l := &list[i]; o[0]&l[0]|o[1]&l[1]|o[2]&l[2]|o[3]&l[3] == 0 {
			return false
		}
	}
	return true
}
