package mail

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// The bounds of a header block.
const (
	maxHeader = 512 << 10 // octets of a block
	maxField  = 128 << 10 // octets of one field with its folds
	maxFields = 1000
)

// A headerBlock is one header, read strictly, with what lenient programs would see in it beside that.
type headerBlock struct {
	fields []Field  // in order; they do not overlap
	hidden []Field  // fields that only some programs see: inside a line with a bare CR, or below a leading blank
	span   Span     // with the blank line that ends it
	body   int64    // where the body begins
	others []border // where it begins for other programs
}

// A border is another reading of where a header ends.
type border struct {
	fields int   // how many fields stand before it
	body   int64 // where the body begins then
}

// A headerKind says what a header belongs to.
type headerKind int

const (
	ofMessage  headerKind = iota // the message itself
	ofPart                       // a part of a multipart
	ofAttached                   // a message attached to it
)

// A headerReader reads one header block of a space.
type headerReader struct {
	space   *space
	defects *defects
	kind    headerKind
	plain   bool // no byte of the block needs a second look
	block   string
	off     int64 // of block in the space
	headerBlock
}

// readHeader reads the header block that begins sp. It stops at the blank line, at the end of sp, or at a limit.
func readHeader(s *space, sp Span, d *defects, kind headerKind) (headerBlock, error) {
	b, err := s.bytes(Span{sp.Start, min(sp.End, sp.Start+maxHeader)})
	if err != nil {
		return headerBlock{span: Span{sp.Start, sp.Start}, body: sp.Start}, err
	}
	if h, ok := readPlain(s, sp.Start, b); ok {
		return h, nil
	}
	return readOdd(s, sp, b, d, kind), nil
}

// readOdd reads any header block that begins b, the first octets of sp, and records what is wrong with it.
func readOdd(s *space, sp Span, b []byte, d *defects, kind headerKind) headerBlock {
	end, body, count := headerEnd(b)
	r := headerReader{space: s, defects: d, kind: kind, off: sp.Start, block: string(b[:end])}
	r.body = sp.Start + int64(body)
	r.span = Span{sp.Start, r.body}
	if body == maxHeader && sp.End > r.body && end == body {
		r.defect("header.too-long", Span{sp.Start, sp.End})
	}
	r.plain = plainHeader(b[:end])
	r.fields = make([]Field, 0, min(count, maxFields))
	r.split()
	return r.headerBlock
}

// headerEnd finds the blank line: where the fields end, where the body begins, and how many fields there may be.
func headerEnd(b []byte) (end, body, count int) {
	for i := 0; i < len(b); {
		switch {
		case b[i] == '\n':
			return i, i + 1, count
		case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
			return i, i + 2, count
		case b[i] != ' ' && b[i] != '\t':
			count++
		}
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			break
		}
		i += n + 1
	}
	return len(b), len(b), count
}

// plainHeader reports whether b is ASCII without NUL and without a CR that is not part of a CRLF.
func plainHeader(b []byte) bool {
	for n := bytes.IndexByte(b, '\r'); n >= 0; {
		if n+1 >= len(b) || b[n+1] != '\n' {
			return false
		}
		next := bytes.IndexByte(b[n+1:], '\r')
		if next < 0 {
			break
		}
		n += 1 + next
	}
	return isPlainASCII(b)
}

func (r *headerReader) defect(code string, sp Span) {
	r.defects.add(code, r.space.place(sp))
}

// at makes a span of the space from offsets into the block.
func (r *headerReader) at(start, end int) Span {
	return Span{r.off + int64(start), r.off + int64(end)}
}

// split cuts the block into fields at every line that does not begin with a blank (RFC 5322 section 2.2.3).
func (r *headerReader) split() {
	start := 0
	for i := 0; i < len(r.block); {
		n := strings.IndexByte(r.block[i:], '\n')
		next := len(r.block)
		if n >= 0 {
			next = i + n + 1
		}
		if i > start && !blank(r.block[i]) {
			if !r.field(start, i) {
				return
			}
			start = i
		} else if i > start && strings.Trim(r.block[i:next], " \t\r\n") == "" {
			r.blankLine(i, next)
		}
		i = next
	}
	if start < len(r.block) {
		r.field(start, len(r.block))
	}
}

// blankLine records a line of only blanks: part of the field above it for some, the end of the header for others.
func (r *headerReader) blankLine(i, next int) {
	if next == len(r.block) {
		r.defect("header.blank-fold", r.at(i, next))
		return
	}
	r.defect("header.blank-line", r.at(i, next))
	r.others = append(r.others, border{len(r.fields) + 1, r.off + int64(next)})
}

// field reads one field with its folds. It returns false when no more are to be read.
func (r *headerReader) field(start, end int) bool {
	raw, sp := r.block[start:end], r.at(start, end)
	if len(r.fields) == maxFields {
		r.defect("header.too-many-fields", sp)
		return false
	}
	if len(raw) > maxField {
		r.defect("header.field-too-long", sp)
	}
	if blank(raw[0]) {
		r.leadingBlank(start, end)
		return true
	}
	colon := strings.IndexByte(raw, ':')
	if colon <= 0 {
		r.notField(raw, start, end)
		return true
	}
	name := raw[:colon]
	if n := name[colon-1]; blank(n) || n == '\n' || n == '\r' {
		name = strings.TrimRight(name, " \t\r\n")
		if !isFieldName(name) {
			r.notField(raw, start, end)
			return true
		}
		r.spacedName(name, raw[len(name):colon], sp)
	} else if !isFieldName(name) {
		r.notField(raw, start, end)
		return true
	}
	value := raw[colon+1:]
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	r.fields = append(r.fields, Field{Name: name, Value: value, Span: r.space.place(sp)})
	r.checkValue(raw, name, value, start, sp)
	return true
}

