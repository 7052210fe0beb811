package hashlist

import (
	"strconv"
	"strings"
)

// A Fuzzy is a context triggered piecewise hash, as ssdeep has it (Kornblum 2006): the content is cut where a rolling hash of
// seven octets says so, and of each piece one character is kept, for two block sizes.
type Fuzzy struct {
	Block  uint32 // of the first digest; that of the second is twice as large
	Single string
	Double string
}

const (
	fuzzyWindow = 7
	fuzzyLength = 64
	fuzzyMin    = 3
	fuzzyStart  = 0x28021967
	fuzzyPrime  = 0x01000193
	base64      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)

// String is the hash as ssdeep writes it.
func (f Fuzzy) String() string {
	return strconv.FormatUint(uint64(f.Block), 10) + ":" + f.Single + ":" + f.Double
}

// ParseFuzzy reads a hash as ssdeep writes it, without a file name.
func ParseFuzzy(s string) (f Fuzzy, ok bool) {
	s, _, _ = strings.Cut(s, ",")
	parts := strings.Split(s, ":")
	if len(parts) != 3 || len(parts[1]) > fuzzyLength || len(parts[2]) > fuzzyLength || len(parts[1]) == 0 {
		return f, false
	}
	for _, p := range parts[1:] {
		if strings.Trim(p, base64) != "" {
			return f, false
		}
	}
	n, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil || n < fuzzyMin {
		return f, false
	}
	return Fuzzy{uint32(n), parts[1], parts[2]}, true
}

// A roller is the rolling hash of the last seven octets.
type roller struct {
	window     [fuzzyWindow]byte
	h1, h2, h3 uint32
	n          uint32
}

func (r *roller) add(c byte) uint32 {
	r.h2 -= r.h1
	r.h2 += fuzzyWindow * uint32(c)
	r.h1 += uint32(c)
	r.h1 -= uint32(r.window[r.n%fuzzyWindow])
	r.window[r.n%fuzzyWindow] = c
	r.n++
	r.h3 = r.h3<<5 ^ uint32(c)
	return r.h1 + r.h2 + r.h3
}

// FuzzyOf hashes a content.
func FuzzyOf(b []byte) Fuzzy {
	block := uint32(fuzzyMin)
	for uint64(block)*fuzzyLength < uint64(len(b)) {
		block *= 2
	}
	for {
		f, pieces := fuzzyBy(b, block)
		if block <= fuzzyMin || pieces >= fuzzyLength/2 {
			return f
		}
		block /= 2
	}
}

// fuzzyBy hashes by one block size, and says how many whole pieces there were.
func fuzzyBy(b []byte, block uint32) (f Fuzzy, pieces int) {
	var r roller
	one, two := make([]byte, 0, fuzzyLength), make([]byte, 0, fuzzyLength/2)
	h1, h2 := uint32(fuzzyStart), uint32(fuzzyStart)
	var roll uint32
	for _, c := range b {
		h1 = h1*fuzzyPrime ^ uint32(c)
		h2 = h2*fuzzyPrime ^ uint32(c)
		roll = r.add(c)
		if roll%block != block-1 {
			continue
		}
		if len(one) < fuzzyLength-1 {
			one = append(one, base64[h1%64])
			h1 = fuzzyStart
		}
		if roll%(2*block) == 2*block-1 && len(two) < fuzzyLength/2-1 {
			two = append(two, base64[h2%64])
			h2 = fuzzyStart
		}
	}
	pieces = len(one)
	if roll != 0 {
		one, two = append(one, base64[h1%64]), append(two, base64[h2%64])
	}
	return Fuzzy{block, string(one), string(two)}, pieces
}

// Alike is how similar two contents are, from 0 to 100.
func (f Fuzzy) Alike(g Fuzzy) int {
	switch {
	case f.Block == g.Block:
		return max(alike(f.Single, g.Single, f.Block), alike(f.Double, g.Double, f.Block*2))
	case f.Block == g.Block*2:
		return alike(f.Single, g.Double, f.Block)
	case f.Block*2 == g.Block:
		return alike(f.Double, g.Single, g.Block)
	}
	return 0
}

// alike compares two digests of one block size: by how many insertions and deletions one becomes the other.
func alike(a, b string, block uint32) int {
	a, b = thin(a), thin(b)
	if len(a) < fuzzyWindow || len(b) < fuzzyWindow || !common(a, b) {
		return 0
	}
	if a == b {
		return 100
	}
	score := distance(a, b) * fuzzyLength / (len(a) + len(b))
	score = 100 - 100*score/fuzzyLength
	if limit := int(block) / fuzzyMin * min(len(a), len(b)); block < 3<<20 && score > limit {
		score = limit // short pieces are alike by chance
	}
	return max(score, 0)
}

// thin cuts runs of one character to three: they say little.
func thin(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if i < 3 || s[i] != s[i-1] || s[i] != s[i-2] || s[i] != s[i-3] {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// common reports whether two digests share seven characters in a row.
func common(a, b string) bool {
	for i := 0; i+fuzzyWindow <= len(a); i++ {
		if strings.Contains(b, a[i:i+fuzzyWindow]) {
			return true
		}
	}
	return false
}

// distance is how many characters must be inserted and deleted; a change is one of each.
func distance(a, b string) int {
	var row, next [fuzzyLength + 1]int
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change += 2
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, change)
		}
		row, next = next, row
	}
	return row[len(b)]
}
