package auth

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"
)

// special marks the bytes at which relaxed canonicalisation has to look.
var special = [256]bool{' ': true, '\t': true, '\r': true, '\n': true}

// A bodyCanon feeds the canonical form of a body (RFC 6376 section 3.4.3 and 3.4.4) to a hash, in any chunks.
type bodyCanon struct {
	relaxed bool
	unix    bool  // bare LF ends a line
	limit   int64 // how many bytes of the canonical form are hashed; -1: all
	total   int64 // length of the canonical form
	h       hash.Hash
	out     []byte

	lines int  // line ends that are written only if something follows
	blank bool // white space that is written only if something follows on the line
	cr    bool // a CR at the end of the last chunk
	fresh bool // a line begins here
}

// scratch holds buffers for canonical bytes and for reading bodies from disk.
type scratch struct{ canon, read []byte }

const (
	canonBuffer = 16 << 10
	readBuffer  = 64 << 10
)

// buffers is a pool of scratch space; a value in it holds nothing between uses.
type buffers struct{ pool sync.Pool }

func (b *buffers) take() *scratch {
	if s, ok := b.pool.Get().(*scratch); ok {
		return s
	}
	return &scratch{canon: make([]byte, 0, canonBuffer+1024)}
}

func (b *buffers) give(s *scratch) { b.pool.Put(s) }

// bodyHash returns the hash of the canonical body, or of its first limit bytes, and the length of the whole.
func (b *block) bodyHash(relaxed bool, limit int64, s *scratch) ([]byte, int64, error) {
	c := bodyCanon{relaxed: relaxed, unix: b.unix, limit: limit, h: sha256.New(), out: s.canon[:0], fresh: true}
	if b.whole != nil {
		c.write(b.whole[b.body:])
	} else {
		if s.read == nil {
			s.read = make([]byte, readBuffer)
		}
		for at, size := b.body, b.src.Size(); at < size; {
			n, err := b.src.ReadAt(s.read[:min(int64(len(s.read)), size-at)], at)
			if n == 0 && err != nil {
				return nil, 0, fmt.Errorf("read body: %w", noEOF(err))
			}
			c.write(s.read[:n])
			at += int64(n)
		}
	}
	sum := c.close()
	s.canon = c.out[:0]
	return sum, c.total, nil
}

// noEOF names an end of file where there should be none.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// write takes the next chunk of the body.
func (c *bodyCanon) write(p []byte) {
	i := 0
	if c.cr && len(p) > 0 {
		c.cr = false
		if p[0] == '\n' {
			i = 1
			c.lineEnd()
		} else {
			c.put("\r")
		}
	}
	for i < len(p) {
		if c.fresh && !c.unix {
			if j := c.canonical(p, i); j > i {
				c.pending()
				c.flush()
				c.hash(p[i : j-len("\r\n")])
				c.lines, i = 1, j
				continue
			}
		}
		c.fresh = false
		j := c.plain(p, i)
		if j > i {
			c.pending()
			for j-i > canonBuffer {
				c.out = append(c.out, p[i:i+canonBuffer]...)
				c.flush()
				i += canonBuffer
			}
			c.out = append(c.out, p[i:j]...)
			c.flushIfFull()
			i = j
			continue
		}
		switch p[i] {
		case '\r':
			switch {
			case i+1 == len(p):
				c.cr = true
			case p[i+1] == '\n':
				i++
				c.lineEnd()
			default:
				c.put("\r")
			}
		case '\n':
			if c.unix {
				c.lineEnd()
			} else {
				c.put("\n")
			}
		default:
			c.blank = true // only when relaxed
		}
		i++
	}
}

// canonical is the end of the run of whole lines from i on that are in canonical form as they are, empty ones at its end
// left out: most of most bodies. It is i if the line there is none.
func (c *bodyCanon) canonical(p []byte, i int) int {
	end := i
	for at := i; ; {
		n := bytes.IndexByte(p[at:], '\n')
		if n < 1 || p[at+n-1] != '\r' {
			return end
		}
		line := p[at : at+n-1]
		at += n + 1
		if len(line) == 0 {
			continue
		}
		if last := line[len(line)-1]; c.relaxed && (last == ' ' || last == '\t' || bytes.IndexByte(line, '\t') >= 0 || bytes.Contains(line, twoBlanks)) {
			return end
		}
		end = at
	}
}

