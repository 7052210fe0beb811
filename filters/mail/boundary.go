package mail

import (
	"bytes"
)

// A delimiter is one boundary line of a multipart body (RFC 2046 section 5.1.1).
type delimiter struct {
	start int64 // where the part before it ends: before the line end that belongs to the delimiter
	end   int64 // where the next part begins
	close bool  // the last one: "--" follows the boundary
	inner bool  // the boundary of an inner multipart that begins alike
	loose bool  // something else follows, or a bare CR stands before it: a delimiter for some programs only
}

var dashes = []byte("--")

const maxDelimiters = 2 * maxParts

// findDelimiters appends all lines that begin with "--" and boundary. Work is linear in the length of sp.
func findDelimiters(list []delimiter, s *space, sp Span, boundary string) ([]delimiter, error) {
	pattern := []byte("--" + boundary)
	const tail = 1024 // how much of a line is looked at behind the boundary
	keep := len(pattern) + tail + 8
	next := sp.Start
	err := s.windows(sp, keep, func(off int64, b []byte, last bool) bool {
		limit := len(b)
		if !last {
			limit -= keep - 8
		}
		for i := max(0, int(next-off)); len(list) < maxDelimiters; {
			n := bytes.Index(b[i:], pattern)
			if n < 0 || i+n >= limit {
				break
			}
			at := i + n
			i = at + len(pattern)
			if off+int64(at) > sp.Start && at > 0 && b[at-1] != '\n' && b[at-1] != '\r' {
				continue
			}
			d := readDelimiter(b, at, i)
			d.start += off
			d.end += off
			if !d.inner {
				list = append(list, d)
			}
		}
		next = off + int64(limit)
		return len(list) < maxDelimiters
	})
	return list, err
}

// delimiters does what findDelimiters does with the lines that are known to begin with "--".
func (m *marks) delimiters(list []delimiter, data []byte, sp Span, boundary string) []delimiter {
	b := data[sp.Start:sp.End]
	known := m.within(sp)
	if len(known) == 0 || int64(known[0]) > sp.Start {
		list = delimiterAt(list, b, 0, sp.Start, boundary) // where the body begins need not be where a line does
	}
	for _, at := range known {
		list = delimiterAt(list, b, at-int(sp.Start), sp.Start, boundary)
	}
	return list
}

// delimiterAt appends the delimiter at at of b, which stands at off, if there is one.
func delimiterAt(list []delimiter, b []byte, at int, off int64, boundary string) []delimiter {
	line := b[at:]
	if len(line) < 2+len(boundary) || line[0] != '-' || line[1] != '-' || string(line[2:2+len(boundary)]) != boundary {
		return list
	}
	d := readDelimiter(b, at, at+2+len(boundary))
	d.start += off
	d.end += off
	if d.inner {
		return list
	}
	return append(list, d)
}

// readDelimiter reads the line at at, whose boundary ends at i.
func readDelimiter(b []byte, at, i int) delimiter {
	d := delimiter{start: int64(at)}
	if at > 0 && b[at-1] == '\n' {
		d.start--
		if at > 1 && b[at-2] == '\r' {
			d.start--
		}
	} else if at > 0 {
		d.start--
		d.loose = true
	}
	line := b[i:]
	n := bytes.IndexByte(line, '\n')
	d.end = int64(i + n + 1)
	if n < 0 {
		n = len(line)
		d.end = int64(len(b))
	}
	rest := bytes.TrimRight(line[:n], " \t\r")
	if s := string(bytes.TrimSuffix(rest, dashes)); s == ".REL" || s == ".ALT" {
		d.inner = true // Eudora made the boundaries of inner multiparts so for twenty years
	}
	switch {
	case len(rest) == 0:
	case len(rest) >= 2 && rest[0] == '-' && rest[1] == '-':
		d.close = true
		d.loose = d.loose || len(rest) > 2
	default:
		d.loose = true
	}
	if len(rest) == 0 && bytes.IndexByte(line[:n], '\r') >= 0 && bytes.Count(line[:n], cr) > 1 {
		d.loose = true
	}
	return d
}

// sniffBoundaries looks for boundaries that nobody declared: a line of "--" and text, followed by a Content field.
func sniffBoundaries(s *space, sp Span) []string {
	b, err := s.bytes(Span{sp.Start, min(sp.End, sp.Start+window)})
	if err != nil {
		return nil
	}
	var list []string
	for i := 0; len(list) < 4; {
		n := bytes.Index(b[i:], []byte("--"))
		if n < 0 {
			break
		}
		at := i + n
		if at > 0 && b[at-1] != '\n' {
			i = at + 2
			continue
		}
		line, rest := nextLine(b[at:])
		i = at + len(line) + 1
		if len(line) > 2 && len(line) <= 202 && len(rest) > 12 && bytes.EqualFold(rest[:8], []byte("content-")) {
			list = appendNew(list, string(bytes.TrimRight(line[2:], " \t")))
		}
		if i >= len(b) {
			break
		}
	}
	return list
}
