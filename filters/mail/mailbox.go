package mail

import (
	"strings"
)

// A Mailbox is one address of a header field as a reader may be shown it: read as tolerantly as the most tolerant
// mail program reads it. Unlike an Address it is never used to send mail.
type Mailbox struct {
	Name    string   // display name, or the comment in its place; decoded, without characters that cannot be seen
	Address string   // local-part@domain as written, decoded, without characters that cannot be seen
	Domain  string   // canonical: lower case, A-labels, or an address literal; empty if it can be no domain
	Span    Span     // the field that it stands in
	Defects []string // what is odd about it: the Mailbox constants
}

// What can be odd about a Mailbox.
const (
	MailboxOdd      = "odd"              // not the syntax of RFC 5322, yet only one reading
	MailboxRoute    = "route"            // an obsolete source route stands before it (RFC 5322 section 4.4)
	MailboxEncoded  = "encoded"          // stands only inside an encoded-word or inside quotation marks
	MailboxUnquoted = "unquoted-address" // stands unquoted before another address in angle brackets
	MailboxSplit    = "split"            // junk around it makes programs pick different addresses
	MailboxDomain   = "bad-domain"       // its domain can be no domain
	MailboxHidden   = "hidden"           // name or address hold characters that a reader cannot see
	MailboxLookName = "name-address"     // its display name is, or ends in, an address at another domain
	MailboxTooMany  = "too-many"         // it is the last of more than maxMailboxes
)

const maxMailboxes = 4000 // of one field

// ParseMailboxes reads the value of an address field (RFC 5322 section 3.4) and returns every address that some mail
// program would show for it, in order. Work and memory are linear in the length of value.
func ParseMailboxes(value string) []Mailbox { return appendMailboxes(nil, value) }

// A mailboxReader reads one address field.
type mailboxReader struct {
	s        string
	list     []Mailbox
	e        element
	noQuote  bool // no quotation mark ahead closes
	noParens bool // no parenthesis ahead can be trusted
}

// An element is what stands between two commas.
type element struct {
	before  []byte // the text before the first angle bracket, quotation marks kept
	after   []byte // and after one
	name    []byte // the text before, without quotation marks
	plain   []byte // the text before, without what was quoted
	comment string
	angles  []string
	quoted  bool // something was quoted
	odd     bool // something is no syntax at all
	split   bool // a backslash stands where programs take it for different things
}

func (e *element) empty() bool {
	return len(e.before) == 0 && len(e.after) == 0 && len(e.angles) == 0 && e.comment == "" && !e.quoted
}

func (r *mailboxReader) read() {
	for i := 0; i < len(r.s); {
		switch c := r.s[i]; c {
		case '"':
			i = r.quote(i)
		case '(':
			i = r.parens(i)
		case '<':
			i = r.angle(i)
		case '[':
			n := strings.IndexAny(r.s[i:], "],<")
			if n > 0 && r.s[i+n] == ']' {
				r.text(r.s[i : i+n+1])
				i += n + 1
			} else {
				r.text("[")
				i++
			}
		case ',', ';':
			r.flush()
			i++
		case ':':
			r.e = element{} // a group's name
			i++
		case '\\', '>', ')':
			r.e.odd = true
			r.e.split = r.e.split || c == '\\'
			i++
		default:
			n := strings.IndexAny(r.s[i+1:], "\"(<[,;:\\>)")
			if n < 0 {
				n = len(r.s) - i - 1
			}
			r.text(r.s[i : i+1+n])
			i += 1 + n
		}
	}
	r.flush()
}

// text adds unquoted text to the element.
func (r *mailboxReader) text(s string) {
	if len(r.e.angles) > 0 {
		r.e.after = append(r.e.after, s...)
		return
	}
	r.e.before = append(r.e.before, s...)
	r.e.name = append(r.e.name, s...)
	r.e.plain = append(r.e.plain, s...)
}

// quote reads a quoted-string at i and returns where it ends.
func (r *mailboxReader) quote(i int) int {
	if !r.noQuote {
		if end := quotedEnd(r.s, i); end > 0 {
			r.e.quoted = true
			if len(r.e.angles) > 0 {
				r.e.after = append(r.e.after, r.s[i:end]...)
				return end
			}
			r.e.before = append(r.e.before, r.s[i:end]...)
			r.e.name = append(r.e.name, unquote(r.s[i:end])...)
			return end
		}
	}
	r.noQuote, r.e.odd = true, true
	return i + 1
}

