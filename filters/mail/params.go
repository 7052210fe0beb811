package mail

import (
	"sort"
	"strconv"
	"strings"
)

// The bounds of the parameters of structured fields.
const (
	maxParams      = 1000
	maxParamOctets = 64 << 10
	maxAllParams   = 20_000 // of all fields of a message; those of the fields beyond are not read
)

// A typed is a value with parameters, such as that of Content-Type or Content-Disposition, read tolerantly.
type typed struct {
	value  string // "text/plain" or "attachment": lower case, no comments
	params []param
	odd    bool // not the syntax of RFC 2045; the readings are all here
	words  bool // an encoded-word stands where none may (RFC 2047 section 5)
	over   bool // more than the bounds allow

	noParens bool // a parenthesis was open at the end
}

// A param is one parameter as it stands, before RFC 2231 puts its pieces together.
type param struct {
	name    string // lower case, without the asterisks of RFC 2231
	value   string
	other   []string // other readings of value
	section int      // of name*N; -1 if it is not in pieces
	pct     bool     // name*=: percent-encoded with a charset
}

// parseTyped reads a field's value. It is linear in the length of value.
func parseTyped(value string) typed {
	var t typed
	s := Unfold(value)
	if len(s) > maxParamOctets {
		s, t.over = s[:maxParamOctets], true
	}
	s = t.skipBlank(s)
	for s != "" && s[0] == ':' {
		s, t.odd = strings.TrimLeft(s[1:], " \t"), true
	}
	n := strings.IndexAny(s, "; \t(,")
	if n < 0 {
		n = len(s)
	}
	t.value = strings.ToLower(s[:n])
	s = s[n:]
	if rest := t.skipBlank(s); strings.HasPrefix(rest, "/") || strings.HasSuffix(t.value, "/") {
		s = t.joinSlash(rest)
	}
	if strings.Contains(t.value, "=?") {
		t.value, t.words = strings.ToLower(DecodeWords(t.value)), true
		if v, rest, ok := strings.Cut(t.value, ";"); ok {
			t.value, s = strings.TrimSpace(v), ";"+rest+s
		}
	}
	if q := strings.Trim(t.value, `"'`); q != t.value {
		t.value, t.odd = q, true
	}
	t.readParams(s)
	return t
}

// joinSlash reads "text / plain".
func (t *typed) joinSlash(rest string) string {
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "/"), " \t")
	n := strings.IndexAny(rest, "; \t(,")
	if n < 0 {
		n = len(rest)
	}
	t.value = strings.TrimSuffix(t.value, "/") + "/" + strings.ToLower(rest[:n])
	t.odd = true
	return rest[n:]
}

// skipBlank removes blanks and comments from the beginning of s.
func (t *typed) skipBlank(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" || s[0] != '(' {
			return s
		}
		t.odd = true
		n := 0
		if !t.noParens {
			n = commentEnd(s, 0)
		}
		if n == 0 {
			t.noParens, n = true, 1 // looked for once: a thousand open parentheses cost no more than one
		}
		s = s[n:]
	}
}

// readParams reads name=value pairs, with or without the semicolons between them.
func (t *typed) readParams(s string) {
	separated := true
	for s = t.separators(s, &separated); s != ""; s = t.separators(s, &separated) {
		if !separated {
			t.odd = true
		}
		n := strings.IndexAny(s, "=; \t")
		if n < 0 {
			t.odd = true
			return
		}
		name := s[:n]
		rest := strings.TrimLeft(s[n:], " \t")
		if rest == "" || rest[0] != '=' {
			t.odd = true // a word without a value
			s, separated = s[n:], s[n] == ';'
			continue
		}
		if len(t.params) == maxParams {
			t.over = true
			return
		}
		s = strings.TrimLeft(rest[1:], " \t\r\n")
		p := newParam(name)
		s = t.readValue(&p, s)
		t.params = append(t.params, p)
		separated = false
	}
}

// separators skips what stands between parameters and says whether a semicolon was there.
func (t *typed) separators(s string, separated *bool) string {
	for {
		s = t.skipBlank(s)
		if s == "" || s[0] != ';' && s[0] != ',' && s[0] != '"' {
			return s
		}
		if s[0] != ';' {
			t.odd = true
		}
		*separated = true
		s = s[1:]
	}
}

// newParam takes the marks of RFC 2231 from a parameter's name.
func newParam(name string) param {
	p := param{name: strings.ToLower(name), section: -1}
	base, rest, ok := strings.Cut(p.name, "*")
	if !ok {
		return p
	}
	p.name = base
	p.pct = rest == "" || strings.HasSuffix(rest, "*")
	if n, err := strconv.Atoi(strings.TrimSuffix(rest, "*")); err == nil && n >= 0 && n < 1<<20 {
		p.section = n
	}
	return p
}

