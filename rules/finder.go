package rules

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// A finder finds all of many words in one pass over a text. Of each word it knows four octets in a row that are seldom in
// mail; a look at the gate says at each place of the text whether some word's octets may stand there, and only then are the
// words that have them compared. A word of three octets is looked for by all of them.
type finder struct {
	gate   []uint16 // by the hash of three octets: a bit for the low half of each that may follow
	shift  uint8    // makes a place in gate of a product
	slots  []slot   // by hash, then the next that is free
	spread uint8    // as shift, for slots
	probes []probe  // by spot
	spots  []spot
	words  []owned // by word, and one more for the end

	owners []int32 // the patterns that are looked for by the words, one word's after the other's
}

// An owned is a word and where the patterns that are looked for by it stand in owners: first phrases, then expressions.
type owned struct {
	number              int32 // of the word in all finders
	phrases, expression int32 // where they begin
}

// own notes the patterns of words, which are given by their numbers in all finders: pairs of a word and a pattern.
func (f *finder) own(numbers []int32, phrases, expressions [][2]int32) {
	f.words = make([]owned, len(numbers)+1)
	f.owners = make([]int32, len(phrases)+len(expressions))
	for _, p := range phrases {
		f.words[p[0]].expression++
	}
	for _, p := range expressions {
		f.words[p[0]].phrases++ // as yet, how many there are
	}
	at := int32(0)
	next := make([][2]int32, len(numbers))
	for w := range f.words {
		o := &f.words[w]
		mine := [2]int32{o.expression, o.phrases}
		o.phrases, o.expression = at, at+mine[0]
		if w < len(numbers) {
			o.number, next[w] = numbers[w], [2]int32{o.phrases, o.expression}
		}
		at += mine[0] + mine[1]
	}
	for kind, pairs := range [...][][2]int32{phrases, expressions} {
		for _, p := range pairs {
			f.owners[next[p[0]][kind]] = p[1]
			next[p[0]][kind]++
		}
	}
}

// A slot says which words are looked for by some octets.
type slot struct{ key, from uint32 } // from counts spots from 1; 0: nothing

// A spot is a word and which of its octets it is looked for by.
type spot struct {
	low, high uint64 // the word, 16 octets at most
	word      int32
	size      uint8
	at        uint8 // where in the word the octets stand
}

// A probe is what is looked at before a word is compared: one more octet of it, the farthest from those that it is looked for
// by, for it tells most. It is small, so that those of many words lie side by side.
type probe struct {
	off   int8 // from the octets that the word is looked for by
	octet byte
	more  bool // the next spot has the same octets
}

// probe chooses it.
func (s *spot) probe() probe {
	off := int(s.size) - 1 - int(s.at)
	if int(s.at) > off-3 {
		off = -int(s.at)
	}
	return probe{off: int8(off), octet: s.octet(int(s.at) + off)}
}

// octet is the octet of the word at n.
func (s *spot) octet(n int) byte {
	if n < 8 {
		return byte(s.low >> (8 * n))
	}
	return byte(s.high >> (8 * (n - 8)))
}

// anything is what gate says where three octets alone are looked for.
const anything = 1<<16 - 1

// pad is how many octets are read behind the end of a text.
const pad = maxLiteral

// sift spreads octets over the bits of a product.
const sift = 0x9E3779B1

// three is the key of three octets: no four of a folded text have it.
func three(v uint32) uint32 { return v | 0xFF000000 }

// A lookedFor is a word with the octets that it is looked for by.
type lookedFor struct {
	spot
	key uint32
}

// lookFor chooses the octets by which words are looked for. Each word has 3 to 16 octets and is there once.
func lookFor(words []string) []lookedFor {
	list := make([]lookedFor, len(words))
	taken := make(map[uint32]int, len(words))
	for _, n := range byLength(words) {
		list[n] = choose(words[n], taken)
		taken[list[n].key]++
	}
	return list
}

