package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"gatepost/filters/mail"
)

// The bounds within which a header block is read for signatures. A gateway refuses larger ones before; here they keep the
// cost of hostile files in hand.
const (
	maxHeader = 512 << 10
	maxFields = 1000
)

var (
	errHeaderSize  = errors.New("header block is larger than 512 KiB")
	errHeaderCount = errors.New("more than 1000 header fields")
)

// A field is one header field as signatures see it.
type field struct {
	name  string // as written, without blanks before the colon; empty for a line that is no field
	raw   string // the whole field without its final line end
	start int    // where it begins in the message
}

// value is what stands after the colon, folds included.
func (f *field) value() string { return f.raw[strings.IndexByte(f.raw, ':')+1:] }

// is reports whether the field has this name, in lower case.
func (f *field) is(name string) bool {
	return len(f.name) == len(name) && strings.EqualFold(f.name, name)
}

// span is where the field stands, with its final line end.
func (f *field) span(b *block) mail.Span {
	end := f.start + len(f.raw)
	if end < len(b.head) && b.head[end] == '\r' {
		end++
	}
	if end < len(b.head) && b.head[end] == '\n' {
		end++
	}
	return mail.Span{Start: int64(f.start), End: int64(end)}
}

// A block is a message as signatures see it: exact header fields, and a body to be hashed.
type block struct {
	head   string // the header block with the empty line
	fields []field
	src    mail.Source
	whole  []byte // the message, if it is in memory; else nil
	body   int64  // where the body begins
	// unix says that lines end in bare LF from the first on, as in a file on disk; they are taken for CRLF. In a message
	// whose first line ends in CRLF a bare LF is content, as it is to every signer.
	unix bool
}

// inMemory is a Source that can show its bytes without a copy.
type inMemory interface{ Bytes() []byte }

// scan finds the header fields of a message.
func scan(src mail.Source) (*block, error) {
	b := &block{src: src}
	if s, ok := src.(inMemory); ok {
		b.whole = s.Bytes()
	}
	head, err := b.readHead()
	if err != nil {
		return nil, err
	}
	b.head = head
	b.body = int64(len(head))
	b.fields = make([]field, 0, 32)
	for at := 0; at < len(head); {
		end, next := b.fieldEnd(at)
		if end == at {
			break // the empty line
		}
		if len(b.fields) == maxFields {
			return nil, errHeaderCount
		}
		raw := head[at:end]
		b.fields = append(b.fields, field{name: fieldName(raw), raw: raw, start: at})
		at = next
	}
	return b, nil
}

// fieldName is the name of a field, or "" for a line that has none: no colon, or a blank where the name should be.
func fieldName(raw string) string {
	colon := strings.IndexByte(raw, ':')
	if colon <= 0 {
		return ""
	}
	name := strings.TrimRight(raw[:colon], " \t")
	for i := 0; i < len(name); i++ {
		if name[i] <= ' ' || name[i] > '~' {
			return ""
		}
	}
	return name
}

// fieldEnd is where the field that begins at at ends, without and with its line end.
func (b *block) fieldEnd(at int) (end, next int) {
	for i := at; ; {
		n := strings.IndexByte(b.head[i:], '\n')
		if n < 0 {
			return len(b.head), len(b.head)
		}
		n += i
		next = n + 1
		end = n
		if n > at && b.head[n-1] == '\r' {
			end = n - 1
		} else if !b.unix {
			i = next // a bare LF is content
			continue
		}
		if end == at || next == len(b.head) || b.head[next] != ' ' && b.head[next] != '\t' {
			return end, next
		}
		i = next
	}
}

// readHead returns the header block including the empty line, or the whole message if there is no empty line.
func (b *block) readHead() (string, error) {
	if b.whole != nil {
		b.unix = unixLines(b.whole)
		n := headEnd(b.whole, b.unix)
		if n > maxHeader {
			return "", errHeaderSize
		}
		return string(b.whole[:n]), nil
	}
	size := b.src.Size()
	for want := int64(16 << 10); ; want *= 4 {
		want = min(want, size, maxHeader+4)
		buf := make([]byte, want)
		if n, err := b.src.ReadAt(buf, 0); int64(n) < want && err != io.EOF {
			return "", fmt.Errorf("read header block: %w", err)
		}
		b.unix = unixLines(buf)
		n := headEnd(buf, b.unix)
		switch {
		case n < len(buf) || want == size:
			return string(buf[:n]), nil
		case want > maxHeader:
			return "", errHeaderSize
		}
	}
}

// unixLines reports whether the first line ends in a bare LF.
func unixLines(b []byte) bool {
	n := bytes.IndexByte(b, '\n')
	return n == 0 || n > 0 && b[n-1] != '\r'
}

// headEnd is the length of the header block with the empty line.
func headEnd(b []byte, unix bool) int {
	if unix {
		if len(b) > 0 && b[0] == '\n' {
			return 1
		}
		if i := bytes.Index(b, []byte("\n\n")); i >= 0 {
			return i + 2
		}
		return len(b)
	}
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return 2
	}
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return len(b)
}
