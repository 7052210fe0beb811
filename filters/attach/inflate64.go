package attach

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// An inflate64 reads Deflate64, method 9 of ZIP files (APPNOTE 4.4.5, 5.4): RFC 1951 with a window of 64 KiB, two further distances, and
// a last length of up to 65,538 octets. It holds its window and two codes, whatever the stream says.
type inflate64 struct {
	src    *bufio.Reader
	bits   uint32 // read and not used, the lowest first
	n      uint   // how many these are
	final  bool   // the block is the last
	stored int    // octets to come of a stored block
	coded  bool   // within a block of codes
	lit    huffman
	dist   huffman
	length int // octets to come of a repetition
	back   int // how far back it stands
	out    int64
	window [1 << 16]byte
	err    error
}

func newInflate64(r io.Reader) *inflate64 { return &inflate64{src: bufio.NewReader(r)} }

var errDeflate64 = errors.New("broken Deflate64")

// Read implements io.Reader. io.EOF comes after the last block.
func (z *inflate64) Read(p []byte) (n int, err error) {
	for n < len(p) && z.err == nil {
		switch {
		case z.length > 0:
			p[n] = z.window[uint16(z.out-int64(z.back))]
			z.length--
		case z.stored > 0:
			var c uint32
			if c, z.err = z.take(8); z.err == nil {
				p[n] = byte(c)
				z.stored--
			}
		case z.coded:
			var octet bool
			if p[n], octet, z.err = z.next(); !octet {
				continue
			}
		case z.final:
			z.err = io.EOF
		default:
			z.err = z.block()
			continue
		}
		if z.err == nil {
			z.window[uint16(z.out)] = p[n]
			z.out++
			n++
		}
	}
	if errors.Is(z.err, io.EOF) && !z.ended() {
		z.err = io.ErrUnexpectedEOF
	}
	if n > 0 {
		return n, nil
	}
	return 0, z.err
}

// ended reports whether nothing is to come.
func (z *inflate64) ended() bool { return z.final && !z.coded && z.stored == 0 && z.length == 0 }

// take reads bits.
func (z *inflate64) take(n uint) (uint32, error) {
	for z.n < n {
		b, err := z.src.ReadByte()
		if err != nil {
			return 0, err
		}
		z.bits |= uint32(b) << z.n
		z.n += 8
	}
	v := z.bits & (1<<n - 1)
	z.bits >>= n
	z.n -= n
	return v, nil
}

// block reads the head of a block (RFC 1951 section 3.2.3).
func (z *inflate64) block() error {
	head, err := z.take(3)
	if err != nil {
		return err
	}
	z.final = head&1 != 0
	switch head >> 1 {
	case 0:
		z.take(z.n % 8) // up to the end of the octet
		size, err := z.take(16)
		if err != nil {
			return err
		}
		if check, err := z.take(16); err != nil || size^check != 0xffff {
			return errors.Join(errDeflate64, err)
		}
		z.stored = int(size)
		return nil
	case 1:
		return z.fixed()
	case 2:
		return z.dynamic()
	}
	return errDeflate64
}

// fixed sets the codes of RFC 1951 section 3.2.6.
func (z *inflate64) fixed() error {
	var lengths [288 + 32]byte
	for i := range lengths {
		switch {
		case i < 144, i >= 280 && i < 288:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 5
		}
	}
	z.coded = true
	return errors.Join(z.lit.set(lengths[:288]), z.dist.set(lengths[288:]))
}

// lengthOrder is the order of the lengths of the code of lengths.
var lengthOrder = [...]byte{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block (RFC 1951 section 3.2.7).
func (z *inflate64) dynamic() error {
	head, err := z.take(14)
	if err != nil {
		return err
	}
	literals, distances, count := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	var lengths [288 + 32]byte
	for _, at := range lengthOrder[:count] {
		n, err := z.take(3)
		if err != nil {
			return err
		}
		lengths[at] = byte(n)
	}
	if literals > 286 {
		return errDeflate64
	}
	var code huffman
	if err := code.set(lengths[:19]); err != nil {
		return err
	}
	clear(lengths[:19])
	for i := 0; i < literals+distances; {
		symbol, err := z.symbol(&code)
		if err != nil {
			return err
		}
		repeat, value := 1, byte(symbol)
		if symbol >= 16 {
			if repeat, value, err = z.repeated(symbol, lengths[:i]); err != nil {
				return err
			}
		}
		for ; repeat > 0; repeat-- {
			if i == literals+distances {
				return errDeflate64
			}
			lengths[i] = value
			i++
		}
	}
	if lengths[256] == 0 {
		return errDeflate64 // without an end
	}
	z.coded = true
	return errors.Join(z.lit.set(lengths[:literals]), z.dist.set(lengths[literals:literals+distances]))
}

// repeated reads how often a length comes again, and which.
func (z *inflate64) repeated(symbol int, before []byte) (count int, value byte, err error) {
	size, least := [...]uint{2, 3, 7}[symbol-16], [...]int{3, 3, 11}[symbol-16]
	if symbol == 16 {
		if len(before) == 0 {
			return 0, 0, errDeflate64
		}
		value = before[len(before)-1]
	}
	extra, err := z.take(size)
	return least + int(extra), value, err
}

// The lengths and distances of RFC 1951 section 3.2.5, with those of Deflate64.
var (
	lengthBase = [...]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 3}
	lengthSize = [...]uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 16}
)