// newFinder makes ready to look for words; their numbers are their places in the list.
func newFinder(words []lookedFor) *finder {
	f := &finder{spots: make([]spot, len(words)), probes: make([]probe, len(words))}
	order := make([]int32, len(words))
	for n := range order {
		order[n] = int32(n)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(words[a].key, words[b].key), int(a-b)) })
	keys := 0
	for i, n := range order {
		f.spots[i] = words[n].spot
		f.spots[i].word = n
		f.probes[i] = f.spots[i].probe()
		if i == 0 || words[n].key != words[order[i-1]].key {
			keys++
		}
	}
	size := bits.Len(uint(keys))                   // there are less than 1<<size
	f.shift = uint8(32 - min(max(size+2, 11), 20)) // roomy: where it errs, a look at slots costs more than all of gate
	f.gate = make([]uint16, 1<<(32-f.shift))
	f.spread = uint8(32 - (size + 1))
	f.slots = make([]slot, 1<<(32-f.spread))
	for i := 0; i < len(order); {
		key, from := words[order[i]].key, i
		for ; i < len(order) && words[order[i]].key == key; i++ {
			f.probes[i].more = true
		}
		f.probes[i-1].more = false
		if words[order[from]].size == 3 {
			f.gate[key<<8*sift>>f.shift] = anything
		} else {
			f.gate[key<<8*sift>>f.shift] |= 1 << (key >> 24 % 16)
		}
		at := key * sift >> f.spread
		for f.slots[at].from > 0 {
			at = (at + 1) % uint32(len(f.slots))
		}
		f.slots[at] = slot{key, uint32(from + 1)}
	}
	return f
}

// byLength are the numbers of words, the shortest first: they have the least choice of octets, and others may share theirs.
func byLength(words []string) []int {
	numbers := make([]int, len(words))
	for n := range numbers {
		numbers[n] = n
	}
	slices.SortStableFunc(numbers, func(a, b int) int { return len(words[a]) - len(words[b]) })
	return numbers
}

// choose chooses the octets that a word is looked for by: those that are seldom in mail, or that are looked for anyway.
func choose(word string, taken map[uint32]int) lookedFor {
	var b [maxLiteral + 4]byte
	n := copy(b[:maxLiteral], word)
	best := lookedFor{spot: spot{low: binary.LittleEndian.Uint64(b[:]), high: binary.LittleEndian.Uint64(b[8:]), size: uint8(n)}}
	if n == 3 {
		best.key = three(binary.LittleEndian.Uint32(b[:]))
		return best
	}
	least := 0.0
	for at := 0; at+4 <= n; at++ {
		key := binary.LittleEndian.Uint32(b[at:])
		cost := often(word[at : at+4])
		switch n := taken[key]; {
		case n == 0:
			cost *= 1 + alone
		case n >= crowd:
			cost += 1
		}
		if at == 0 || cost < least {
			best.key, least, best.at = key, cost, uint8(at)
		}
	}
	return best
}

const (
	alone = 4  // what it costs to look for more octets, measured in comparing one word more where they stand
	crowd = 16 // words that should be looked for by the same octets at most
)

// scan calls found with each word's number and where it begins, and returns how many words it compared. Behind the text lie
// pad octets that may be read.
func (f *finder) scan(padded []byte, found func(word int32, start int)) (compared int) {
	if len(f.spots) == 0 {
		return 0
	}
	gate, shift := f.gate, f.shift&31
	for i := 0; i+pad < len(padded); i++ {
		v := binary.LittleEndian.Uint32(padded[i:])
		followers := gate[v<<8*sift>>shift]
		if followers>>(v>>24%16)&1 == 0 {
			continue
		}
		compared += f.compare(padded, i, v, found)
		if followers == anything {
			compared += f.compare(padded, i, three(v), found)
		}
	}
	return compared
}

// compare reports the words that are looked for by the octets at i and stand there, and returns how many it compared.
func (f *finder) compare(padded []byte, i int, key uint32, found func(word int32, start int)) int {
	mask := uint32(len(f.slots) - 1)
	at := key * sift >> f.spread
	for f.slots[at].key != key {
		if f.slots[at].from == 0 {
			return 0
		}
		at = (at + 1) & mask
	}
	first := int(f.slots[at].from) - 1
	k := first
	for more := true; more; k++ {
		p := f.probes[k]
		more = p.more
		if n := i + int(p.off); n < 0 || padded[n] != p.octet {
			continue
		}
		if s := &f.spots[k]; s.stands(padded, i-int(s.at)) {
			found(s.word, i-int(s.at))
		}
	}
	return k - first
}

// stands reports whether the word stands at start.
func (s *spot) stands(padded []byte, start int) bool {
	if start < 0 || start+int(s.size) > len(padded)-pad {
		return false
	}
	differ := binary.LittleEndian.Uint64(padded[start:]) ^ s.low
	if n := 8 * uint(s.size); n < 64 {
		differ <<= 64 - n
	} else if differ == 0 {
		differ = (binary.LittleEndian.Uint64(padded[start+8:]) ^ s.high) << (128 - n)
	}
	return differ == 0
}
