package mail

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// A cut is where one field of a plain header begins and where its colon stands, as offsets into the block.
type cut struct{ start, colon int32 }

// maxCuts is how many fields a header has at most that is read by the quick way.
const maxCuts = 128

// readPlain reads the header block that begins b if no program could read it in another way than the others: ASCII,
// a colon right behind the name in every first line of a field, an empty line at the end. ok is false for all else,
// however harmless: then nothing was read, and the headerReader must look at it.
func readPlain(s *space, off int64, b []byte) (h headerBlock, ok bool) {
	var cuts [maxCuts]cut
	n, end, body := cutPlain(cuts[:], b[:min(len(b), maxField)])
	if body == 0 || !isPlainASCII(b[:end]) {
		return h, false
	}
	block := string(b[:end])
	h.fields = make([]Field, n)
	for i := range h.fields {
		start, colon, next := int(cuts[i].start), int(cuts[i].colon), end
		if i+1 < n {
			next = int(cuts[i+1].start)
		}
		stop := next - 1
		if block[stop-1] == '\r' {
			stop--
		}
		h.fields[i] = Field{block[start:colon], block[colon+1 : stop], s.place(Span{off + int64(start), off + int64(next)})}
	}
	h.body = off + int64(body)
	h.span = Span{off, h.body}
	return h, true
}

// cutPlain finds the fields of a plain header: how many there are, where they end, and where the body begins. The
// body is 0 if the header is not plain. What isPlainASCII finds is left to it.
func cutPlain(cuts []cut, b []byte) (n, end, body int) {
	crs := 0
	for i := 0; i < len(b); {
		line := b[i:]
		size := bytes.IndexByte(line, '\n')
		if size < 0 {
			return 0, 0, 0
		}
		line = line[:size]
		if size > 0 && line[size-1] == '\r' {
			line = line[:size-1]
			crs++
		}
		switch {
		case len(line) == 0:
			if bytes.Count(b[:i+size], cr) != crs {
				return 0, 0, 0
			}
			return n, i, i + size + 1
		case blank(line[0]):
			if n == 0 || allBlank(line) {
				return 0, 0, 0
			}
		default:
			colon := nameEnd(line)
			if colon == 0 || n == len(cuts) {
				return 0, 0, 0
			}
			cuts[n] = cut{int32(i), int32(i + colon)}
			n++
		}
		i += size + 1
	}
	return 0, 0, 0
}

// nameEnd is the length of the field name that begins line, 0 if it is not one with exactly one colon behind it.
func nameEnd(line []byte) int {
	for i, c := range line {
		if c == ':' {
			if i+1 < len(line) && line[i+1] == ':' {
				return 0
			}
			return i
		}
		if c <= ' ' || c > '~' {
			return 0
		}
	}
	return 0
}

func allBlank(line []byte) bool {
	for _, c := range line {
		if !blank(c) {
			return false
		}
	}
	return true
}

// The octets of a machine word: their high bits, and one in each.
const highBits, ones = 0x8080808080808080, 0x0101010101010101

// isPlainASCII reports whether b is ASCII without NUL.
func isPlainASCII(b []byte) bool {
	var seen uint64 // the high bit of an octet is set by one above 127, and by a borrow from NUL
	for ; len(b) >= 32; b = b[32:] {
		w, x := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[8:])
		y, z := binary.NativeEndian.Uint64(b[16:]), binary.NativeEndian.Uint64(b[24:])
		seen |= w | x | y | z | (w - ones) | (x - ones) | (y - ones) | (z - ones)
	}
	for _, c := range b {
		seen |= uint64(c | (c - 1))
	}
	return seen&highBits == 0
}

// isASCIIText reports whether b is ASCII.
func isASCIIText(b []byte) bool {
	for ; len(b) >= 32; b = b[32:] {
		w, x := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[8:])
		y, z := binary.NativeEndian.Uint64(b[16:]), binary.NativeEndian.Uint64(b[24:])
		if (w|x|y|z)&highBits != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
