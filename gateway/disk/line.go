package disk

import (
	"errors"
	"fmt"
	"hash/crc32"
	"unicode"
	"unicode/utf8"
)

// A checked line is one JSON object on one line whose first member holds a checksum and the length of the line, at
// fixed places, so that a torn or altered line is told from a whole one without parsing it:
//
//	{"sum":"9f2a3b4c000004d2","v":1,…}
//
// The first eight digits are the CRC-32C of everything after the member's comma, the others the length of the whole
// line with its line feed.

// Bounds of a checked line.
const (
	lineHead = len(`{"sum":"0123456701234567",`)
	sumAt    = len(`{"sum":"`)
	MaxLine  = 4 << 20 // bytes
)

// ErrLine is returned for a line that is not whole.
var ErrLine = errors.New("damaged line")

const hexDigits = "0123456789abcdef"

// castagnoli makes a new reference to the one table that package hash/crc32 keeps.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// AppendLine appends object, a JSON object with at least one member and without line ends, as a checked line.
// Characters that a terminal or a reader would take for something else (controls, bidirectional overrides,
// zero-width and unassigned ones) are written as escapes (P-26).
func AppendLine(dst, object []byte) ([]byte, error) {
	if len(object) < 2 || object[0] != '{' || object[1] == '}' {
		return dst, fmt.Errorf("%w: not an object with members", ErrLine)
	}
	start := len(dst)
	dst = append(dst, `{"sum":"0000000000000000",`...)
	dst = appendVisible(dst, object[1:])
	dst = append(dst, '\n')
	n := len(dst) - start
	if n > MaxLine {
		return dst[:start], fmt.Errorf("%w: %d bytes are more than %d", ErrLine, n, MaxLine)
	}
	putHex(dst[start+sumAt:], crc32.Checksum(dst[start+lineHead:], castagnoli()))
	putHex(dst[start+sumAt+8:], uint32(n))
	return dst, nil
}

// CheckLine reports whether line, with its line feed, is whole and unaltered. A whole line is valid JSON as it is.
func CheckLine(line []byte) error {
	if len(line) <= lineHead || len(line) > MaxLine || line[len(line)-1] != '\n' || string(line[:sumAt]) != `{"sum":"` {
		return ErrLine
	}
	sum, ok := parseHex(line[sumAt:])
	n, ok2 := parseHex(line[sumAt+8:])
	if !ok || !ok2 || int64(n) != int64(len(line)) || string(line[sumAt+16:lineHead]) != `",` {
		return ErrLine
	}
	if crc32.Checksum(line[lineHead:], castagnoli()) != sum {
		return fmt.Errorf("%w: wrong checksum", ErrLine)
	}
	return nil
}

// putHex writes v as eight digits.
func putHex(dst []byte, v uint32) {
	for i := 7; i >= 0; i-- {
		dst[i] = hexDigits[v&15]
		v >>= 4
	}
}

// parseHex reads eight lower-case digits.
func parseHex(b []byte) (uint32, bool) {
	var v uint32
	for _, c := range b[:8] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint32(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint32(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// appendVisible appends JSON, with the characters escaped that encoding/json leaves as they are but a reader would
// not see. Outside strings JSON has only ASCII, so what is not ASCII stands in a string.
func appendVisible(dst, json []byte) []byte {
	from := 0
	for i := 0; i < len(json); {
		c := json[i]
		if c < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(json[i:])
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			dst = append(dst, json[from:i]...)
			dst = appendEscape(dst, r)
			from = i + n
		}
		i += n
	}
	return append(dst, json[from:]...)
}

// appendEscape appends a \u escape of four digits, two of them for a character beyond the first plane.
func appendEscape(dst []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		dst = appendEscape(dst, 0xd800+(r>>10))
		r = 0xdc00 + r&0x3ff
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
