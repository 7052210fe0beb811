package smtp

import (
	"bufio"
	"bytes"
	"errors"
)

// ErrContent is the cause when content holds a NUL, a bare CR or a bare LF: bytes in which a next hop might see an end of
// data that is none.
var ErrContent = errors.New("content holds a NUL, a bare CR or a bare LF")

// A contentWriter writes content as DATA wants it: a dot is put before every line that begins with one (RFC 5321 section
// 4.5.2), and no other byte is changed. It refuses what ErrContent says; what was written before must then not be ended.
type contentWriter struct {
	out *bufio.Writer
	bol bool // at the beginning of a line
	cr  bool // the last byte was a CR
}

func (w *contentWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !w.clean(p) {
		return 0, ErrContent
	}
	start := 0 // of what is not written yet
	if w.bol && p[0] == '.' {
		w.out.WriteByte('.')
	}
	for at := 0; ; {
		n := bytes.IndexByte(p[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
		if at < len(p) && p[at] == '.' {
			w.out.Write(p[start:at])
			w.out.WriteByte('.')
			start = at
		}
	}
	last := p[len(p)-1]
	w.bol, w.cr = last == '\n', last == '\r'
	if _, err := w.out.Write(p[start:]); err != nil { // an earlier error is kept by out
		return 0, err
	}
	return len(p), nil
}

// clean reports whether p, after what was written before, has only CRs that an LF follows and LFs that a CR precedes,
// and no NUL. As many CRs as LFs, and each LF after a CR, is the same and quicker to see.
func (w *contentWriter) clean(p []byte) bool {
	if bytes.IndexByte(p, 0) >= 0 {
		return false
	}
	if w.cr {
		if p[0] != '\n' {
			return false
		}
		p = p[1:]
	}
	if len(p) > 0 && p[len(p)-1] == '\r' { // its LF must come with the next write
		p = p[:len(p)-1]
	}
	lines := 0
	for at := 0; ; lines++ {
		n := bytes.IndexByte(p[at:], '\n')
		if n < 0 {
			break
		}
		at += n
		if at == 0 || p[at-1] != '\r' {
			return false
		}
		at++
	}
	return bytes.Count(p, []byte{'\r'}) == lines
}

// end puts the end of data after the content. Nothing is flushed: the caller does that, and knows that from then on
// the message may have been taken.
func (w *contentWriter) end() error {
	if w.cr {
		return ErrContent
	}
	if !w.bol {
		w.out.WriteString("\r\n")
	}
	_, err := w.out.WriteString(".\r\n")
	return err
}
