package attach

import (
	"errors"
	"io"
)

// An lzReader yields what LZ77 with Huffman codes in blocks becomes: the methods lh4 to lh7 of LHA and 1 to 3 of ARJ, which
// differ in the size of their window alone.
type lzReader struct {
	in    bitReader
	size  int64 // still to come
	dist  int   // codes of distances
	bits  int   // of the length of the table of distance codes
	block int   // codes left in this block
	chars prefixCode
	far   prefixCode
	win   []byte // ring
	at    int
	copy  int // octets of a match still to come
	from  int
}

// The tables' sizes: literals and match lengths, and the codes of their lengths.
const (
	lzChars  = 510
	lzShort  = 19
	lzMinLen = 3
)

var errLZ = errors.New("the compressed data is broken")

// newLZReader reads b, which becomes size octets; window is a power of two, dist and bits belong to it.
func newLZReader(b []byte, size int64, window, dist, bits int) *lzReader {
	r := &lzReader{in: bitReader{b: b}, size: size, dist: dist, bits: bits, win: make([]byte, window)}
	for i := range r.win { // a match may reach before the beginning, where LHA has blanks
		r.win[i] = ' '
	}
	return r
}

// Read implements io.Reader.
func (r *lzReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.size == 0 {
			return n, io.EOF
		}
		if r.copy == 0 {
			c, err := r.next()
			if err != nil {
				return n, err
			}
			if c < 256 {
				p[n] = r.put(byte(c))
				n++
				continue
			}
			back, err := r.distance()
			if err != nil {
				return n, err
			}
			r.copy, r.from = c-256+lzMinLen, r.at-back-1
		}
		p[n] = r.put(r.win[r.from&(len(r.win)-1)])
		r.from++
		r.copy--
		n++
	}
	return n, nil
}

// put appends an octet to the window.
func (r *lzReader) put(c byte) byte {
	r.win[r.at&(len(r.win)-1)] = c
	r.at++
	r.size--
	return c
}

// next reads a literal, or 256 and more for a match.
func (r *lzReader) next() (int, error) {
	if r.block == 0 {
		r.block = r.in.read(16)
		if r.block == 0 {
			return 0, errLZ
		}
		if err := r.tables(); err != nil {
			return 0, err
		}
	}
	r.block--
	return r.chars.read(&r.in)
}

// distance reads how far back a match lies.
func (r *lzReader) distance() (int, error) {
	c, err := r.far.read(&r.in)
	if err != nil || c < 2 {
		return c, err
	}
	d := 1<<(c-1) + r.in.read(c-1)
	if d >= len(r.win) {
		return 0, errLZ
	}
	return d, r.in.err()
}

// tables reads the codes of a block.
func (r *lzReader) tables() error {
	short, err := r.shortTable(lzShort, 5, 3)
	if err != nil {
		return err
	}
	n := r.in.read(9)
	lengths := make([]byte, lzChars)
	if n == 0 {
		r.chars = single(r.in.read(9))
	} else if n > lzChars {
		return errLZ
	} else {
		for i := 0; i < n; {
			c, err := short.read(&r.in)
			if err != nil {
				return err
			}
			switch c {
			case 0:
				i++
			case 1:
				i += r.in.read(4) + 3
			case 2:
				i += r.in.read(9) + 20
			default:
				lengths[i] = byte(c - 2)
				i++
			}
			if i > n {
				return errLZ
			}
		}
		if r.chars, err = newPrefixCode(lengths[:n]); err != nil {
			return err
		}
	}
	r.far, err = r.shortTable(r.dist, r.bits, -1)
	return err
}

// shortTable reads a table of at most most codes whose number has bits bits; behind the code special stands a run of zeros.
func (r *lzReader) shortTable(most, bits, special int) (prefixCode, error) {
	n := r.in.read(bits)
	if n == 0 {
		c := r.in.read(bits)
		if c >= most {
			return prefixCode{}, errLZ
		}
		return single(c), r.in.err()
	}
	if n > most {
		return prefixCode{}, errLZ
	}
	lengths := make([]byte, n)
	for i := 0; i < n; {
		c := r.in.read(3)
		if c == 7 {
			for r.in.read(1) == 1 {
				if c++; c > 16 {
					return prefixCode{}, errLZ
				}
			}
		}
		lengths[i] = byte(c)
		if i++; i == special {
			i += r.in.read(2)
		}
		if i > n {
			return prefixCode{}, errLZ
		}
	}
	return newPrefixCode(lengths)
}

// A prefixCode decodes canonical Huffman codes of at most 16 bits.
type prefixCode struct {
	only    int // the one symbol, if there is but one, plus one
	first   [17]int
	count   [17]int
	symbols []uint16 // by code
}

func single(symbol int) prefixCode { return prefixCode{only: symbol + 1} }

// newPrefixCode makes the code in which symbol i has lengths[i] bits; 0: it has no code.
func newPrefixCode(lengths []byte) (prefixCode, error) {
	var p prefixCode
	for _, n := range lengths {
		if n > 16 {
			return p, errLZ
		}
		p.count[n]++
	}
	p.count[0] = 0
	code := 0
	for n := 1; n <= 16; n++ {
		p.first[n] = code
		if code += p.count[n]; code > 1<<n {
			return p, errLZ
		}
		code <<= 1
	}
	for n := byte(1); n <= 16; n++ {
		for s, have := range lengths {
			if have == n {
				p.symbols = append(p.symbols, uint16(s))
			}
		}
	}
	return p, nil
}

// read decodes one symbol.
func (p *prefixCode) read(in *bitReader) (int, error) {
	if p.only > 0 {
		return p.only - 1, in.err()
	}
	ahead, before := in.peek(16), 0
	for n := 1; n <= 16; n++ {
		if i := ahead>>(16-n) - p.first[n]; i >= 0 && i < p.count[n] {
			in.skip(n)
			return int(p.symbols[before+i]), in.err()
		}
		before += p.count[n]
	}
	return 0, errLZ
}

// A bitReader reads bits, the highest of an octet first. Beyond the end there are zeros, and err says so.
type bitReader struct {
	b    []byte
	held uint64 // the next bits, from the highest on
	n    int    // how many of them are real
	over bool
}

// peek is the number of the next n bits, at most 32.
func (r *bitReader) peek(n int) int {
	for r.n <= 56 && len(r.b) > 0 {
		r.held |= uint64(r.b[0]) << (56 - r.n)
		r.b = r.b[1:]
		r.n += 8
	}
	if n == 0 {
		return 0
	}
	return int(r.held >> (64 - n))
}

// skip passes over n bits that were peeked at.
func (r *bitReader) skip(n int) {
	r.held <<= n
	if r.n -= n; r.n < 0 {
		r.n, r.over = 0, true
	}
}

// read is the number of the next n bits.
func (r *bitReader) read(n int) int {
	v := r.peek(n)
	r.skip(n)
	return v
}

// err says whether more was read than there is.
func (r *bitReader) err() error {
	if r.over {
		return io.ErrUnexpectedEOF
	}
	return nil
}
