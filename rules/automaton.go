package rules

import "slices"

// An automaton finds all of many words in one pass over a text (Aho and Corasick, 1975). The states near its beginning,
// where a text spends its time, have a full row of transitions; the others a short list and a way back.
type automaton struct {
	class   [256]uint8 // octets that no word tells apart share a class; class 0 is in no word
	classes int
	rows    []int32 // of the states below dense: one entry a class
	dense   int32
	first   []int32 // where the children of a state begin in octets and next; one more than states
	octets  []uint8 // classes, in order of states
	next    []int32
	back    []int32 // the state of the longest proper ending that begins some word
	words   []int32 // where the words that end in a state begin in ends; one more than states
	ends    []int32 // numbers of words, those of shorter endings included
}

// denseDepth is how many octets of a word are read by full rows.
const denseDepth = 2

// newAutomaton compiles words; their numbers are their places in the list. No word is empty.
func newAutomaton(words []string) *automaton {
	a := &automaton{}
	for _, w := range words {
		for i := range len(w) {
			if a.class[w[i]] == 0 {
				a.classes++
				a.class[w[i]] = uint8(a.classes)
			}
		}
	}
	a.classes++
	t := newTrie(words, &a.class)
	a.number(t)
	a.link(t)
	return a
}

// A trie is the words as a tree while the automaton is made.
type trie struct {
	children []map[uint8]int32
	words    [][]int32
	depth    []int
}

func newTrie(words []string, class *[256]uint8) *trie {
	t := &trie{children: []map[uint8]int32{{}}, words: [][]int32{nil}, depth: []int{0}}
	for n, w := range words {
		at := int32(0)
		for i := range len(w) {
			c := class[w[i]]
			child, ok := t.children[at][c]
			if !ok {
				child = int32(len(t.children))
				t.children[at][c] = child
				t.children, t.words, t.depth = append(t.children, map[uint8]int32{}), append(t.words, nil), append(t.depth, t.depth[at]+1)
			}
			at = child
		}
		t.words[at] = append(t.words[at], int32(n))
	}
	return t
}

// number gives the states numbers in breadth-first order, so that those near the beginning come first and children stand
// together, and rewrites t by them.
func (a *automaton) number(t *trie) {
	order := make([]int32, 1, len(t.children))
	for i := 0; i < len(order); i++ {
		from := t.children[order[i]]
		keys := make([]uint8, 0, len(from))
		for c := range from {
			keys = append(keys, c)
		}
		slices.Sort(keys)
		a.first = append(a.first, int32(len(a.next)))
		for _, c := range keys {
			a.octets = append(a.octets, c)
			a.next = append(a.next, int32(len(order)))
			order = append(order, from[c])
		}
	}
	a.first = append(a.first, int32(len(a.next)))
	sorted := &trie{words: make([][]int32, len(order)), depth: make([]int, len(order))}
	for i, old := range order {
		sorted.words[i], sorted.depth[i] = t.words[old], t.depth[old]
		if t.depth[old] <= denseDepth {
			a.dense = int32(i + 1)
		}
	}
	*t = *sorted
}

// link finds the ways back, the rows and the words of each state, in order: a way back leads to a lower number.
func (a *automaton) link(t *trie) {
	states := len(t.words)
	a.back = make([]int32, states)
	a.rows = make([]int32, int(a.dense)*a.classes)
	for s := range int32(states) {
		if s < a.dense {
			row := a.rows[int(s)*a.classes : (int(s)+1)*a.classes]
			if s > 0 {
				copy(row, a.rows[int(a.back[s])*a.classes:])
			}
			for i := a.first[s]; i < a.first[s+1]; i++ {
				row[a.octets[i]] = a.next[i]
			}
		}
		for i := a.first[s]; i < a.first[s+1]; i++ {
			if s > 0 {
				a.back[a.next[i]] = a.step(a.back[s], a.octets[i])
			}
		}
		t.words[s] = append(t.words[s], t.words[a.back[s]]...)
		if s == 0 {
			t.words[0] = nil
		}
		a.words = append(a.words, int32(len(a.ends)))
		a.ends = append(a.ends, t.words[s]...)
	}
	a.words = append(a.words, int32(len(a.ends)))
}

// step is the state behind s after an octet of class c.
func (a *automaton) step(s int32, c uint8) int32 {
	for s >= a.dense {
		for i, end := a.first[s], a.first[s+1]; i < end; i++ {
			if a.octets[i] == c {
				return a.next[i]
			}
		}
		s = a.back[s]
	}
	return a.rows[int(s)*a.classes+int(c)]
}

// scan calls found with each word's number and the offset behind it, in the order of these offsets.
func (a *automaton) scan(text []byte, found func(word int32, end int)) {
	s := int32(0)
	for i, b := range text {
		c := a.class[b]
		if s < a.dense {
			s = a.rows[int(s)*a.classes+int(c)]
		} else {
			s = a.step(s, c)
		}
		if from, to := a.words[s], a.words[s+1]; from < to {
			for _, w := range a.ends[from:to] {
				found(w, i+1)
			}
		}
	}
}
