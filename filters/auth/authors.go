package auth

import "strings"

// authors lists the domains of every address that a mail program might show as an author, and whether all of From
// could be read. It errs on the side of finding too many: each one found must be proven (D-07 to D-17).
func (b *block) authors() (domains []string, readable bool) {
	readable = true
	fields := 0
	for i := range b.fields {
		if f := &b.fields[i]; f.is("from") {
			fields++
			list, ok := addressDomains(f.value())
			readable = readable && ok
			for _, d := range list {
				if !contains(domains, d) {
					domains = append(domains, d)
				}
			}
		}
	}
	return domains, readable && fields == 1 && len(domains) > 0
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// addressDomains reads the domains of an address list. ok is false if a part of it is no address.
func addressDomains(v string) (domains []string, ok bool) {
	ok = true
	for _, part := range splitAddresses(v) {
		switch {
		case part.outside == "" && part.angle == "" && !part.words:
			continue // an empty element
		case part.broken:
			ok = false
		}
		addr := part.outside
		if part.angles > 0 {
			addr = part.angle
			// Text with an "@" beside the brackets may be shown as the address (D-16).
			if part.angles > 1 || strings.IndexByte(part.outside, '@') >= 0 {
				ok = false
				domains = appendDomain(domains, part.outside)
			}
		}
		if i := strings.LastIndexByte(addr, ':'); i >= 0 && strings.HasPrefix(addr, "@") {
			addr = addr[i+1:] // a source route (D-14)
		}
		n := len(domains)
		domains = appendDomain(domains, addr)
		if len(domains) == n {
			ok = false
		}
	}
	return domains, ok
}

// appendDomain adds the domain of an address, lower case, without trailing dot.
func appendDomain(domains []string, addr string) []string {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 || at == len(addr)-1 {
		return domains
	}
	d := strings.ToLower(strings.TrimSuffix(addr[at+1:], "."))
	if d == "" {
		return domains
	}
	return append(domains, d)
}

// An element is one mailbox of a list, taken apart.
type element struct {
	outside string // what stands outside quotes, comments and angle brackets, without blanks
	angle   string // what stands in the last angle brackets
	angles  int
	words   bool // there was a quoted string
	broken  bool // unbalanced, or a backslash outside quotes (D-15)
}

// splitAddresses cuts a list at commas, and at the colon and semicolon of groups, outside quotes, comments and angle
// brackets.
func splitAddresses(v string) []element {
	var list []element
	var e element
	var out, angle []byte
	end := func() {
		e.outside, e.angle = string(out), string(angle)
		list = append(list, e)
		e, out, angle = element{}, out[:0], angle[:0]
	}
	inAngle := false
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '"' || c == '(':
			n, closed := skipQuoted(v[i:])
			e.broken = e.broken || !closed
			e.words = e.words || c == '"'
			if c == '"' && inAngle {
				angle = append(angle, 'q') // a quoted local part; only the domain matters
			} else if c == '"' && i+n < len(v) && v[i+n] == '@' {
				out = append(out, 'q')
			}
			i += n - 1
		case c == '<':
			e.broken = e.broken || inAngle
			inAngle, angle = true, angle[:0]
			e.angles++
		case c == '>':
			e.broken = e.broken || !inAngle
			inAngle = false
		case isFWS(c):
		case inAngle:
			angle = append(angle, c)
		case c == '\\':
			e.broken = true
		case c == ',' || c == ';':
			end()
		case c == ':' && len(out) > 0 && out[0] != '@':
			out = out[:0] // the name of a group
		default:
			out = append(out, c)
		}
	}
	e.broken = e.broken || inAngle
	end()
	return list
}

// skipQuoted is the length of the quoted string or comment at the start of s, and whether it is closed.
func skipQuoted(s string) (int, bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case s[0] == '"':
			if c == '"' && i > 0 {
				return i + 1, true
			}
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(s), false
}