// readValue reads a parameter's value, quoted or not, and returns what follows.
func (t *typed) readValue(p *param, s string) string {
	if strings.HasPrefix(s, `"`) {
		end := quotedEnd(s, 0)
		if end == 0 {
			t.odd = true
			p.value = unquote(s)
			if cut, _, ok := strings.Cut(s[1:], ";"); ok {
				p.other = append(p.other, strings.TrimSpace(cut))
			}
			return ""
		}
		p.value = unquote(s[:end])
		if raw := s[1 : end-1]; raw != p.value {
			p.other = append(p.other, raw)
		}
		if tail := s[end:]; tail != "" && strings.IndexByte("; \t\r\n(,", tail[0]) < 0 {
			n := strings.IndexAny(tail, "; \t")
			if n < 0 {
				n = len(tail)
			}
			t.odd = true
			p.other = append(p.other, p.value+strings.Trim(tail[:n], `"`))
			return tail[n:]
		}
		return s[end:]
	}
	n := strings.IndexAny(s, "; \t")
	if n < 0 {
		n = len(s)
	}
	p.value = s[:n]
	if q := strings.Trim(p.value, `"'`); q != p.value {
		p.other, t.odd = append(p.other, q), true
	}
	if q := strings.IndexAny(p.value, "(,"); q > 0 {
		p.other = append(p.other, p.value[:q])
	}
	if n < len(s) && s[n] != ';' {
		// name=two words; yet name=value other=value is a missing semicolon.
		more, _, _ := strings.Cut(s[n:], ";")
		if bare := strings.TrimSpace(more); bare != "" && bare[0] != '(' && strings.IndexByte(bare, '=') < 0 {
			p.other, t.odd = append(p.other, p.value+strings.TrimRight(more, " \t\r\n")), true
		}
	}
	return s[n:]
}

// values returns every reading of a parameter, decoded; the one that most programs take first.
func (t *typed) values(name string) []string {
	var list []string
	var pieces []param
	for _, p := range t.params {
		switch {
		case p.name != name:
		case p.section >= 0:
			pieces = append(pieces, p)
		case p.pct:
			list = prepend(list, decodePct(p.value, true))
		}
	}
	if len(pieces) > 0 {
		for _, v := range joinPieces(pieces) {
			list = prepend(list, v)
		}
	}
	for _, p := range t.params {
		if p.name == name && p.section < 0 && !p.pct {
			list = appendNew(list, p.value)
		}
	}
	for _, p := range t.params {
		if p.name == name {
			for _, v := range p.other {
				list = appendNew(list, v)
			}
		}
	}
	return list
}

// get is the first value of a parameter.
func (t *typed) get(name string) string {
	if v := t.values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

const maxReadings = 64 // of one parameter

func appendNew(list []string, v string) []string {
	for _, have := range list {
		if have == v {
			return list
		}
	}
	if len(list) >= maxReadings {
		return list
	}
	return append(list, v)
}

// prepend puts readings by RFC 2231 before plain ones, in their order among themselves.
func prepend(list []string, v string) []string { return appendNew(list, v) }

// joinPieces puts the pieces of RFC 2231 section 3 together: in the order of their numbers up to the first gap, over
// gaps, and in the order in which they stand.
func joinPieces(pieces []param) []string {
	sorted := append([]param(nil), pieces...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].section < sorted[j].section })
	var strict []param
	for _, p := range sorted {
		if p.section != len(strict) {
			break
		}
		strict = append(strict, p)
	}
	var list []string
	if len(strict) > 0 {
		list = append(list, joinDecoded(strict))
	}
	list = appendNew(list, joinDecoded(sorted))
	return appendNew(list, joinDecoded(pieces))
}

// joinDecoded decodes the percent-encoded pieces and joins all of them; the first piece names the charset.
func joinDecoded(pieces []param) string {
	label := ""
	var data []byte
	for i, p := range pieces {
		v := p.value
		if p.pct {
			if i == 0 {
				label, v = cutCharset(v)
			}
			data = appendPct(data, v)
		} else {
			data = append(data, v...)
		}
	}
	text, _ := toUTF8(label, data)
	return text
}

// decodePct decodes charset'language'text (RFC 2231 section 4).
func decodePct(v string, labelled bool) string {
	label := ""
	if labelled {
		label, v = cutCharset(v)
	}
	text, _ := toUTF8(label, appendPct(nil, v))
	return text
}

func cutCharset(v string) (label, rest string) {
	label, rest, ok := strings.Cut(v, "'")
	if !ok {
		return "", v
	}
	if _, after, ok := strings.Cut(rest, "'"); ok {
		return label, after
	}
	return "", v
}

func appendPct(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && hexValue(s[i+1]) >= 0 && hexValue(s[i+2]) >= 0 {
			b = append(b, byte(hexValue(s[i+1])<<4|hexValue(s[i+2])))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return b
}
