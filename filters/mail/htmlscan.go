package mail

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// scan reads the tokens of a whole HTML text in memory, up to the bound. It takes what nearly all mail is made of
// itself, without an allocation for each attribute; at the first token that is odd it hands the rest to run, whose
// tokenizer knows all of the standard (HTML section 13.2.5). It writes to b.
func (r *htmlReader) scan(b []byte) {
	s := &r.scanner
	s.b, s.at, s.raw = b, 0, ""
	for odd := len(b) >= maxViewed; ; r.tokens++ {
		if odd {
			r.run(bytes.NewReader(s.b[s.at:]))
			return
		}
		if r.tokens >= maxTokens {
			r.view.unread()
			return
		}
		var more bool
		if more, odd = r.token(s); odd {
			r.tokens--
		} else if !more {
			return
		}
	}
}

// An htmlScanner is where scan stands.
type htmlScanner struct {
	b    []byte
	at   int
	raw  string // the element whose content is text up to its end tag; empty if there is none
	tag  htmlTag
	text []byte // where entities were replaced
}

// An htmlTag is one tag as it stands, its names in lower case.
type htmlTag struct {
	name   []byte
	attrs  [maxPlainAttrs]htmlAttr
	n      int
	closed bool // it ends in "/>"
	next   int  // where it ends
}

type htmlAttr struct{ key, val []byte }

const maxPlainAttrs = 32

// token reads one token. It returns more false at the end, and odd if it left the token to others.
func (r *htmlReader) token(s *htmlScanner) (more, odd bool) {
	if s.raw != "" {
		tag, n := s.raw, rawEnd(s.b[s.at:], s.raw)
		s.raw = ""
		if n > 0 {
			text := withoutNUL(s.b[s.at : s.at+n])
			if tag == "title" || tag == "textarea" {
				text = s.unescaped(text, false)
			}
			s.at += n
			r.text(text)
			return true, false
		}
	}
	rest := s.b[s.at:]
	if len(rest) == 0 {
		return false, false
	}
	if n := textEnd(rest); n > 0 {
		s.at += n
		r.text(s.unescaped(rest[:n], false))
		return true, false
	}
	switch c := rest[1]; {
	case c == '!':
		return r.markup(s, rest)
	case c == '?':
		return r.bogus(s, rest, 1), false
	case c != '/':
		return r.startTag(s)
	case len(rest) == 2:
		s.at = len(s.b)
		r.text(rest)
		return true, false
	case rest[2] == '>':
		s.at += 3
		r.conditional(nil)
		return true, false
	case !isLetterByte(rest[2]):
		return r.bogus(s, rest, 2), false
	}
	if s.tag.read(s.b, s.at+2) == tagOdd {
		return false, true
	}
	if s.tag.next == 0 {
		return false, false
	}
	s.at = s.tag.next
	r.end(atom.Lookup(s.tag.name), s.tag.name)
	return true, false
}

// startTag reads a start tag.
func (r *htmlReader) startTag(s *htmlScanner) (more, odd bool) {
	t := &s.tag
	switch t.read(s.b, s.at+1) {
	case tagOdd:
		return false, true
	case tagOpen:
		return false, false
	}
	raw := rawElement(t.name)
	if raw == "plaintext" || raw == "script" && bytes.Contains(s.b[t.next:t.next+rawEnd(s.b[t.next:], raw)], []byte("<!--")) {
		return false, true
	}
	s.at, s.raw = t.next, raw
	r.begin(t.name)
	for i := range t.attrs[:t.n] {
		a := &t.attrs[i]
		r.tokens++
		r.attrs.read(a.key, s.unescaped(oneNewline(a.val), true))
	}
	r.opened(t.closed)
	return true, false
}

// markup reads what begins with "<!": a comment, a doctype, or what is taken for a comment.
func (r *htmlReader) markup(s *htmlScanner, rest []byte) (more, odd bool) {
	if len(rest) < 9 {
		return false, true
	}
	switch body := rest[2:]; {
	case body[0] == '-' && body[1] == '-':
		body = body[2:]
		n := bytes.Index(body, []byte("-->"))
		if n < 0 || body[0] == '-' || body[0] == '>' || bytes.Contains(body[:n], []byte("--!")) {
			return false, true
		}
		s.at += 4 + n + 3
		r.comment(s, body[:n])
		return true, false
	case bytes.EqualFold(body[:7], []byte("doctype")):
		s.at += 2 + 7 + until(body[7:], '>')
		return true, false
	}
	return r.bogus(s, rest, 2), false
}

// bogus reads what is taken for a comment: from the octet at from to the next ">".
func (r *htmlReader) bogus(s *htmlScanner, rest []byte, from int) bool {
	n := until(rest[from:], '>')
	s.at += from + n
	r.comment(s, bytes.TrimSuffix(rest[from:from+n], []byte(">")))
	return true
}

// until is how many octets of b end in the first c; all if there is none.
func until(b []byte, c byte) int {
	if n := bytes.IndexByte(b, c); n >= 0 {
		return n + 1
	}
	return len(b)
}

func (r *htmlReader) comment(s *htmlScanner, text []byte) {
	if len(text) > maxShown {
		text = oneNewline(text) // before it is cut
	}
	r.conditional(s.unescaped(withoutNUL(text), false))
}

func withoutNUL(b []byte) []byte {
	if bytes.IndexByte(b, 0) < 0 {
		return b
	}
	return bytes.ReplaceAll(b, []byte{0}, []byte("\uFFFD"))
}

// oneNewline makes each line end of b a single LF (HTML section 13.2.3.5).
func oneNewline(b []byte) []byte {
	if bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
}