// next reads one code: an octet, or a repetition, or the end of the block.
func (z *inflate64) next() (c byte, octet bool, err error) {
	symbol, err := z.symbol(&z.lit)
	switch {
	case err != nil || symbol < 256:
		return byte(symbol), err == nil, err
	case symbol == 256:
		z.coded = false
		return 0, false, nil
	case symbol > 285:
		return 0, false, errDeflate64
	}
	extra, err := z.take(lengthSize[symbol-257])
	if err != nil {
		return 0, false, err
	}
	length := lengthBase[symbol-257] + int(extra)
	if symbol, err = z.symbol(&z.dist); err != nil {
		return 0, false, err
	}
	back := symbol + 1
	if symbol >= 4 {
		size := uint(symbol/2 - 1)
		if extra, err = z.take(size); err != nil {
			return 0, false, err
		}
		back = (2+symbol&1)<<size + int(extra) + 1
	}
	if int64(back) > z.out {
		return 0, false, fmt.Errorf("%w: a repetition of what was not there", errDeflate64)
	}
	z.length, z.back = length, back
	return 0, false, nil
}

// The bounds of codes.
const (
	maxCode  = 15 // bits
	fastBits = 9
)

// A huffman is a canonical code of up to 15 bits (RFC 1951 section 3.2.2).
type huffman struct {
	count   [maxCode + 1]uint16   // codes by length
	symbols [288]uint16           // by code
	fast    [1 << fastBits]uint16 // by the next bits: symbol<<4 | length; 0: longer than these
}

// set makes the code with these lengths, the last of which may be 0. One that gives two meanings to the same bits is refused, and so is
// one that gives none to some, unless it has one symbol of one bit, or none at all.
func (h *huffman) set(lengths []byte) error {
	*h = huffman{}
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	left, used := 1, 0
	var at, code [maxCode + 2]uint16
	for n := 1; n <= maxCode; n++ {
		left = left<<1 - int(h.count[n])
		if left < 0 {
			return errDeflate64
		}
		used += int(h.count[n])
		at[n+1] = at[n] + h.count[n]
		code[n+1] = (code[n] + h.count[n]) << 1
	}
	if left > 0 && used > 1 || used == 1 && h.count[1] != 1 {
		return errDeflate64
	}
	for symbol, n := range lengths {
		if n == 0 {
			continue
		}
		h.symbols[at[n]] = uint16(symbol)
		at[n]++
		if n <= fastBits {
			for i := reversed(code[n], n); i < 1<<fastBits; i += 1 << n {
				h.fast[i] = uint16(symbol)<<4 | uint16(n)
			}
		}
		code[n]++
	}
	return nil
}

// reversed is a code as it stands in the stream, its first bit lowest.
func reversed(code uint16, n byte) (r uint16) {
	for range n {
		r = r<<1 | code&1
		code >>= 1
	}
	return r
}

// symbol reads one code.
func (z *inflate64) symbol(h *huffman) (int, error) {
	for z.n < maxCode { // near the end there may be fewer bits than the longest code has
		b, err := z.src.ReadByte()
		if err != nil {
			break
		}
		z.bits |= uint32(b) << z.n
		z.n += 8
	}
	if f := h.fast[z.bits&(1<<fastBits-1)]; f != 0 && uint(f&15) <= z.n {
		z.bits >>= f & 15
		z.n -= uint(f & 15)
		return int(f >> 4), nil
	}
	code, first, index := 0, 0, 0
	for n := uint(1); n <= maxCode; n++ {
		if n > z.n {
			return 0, io.ErrUnexpectedEOF
		}
		code |= int(z.bits>>(n-1)) & 1
		if code-first < int(h.count[n]) {
			z.bits >>= n
			z.n -= n
			return int(h.symbols[index+code-first]), nil
		}
		index, first, code = index+int(h.count[n]), (first+int(h.count[n]))<<1, code<<1
	}
	return 0, errDeflate64
}
