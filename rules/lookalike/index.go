package lookalike

import "strings"

// A How is in what way one name resembles another.
type How int

// The ways, from the strongest to the weakest.
const (
	Not      How = iota
	Disguise     // other characters that look the same
	Slip         // one letter off
	Part         // the name beside other words: name-invoices
	Same         // the very name
)

// An Index finds, among many names, the one that a word resembles. It is immutable, and a question costs the same however many names it
// holds.
type Index struct {
	look  *Table
	names map[string]string   // skeleton -> name
	less  map[string][]string // names with one letter taken out -> names
	long  []string            // the names that are looked for inside of words
}

// The lengths from which on a resemblance means something.
const (
	minSlip = 5
	minPart = 5
)

// maxInside is of how many names it is asked whether they stand inside of a word without a mark of separation.
const maxInside = 64

// NewIndex makes an index of names in lower case.
func (t *Table) NewIndex(names []string) *Index {
	x := &Index{look: t, names: make(map[string]string, len(names)), less: map[string][]string{}}
	for _, n := range names {
		s := t.Skeleton(n)
		if _, have := x.names[s]; have || n == "" {
			continue
		}
		x.names[s] = n
		if len(n) >= minSlip {
			for _, d := range deletions(n) {
				x.less[d] = append(x.less[d], n)
			}
			x.less[n] = append(x.less[n], n)
		}
		if len(n) > minPart && len(x.long) < maxInside {
			x.long = append(x.long, n)
		}
	}
	return x
}

// deletions are a word without each of its octets in turn.
func deletions(s string) []string {
	list := make([]string, len(s))
	for i := range s {
		list[i] = s[:i] + s[i+1:]
	}
	return list
}

// maxWord bounds the words that are compared: a DNS label has at most 63 octets.
const maxWord = 63

// Find is the name that a word in lower case resembles, and how.
func (x *Index) Find(word string) (name string, how How) {
	if x == nil || len(x.names) == 0 || len(word) < 3 || len(word) > maxWord {
		return "", Not
	}
	folded := x.look.Fold(word)
	if n, ok := x.names[x.look.Skeleton(folded)]; ok {
		if n == word {
			return n, Same
		}
		return n, Disguise
	}
	if len(folded) >= minSlip {
		for _, n := range x.less[folded] {
			if Near(n, folded) {
				return n, Slip
			}
		}
		var less [maxWord]byte
		for i := range folded {
			for _, n := range x.less[string(append(append(less[:0], folded[:i]...), folded[i+1:]...))] {
				if Near(n, folded) {
					return n, Slip
				}
			}
		}
	}
	return x.part(folded)
}

// part looks for a name beside other words.
func (x *Index) part(folded string) (string, How) {
	words := strings.FieldsFunc(folded, func(r rune) bool { return r == '-' || r == '_' || r >= '0' && r <= '9' })
	for _, w := range words {
		if len(w) < minPart || len(words) == 1 && len(w) == len(folded) {
			continue
		}
		if n, ok := x.names[x.look.Skeleton(w)]; ok {
			return n, Part
		}
	}
	for _, n := range x.long {
		if strings.Contains(folded, n) {
			return n, Part
		}
	}
	return "", Not
}
