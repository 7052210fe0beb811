package smtp

import (
	"bufio"
	"encoding/binary"
	"errors"
)

// ErrContent is the cause when content holds a NUL, a bare CR or a bare LF: bytes in which a next hop might see an end of
// data that is none.
var ErrContent = errors.New("content holds a NUL, a bare CR or a bare LF")

// A contentWriter writes content as DATA wants it: a dot is put before every line that begins with one (RFC 5321 section
// 4.5.2), and no other byte is changed. It refuses what ErrContent says; what was written before must then not be ended.
type contentWriter struct {
	out  *bufio.Writer
	last byte // written; a LF before the first
}

func newContentWriter(out *bufio.Writer) *contentWriter { return &contentWriter{out: out, last: '\n'} }

// Write takes any piece of the content; lines may lie across pieces.
func (w *contentWriter) Write(p []byte) (int, error) {
	start := 0 // of what is not written yet
	last := w.last
	for at := 0; at < len(p); {
		// Most of eight bytes are neither line ends nor next to one.
		if last > '\r' && len(p)-at >= 8 && !anyControl(binary.LittleEndian.Uint64(p[at:])) {
			last = p[at+7]
			at += 8
			continue
		}
		for end := min(at+8, len(p)); at < end; at++ {
			b := p[at]
			if (last == '\r') != (b == '\n') || b == 0 {
				return 0, ErrContent
			}
			if last == '\n' && b == '.' {
				w.out.Write(p[start:at])
				w.out.WriteByte('.')
				start = at
			}
			last = b
		}
	}
	w.last = last
	if _, err := w.out.Write(p[start:]); err != nil { // an earlier error is kept by out
		return 0, err
	}
	return len(p), nil
}

// anyControl reports whether any of the eight bytes of x is a CR or less.
func anyControl(x uint64) bool {
	const ones = 0x0101010101010101
	return (x-ones*('\r'+1))&^x&(ones<<7) != 0
}

// end puts the end of data after the content. Nothing is flushed: the caller does that, and knows that from then on
// the message may have been taken.
func (w *contentWriter) end() error {
	if w.last == '\r' {
		return ErrContent
	}
	if w.last != '\n' {
		w.out.WriteString("\r\n")
	}
	_, err := w.out.WriteString(".\r\n")
	return err
}