// spacedName records blanks or a fold between a field's name and its colon.
func (r *headerReader) spacedName(name, gap string, sp Span) {
	code := "header.space-before-colon"
	if strings.Contains(gap, "\n") {
		code = "header.folded-name"
	}
	if identity(name) {
		code += "-identity"
	}
	r.defect(code, sp)
}

// leadingBlank reads a first line that begins with a blank: a continuation of nothing, or of a field that the next
// hop puts above it; for lenient programs a field.
func (r *headerReader) leadingBlank(start, end int) {
	code := "header.leading-blank"
	if r.kind != ofMessage {
		code = "mime.header-leading-blank"
	}
	r.defect(code, r.at(start, end))
	line := start
	for line < end {
		n := strings.IndexByte(r.block[line:end], '\n') + 1
		if n == 0 {
			n = end - line
		}
		r.hiddenField(line, line+n)
		line += n
	}
}

// hiddenField keeps a field that only lenient programs see.
func (r *headerReader) hiddenField(start, end int) bool {
	text := strings.TrimLeft(r.block[start:end], " \t\r\n")
	name, value, ok := strings.Cut(text, ":")
	name = strings.TrimRight(name, " \t\r\n")
	if !ok || !isFieldName(name) || len(r.hidden) >= maxFields {
		return false
	}
	value = strings.TrimRight(value, "\r\n")
	r.hidden = append(r.hidden, Field{name, value, r.space.place(r.at(start, end))})
	return true
}

// notField records a line that is no field: skipped by some programs, the end of the header for others.
func (r *headerReader) notField(raw string, start, end int) {
	first := start == 0 && r.kind != ofPart
	switch {
	case first && (strings.HasPrefix(raw, "From ") || strings.HasPrefix(raw, ">From ")):
		r.defect("header.mbox-from", r.at(start, end))
		return
	case r.kind == ofMessage:
		r.defect("header.no-colon", r.at(start, end))
	case r.kind == ofAttached:
		r.defect("mime.message-header", r.at(start, end))
	default:
		r.defect("mime.header-no-colon", r.at(start, end))
	}
	r.others = append(r.others, border{len(r.fields), r.off + int64(start)})
	r.hiddenField(start, end)
}

// checkValue looks for bytes that programs read differently.
func (r *headerReader) checkValue(raw, name, value string, start int, sp Span) {
	if strings.HasPrefix(value, ":") {
		r.defect("header.double-colon", sp)
	}
	if r.plain {
		return
	}
	ascii, odd := true, false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c >= utf8.RuneSelf {
			ascii = false
		} else if c == 0 || c == '\r' && (i+1 == len(raw) || raw[i+1] != '\n') {
			odd = true
		}
	}
	if odd {
		r.oddBytes(raw, start, sp)
	}
	if ascii {
		return
	}
	if utf8.ValidString(value) {
		r.defect("header.utf8", sp)
	} else {
		r.defect("header.8bit", sp)
	}
}

// oddBytes records NUL and a bare CR, and keeps the fields that a program sees for which a CR ends the line.
func (r *headerReader) oddBytes(raw string, start int, sp Span) {
	if strings.IndexByte(raw, 0) >= 0 {
		r.defect("header.nul", sp)
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\r' || i+1 < len(raw) && raw[i+1] == '\n' {
			continue
		}
		if i+1 == len(raw) && start+i+1 == len(r.block) {
			break // the block was cut between CR and LF
		}
		r.defect("header.bare-cr", sp)
		n := strings.IndexByte(raw[i+1:], '\r')
		if n < 0 {
			n = len(raw) - i - 1
		}
		r.hiddenField(start+i+1, start+i+1+n)
	}
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// isFieldName reports whether s is a field name (RFC 5322 section 3.6.8).
func isFieldName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// identity reports whether readers are shown the field as who wrote the message.
func identity(name string) bool {
	switch len(name) {
	case 4:
		return strings.EqualFold(name, "From")
	case 6:
		return strings.EqualFold(name, "Sender")
	case 8:
		return strings.EqualFold(name, "Reply-To")
	case 11:
		return strings.EqualFold(name, "Resent-From")
	case 13:
		return strings.EqualFold(name, "Resent-Sender")
	}
	return false
}

// Unfold removes the folds of a field's value and the blanks around it (RFC 5322 section 2.2.3). The result is part
// of value if there is nothing to remove inside.
func Unfold(value string) string {
	value = strings.Trim(value, " \t\r\n")
	if strings.IndexByte(value, '\n') < 0 {
		return value
	}
	var b strings.Builder
	b.Grow(len(value))
	for value != "" {
		n := strings.IndexByte(value, '\n')
		if n < 0 {
			b.WriteString(value)
			break
		}
		b.WriteString(strings.TrimSuffix(value[:n], "\r"))
		value = value[n+1:]
	}
	return b.String()
}