// textEnd is where text ends: at the first "<" behind which markup begins.
func textEnd(b []byte) int {
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], '<')
		if n < 0 || i+n+1 == len(b) {
			return len(b)
		}
		i += n
		if c := b[i+1]; isLetterByte(c) || c == '/' || c == '!' || c == '?' {
			return i
		}
	}
}

// rawElement is the name of an element whose content is text; empty for all others.
func rawElement(name []byte) string {
	switch string(name) {
	case "iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp":
		return atom.String(name)
	}
	return ""
}

// rawEnd is where the end tag of an element stands whose content is text; the length of b if it has none.
func rawEnd(b []byte, name string) int {
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], '<')
		if n < 0 {
			return len(b)
		}
		i += n
		end := i + 2 + len(name)
		if end < len(b) && b[i+1] == '/' && bytes.EqualFold(b[i+2:end], []byte(name)) && endsName(b[end]) {
			return i
		}
	}
}

// What reading a tag comes to.
type tagKind int

const (
	tagOpen  tagKind = iota // the text ends inside of it
	tagWhole                // it was read
	tagOdd                  // it is left to others
)

// read reads the tag whose name begins at i of b. It sets next to 0 if the text ends inside of the tag.
func (t *htmlTag) read(b []byte, i int) tagKind {
	start := i
	for i < len(b) && !endsName(b[i]) {
		i++
	}
	t.name, t.n, t.next = b[start:i], 0, 0
	last := -1 // where the value of the last attribute ends
	for {
		if i = skipSpace(b, i); i == len(b) {
			return tagOpen
		}
		if b[i] == '>' {
			break
		}
		var a htmlAttr
		var valueEnd int
		if i, valueEnd = a.read(b, i); i < 0 {
			return tagOpen
		}
		if len(a.key) == 0 {
			continue
		}
		lowerASCII(a.key)
		if t.has(a.key) {
			continue
		}
		if t.n == maxPlainAttrs {
			return tagOdd
		}
		t.attrs[t.n], last = a, valueEnd
		t.n++
	}
	if bytes.IndexByte(b[start:i], 0) >= 0 {
		return tagOdd
	}
	lowerASCII(t.name)
	t.closed = b[i-1] == '/' && (t.n == 0 || i-1 != last-1)
	t.next = i + 1
	return tagWhole
}

func (t *htmlTag) has(key []byte) bool {
	for i := range t.attrs[:t.n] {
		if bytes.Equal(t.attrs[i].key, key) {
			return true
		}
	}
	return false
}

// read reads the attribute at i of b, and returns where it ends, and where its value does. The first is negative if
// the text ends inside of it.
func (a *htmlAttr) read(b []byte, i int) (next, valueEnd int) {
	start := i
	for i < len(b) && !endsName(b[i]) && (b[i] != '=' || i == start) {
		i++
	}
	a.key, valueEnd = b[start:i], i
	if i = skipSpace(b, i); i == len(b) {
		return -1, 0
	}
	switch b[i] {
	case '/':
		return i + 1, valueEnd
	case '=':
	default:
		return i, valueEnd
	}
	if i = skipSpace(b, i+1); i == len(b) {
		return -1, 0
	}
	switch c := b[i]; c {
	case '>':
		return i, valueEnd
	case '"', '\'':
		n := bytes.IndexByte(b[i+1:], c)
		if n < 0 {
			return -1, 0
		}
		a.val = b[i+1 : i+1+n]
		return i + n + 2, i + 1 + n
	}
	start = i
	for i < len(b) && b[i] != '>' && !isSpace(b[i]) {
		i++
	}
	if i == len(b) {
		return -1, 0
	}
	a.val = b[start:i]
	return i, i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' }

func endsName(c byte) bool { return isSpace(c) || c == '/' || c == '>' }

func isLetterByte(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

func lowerASCII(b []byte) {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// unescaped replaces the character references of b (HTML section 13.2.5.72). What it returns holds until the next call.
func (s *htmlScanner) unescaped(b []byte, attribute bool) []byte {
	n := bytes.IndexByte(b, '&')
	if n < 0 {
		return b
	}
	out := s.text[:0]
	for n >= 0 {
		out = append(out, b[:n]...)
		b = b[n:]
		size := referenceEnd(b)
		out = appendReference(out, b, size, attribute)
		b = b[size:]
		n = bytes.IndexByte(b, '&')
	}
	s.text = append(out, b...)
	return s.text
}

// referenceEnd is the length of what may be a character reference at the beginning of b.
func referenceEnd(b []byte) int {
	i := 1
	if i < len(b) && b[i] == '#' {
		i++
	}
	for i < len(b) && isAlnum(b[i]) {
		i++
	}
	if i < len(b) && b[i] == ';' {
		i++
	}
	return i
}

// appendReference appends what the first size octets of b mean. In an attribute a name counts only if it is whole, and
// without a semicolon only if no "=" follows.
func appendReference(out, b []byte, size int, attribute bool) []byte {
	ref := b[:size]
	switch string(ref) {
	case "&nbsp;":
		return append(out, "\u00a0"...)
	case "&amp;":
		return append(out, '&')
	case "&", "&;":
		return append(out, ref...)
	}
	if attribute && ref[1] != '#' && ref[size-1] != ';' && size < len(b) && b[size] == '=' {
		return append(out, ref...)
	}
	text := html.UnescapeString(string(ref))
	if attribute && ref[1] != '#' {
		whole := utf8.RuneCountInString(text) == 1
		if ref[size-1] == ';' {
			whole = text[len(text)-1] != ';' || text == ";"
		}
		if !whole {
			return append(out, ref...)
		}
	}
	return append(out, text...)
}