// quotedEnd is the offset behind the quoted-string that begins at i, 0 if it does not end.
func quotedEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// unquote removes quotation marks and the backslashes of quoted pairs.
func unquote(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, `"`), `"`)
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// parens reads a comment at i, however deeply nested, and returns where it ends.
func (r *mailboxReader) parens(i int) int {
	if !r.noParens {
		if end := commentEnd(r.s, i); end > 0 {
			if r.e.comment == "" {
				r.e.comment = r.s[i+1 : end-1]
			}
			return end
		}
	}
	r.noParens, r.e.odd = true, true
	return i + 1
}

// commentEnd is the offset behind the comment that begins at i, 0 if it does not end.
func commentEnd(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// angle reads an address in angle brackets at i and returns where it ends.
func (r *mailboxReader) angle(i int) int {
	start := i + 1
	for i = start; i < len(r.s); i++ {
		switch r.s[i] {
		case '>':
			r.e.angles = append(r.e.angles, r.s[start:i])
			return i + 1
		case '<':
			r.e.odd = true
			if strings.Trim(r.s[start:i], " \t\r\n") != "" {
				r.e.angles = append(r.e.angles, r.s[start:i])
			}
			return i
		case '"':
			if r.noQuote {
				continue
			}
			if end := quotedEnd(r.s, i); end > 0 {
				i = end - 1
			} else {
				r.noQuote = true
			}
		}
	}
	r.e.odd = true
	r.e.angles = append(r.e.angles, r.s[start:])
	return len(r.s)
}

// flush turns the element into mailboxes.
func (r *mailboxReader) flush() {
	e := r.e
	r.e = element{}
	if e.empty() || len(r.list) > maxMailboxes {
		return
	}
	if len(r.list) == maxMailboxes {
		r.list[maxMailboxes-1].Defects = append(r.list[maxMailboxes-1].Defects, MailboxTooMany)
		r.list = append(r.list, Mailbox{})[:maxMailboxes]
		return
	}
	first := len(r.list)
	if len(e.angles) == 0 {
		r.bare(e)
	} else {
		r.bracketed(e)
	}
	if e.odd {
		r.taint(len(r.list)-first, MailboxOdd)
	}
	if e.split {
		r.taint(len(r.list)-first, MailboxSplit)
	}
}

// bracketed handles: phrase <address>, with whatever else stands around it.
func (r *mailboxReader) bracketed(e element) {
	rawName := Unfold(string(e.name))
	if rawName == "" {
		rawName = Unfold(e.comment)
	}
	name := DecodeWords(rawName)
	var main string
	for _, a := range e.angles {
		m := r.add(name, a)
		if main == "" && m != nil {
			main = m.Domain
		}
	}
	if len(e.angles) > 1 {
		r.taint(len(e.angles), MailboxSplit)
	}
	for _, w := range addressWords(string(e.plain)) {
		if m := r.add(name, w); m != nil && !r.same(m) {
			m.Defects = append(m.Defects, MailboxUnquoted)
		}
	}
	if after := strings.TrimSpace(string(e.after)); after != "" {
		for _, w := range addressWords(after) {
			r.add(name, w)
			r.taint(2, MailboxSplit)
		}
		r.taint(1, MailboxOdd)
	}
	r.lookName(name, rawName, main)
}

// lookName looks for addresses in the display name, which a reader may take for the author.
func (r *mailboxReader) lookName(name, raw, main string) {
	words := addressWords(name)
	if len(words) == 0 || len(r.list) == 0 {
		return
	}
	m := &r.list[len(r.list)-1]
	hidden := raw != name && strings.ContainsAny(name, "<>")
	for _, w := range words {
		domain := domainOf(w)
		if domain == "" || domain == main {
			continue
		}
		m.Defects = append(m.Defects, MailboxLookName)
		if hidden {
			// Some programs decode first and parse then: the reader is shown this address.
			if x := r.add("", w); x != nil {
				x.Defects = append(x.Defects, MailboxEncoded)
			}
		}
		return
	}
}

// bare handles an element without angle brackets: an address, or a name alone.
func (r *mailboxReader) bare(e element) {
	text := Unfold(string(e.before))
	words := addressWords(text)
	name := DecodeWords(Unfold(e.comment))
	rest := text
	for _, w := range words {
		if m := r.add(name, w); m != nil {
			if len(words) > 1 {
				m.Defects = append(m.Defects, MailboxSplit)
			} else if rest = strings.Replace(rest, w, "", 1); strings.Trim(rest, " \t\r\n.") != "" {
				m.Defects = append(m.Defects, MailboxOdd)
				m.Name = Visible(DecodeWords(strings.TrimSpace(unquote(rest))))
			}
		}
	}
	if len(words) > 0 {
		if n := len(r.list); n > 0 {
			r.lookName(r.list[n-1].Name, r.list[n-1].Name, r.list[n-1].Domain)
		}
		return
	}
	// No address in plain sight: programs that decode and unquote before they parse may find one.
	for _, w := range addressWords(DecodeWords(string(e.name))) {
		if m := r.add(name, w); m != nil {
			m.Defects = append(m.Defects, MailboxEncoded)
		}
	}
}

// taint marks the last n mailboxes.
func (r *mailboxReader) taint(n int, defect string) {
	for i := max(0, len(r.list)-n); i < len(r.list); i++ {
		r.list[i].Defects = append(r.list[i].Defects, defect)
	}
}

// same reports whether the list holds m's address before m, and if so removes m.
func (r *mailboxReader) same(m *Mailbox) bool {
	last := len(r.list) - 1
	for i := max(0, last-4); i < last; i++ {
		if strings.EqualFold(r.list[i].Address, m.Address) {
			r.list[i].Defects = append(r.list[i].Defects, MailboxOdd)
			r.list = r.list[:last]
			return true
		}
	}
	return false
}

// add appends the mailbox for one addr-spec, if it is anything like one.
func (r *mailboxReader) add(name, spec string) *Mailbox {
	m := Mailbox{Name: Visible(name)}
	spec = strings.Trim(spec, " \t\r\n")
	if strings.Contains(spec, "=?") {
		spec = DecodeWords(spec)
		m.Defects = append(m.Defects, MailboxEncoded)
	}
	if spec != "" && spec[0] == '@' {
		if n := strings.IndexByte(spec, ':'); n > 0 {
			spec = spec[n+1:]
			m.Defects = append(m.Defects, MailboxRoute)
		}
	}
	if len(spec) > 7 && strings.EqualFold(spec[:7], "mailto:") {
		spec = spec[7:]
		m.Defects = append(m.Defects, MailboxOdd)
	}
	at := strings.LastIndexByte(spec, '@')
	if at <= 0 {
		return nil
	}
	local, domain := squeeze(spec[:at]), squeeze(spec[at+1:])
	if strings.IndexByte(local, '@') >= 0 && !strings.HasPrefix(local, `"`) {
		m.Defects = append(m.Defects, MailboxSplit)
	}
	m.Address = guess([]byte(local + "@" + domain))
	if Hidden(m.Address) || Hidden(name) {
		m.Defects = append(m.Defects, MailboxHidden)
		m.Address = Visible(m.Address)
	}
	if m.Domain = domainOf("x@" + domain); m.Domain == "" {
		m.Defects = append(m.Defects, MailboxDomain)
	}
	r.list = append(r.list, m)
	return &r.list[len(r.list)-1]
}

// squeeze removes comments and the blanks around dots that RFC 5322 section 4.4 allowed.
func squeeze(s string) string {
	if strings.IndexByte(s, '"') >= 0 || !strings.ContainsAny(s, " \t\r\n(") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
		case '(':
			end := commentEnd(s, i)
			if end == 0 {
				return b.String()
			}
			i = end - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// domainOf is the canonical domain of an address, empty if it has none.
func domainOf(address string) string {
	domain := address[strings.LastIndexByte(address, '@')+1:]
	if ip, ok := parseLiteral(domain); ok {
		return literal(ip)
	}
	d, err := CanonicalDomain(guess([]byte(domain)))
	if err != nil {
		return ""
	}
	return d
}

// addressWords finds what looks like addresses in running text: words around an "@", with a quoted local part.
func addressWords(s string) []string {
	var words []string
	for from := 0; from < len(s) && len(words) < 10; {
		n := strings.IndexByte(s[from:], '@')
		if n < 0 {
			break
		}
		at := from + n
		start, end := at, at+1
		for end < len(s) && (s[end] == ' ' || s[end] == '\t') && start == at && end < at+3 {
			end++
		}
		for start > from && (s[start-1] == ' ' || s[start-1] == '\t') && start > at-2 {
			start--
		}
		if start > from && s[start-1] == '"' {
			if q := strings.LastIndexByte(s[from:start-1], '"'); q >= 0 {
				start = from + q
			}
		} else {
			for start > from && !isDelimiter(s[start-1]) {
				start--
			}
		}
		if n := strings.IndexByte(s[end:min(len(s), end+64)], ']'); n > 0 && s[end] == '[' {
			end += n + 1
		}
		for end < len(s) && (!isDelimiter(s[end]) || s[end] == '@') {
			end++
		}
		if w := strings.Trim(s[start:end], " \t\r\n."); len(w) > 2 && w[0] != '@' && w[len(w)-1] != '@' {
			words = append(words, w)
		}
		from = end
	}
	return words
}

// isDelimiter reports whether c ends an address in running text.
func isDelimiter(c byte) bool {
	switch c {
	case '"', '<', '>', '(', ')', ',', ';', ':', '\\', '@':
		return true
	}
	return c <= ' '
}