// twoBlanks is what relaxed canonicalisation makes one of; read-only.
var twoBlanks = []byte("  ")

// plain is the end of the run of bytes from i on that are copied as they are. A single space between two others
// belongs to it.
func (c *bodyCanon) plain(p []byte, i int) int {
	if !c.relaxed {
		for i < len(p) && p[i] != '\r' && p[i] != '\n' {
			i++
		}
		return i
	}
	start := i
	for i < len(p) {
		if !special[p[i]] {
			i++
			continue
		}
		if p[i] == ' ' && i > start && i+1 < len(p) && !special[p[i+1]] {
			i += 2
			continue
		}
		break
	}
	return i
}

func (c *bodyCanon) lineEnd() {
	c.blank, c.fresh = false, true
	c.lines++
}

// pending writes the line ends and the blank that turned out to be inside the body.
func (c *bodyCanon) pending() {
	for ; c.lines > 0; c.lines-- {
		c.out = append(c.out, '\r', '\n')
		c.flushIfFull()
	}
	if c.blank {
		c.out = append(c.out, ' ')
		c.blank = false
	}
}

func (c *bodyCanon) put(s string) {
	c.pending()
	c.out = append(c.out, s...)
}

func (c *bodyCanon) flushIfFull() {
	if len(c.out) >= canonBuffer {
		c.flush()
	}
}

// flush hashes what is in the buffer.
func (c *bodyCanon) flush() {
	c.hash(c.out)
	c.out = c.out[:0]
}

// hash takes the next canonical bytes.
func (c *bodyCanon) hash(p []byte) {
	c.total += int64(len(p))
	if c.limit >= 0 {
		p = p[:max(0, int64(len(p))-max(0, c.total-c.limit))]
	}
	c.h.Write(p)
}

// close ends the body and returns the hash.
func (c *bodyCanon) close() []byte {
	if c.cr {
		c.cr = false
		c.put("\r")
	}
	if c.total > 0 || len(c.out) > 0 || !c.relaxed {
		c.out = append(c.out, '\r', '\n')
	}
	c.flush()
	return c.h.Sum(nil)
}

// A headCanon says how header fields are canonicalised.
type headCanon struct {
	relaxed bool
	unix    bool // bare LF ends a line
}

// appendField appends the canonical form of a field without its final line end (RFC 6376 section 3.4.1 and 3.4.2).
func (h headCanon) appendField(out []byte, raw string) []byte {
	if !h.relaxed {
		return appendLines(out, raw, h.unix)
	}
	colon := 0
	for colon < len(raw) && raw[colon] != ':' {
		colon++
	}
	for i := 0; i < colon; i++ {
		switch c := raw[i]; {
		case 'A' <= c && c <= 'Z':
			out = append(out, c+32)
		case c == ' ' || c == '\t':
		default:
			out = append(out, c)
		}
	}
	out = append(out, ':')
	return appendValue(out, raw[min(colon+1, len(raw)):])
}

// appendValue appends an unfolded value with its white space reduced.
func appendValue(out []byte, v string) []byte {
	blank, first := false, true
	for i := 0; i < len(v); i++ {
		c := v[i]
		if special[c] {
			blank = true
			continue
		}
		if blank && !first {
			out = append(out, ' ')
		}
		blank, first = false, false
		j := i + 1
		for j < len(v) && !special[v[j]] {
			j++
		}
		out = append(out, v[i:j]...)
		i = j - 1
	}
	return out
}

// appendLines appends raw with every line end as CRLF.
func appendLines(out []byte, raw string, unix bool) []byte {
	if !unix {
		return append(out, raw...)
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\n' && (i == 0 || raw[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, raw[i])
	}
	return out
}
