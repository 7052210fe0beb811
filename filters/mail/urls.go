package mail

import (
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// textLinks finds URLs in running text: behind "scheme://", "www.", and names of domains with a path or alone.
func textLinks(list []Link, s string) []Link {
	last := 0
	for i := 0; len(list) < maxLinks; {
		for i < len(s) && s[i] != ':' && s[i] != '.' {
			i++
		}
		if i >= len(s) {
			break
		}
		at := i
		i++
		var start, end int
		where := "text"
		switch {
		case s[at] == ':' && strings.HasPrefix(s[at:], "://"):
			start = schemeStart(s, at, last)
			end = urlEnd(s, at+3)
			if start == at || end == at+3 {
				continue
			}
		case s[at] == ':':
			continue
		default:
			start, end = bareDomain(s, at, last)
			if start == end {
				continue
			}
			where = "bare"
		}
		list = append(list, Link{URL: absolute(s[start:end]), Text: s[start:min(end, start+maxURL)], Where: where})
		last, i = end, end
	}
	return list
}

// mayLink reports whether textLinks could find something in s: nearly all dots end sentences.
func mayLink(s []byte) bool {
	for i, c := range s {
		switch c {
		case ':':
			if len(s) > i+2 && s[i+1] == '/' && s[i+2] == '/' {
				return true
			}
		case '.':
			if i > 0 && i+1 < len(s) && isLabel(s[i-1]) && (isLabel(s[i+1]) || s[i+1] == '.') {
				return true
			}
		}
	}
	return false
}

// schemeStart is where the scheme before "://" at at begins.
func schemeStart(s string, at, from int) int {
	start := at
	for start > from && start > at-12 && isAlnum(s[start-1]) {
		start--
	}
	return start
}

// bareDomain finds a domain name around the dot at at. It must begin with www., be followed by a path, or end in a
// name under which ICANN registers; it is not part of an address.
func bareDomain(s string, at, from int) (start, end int) {
	if at == 0 || at+1 == len(s) || !isLabel(s[at-1]) || !isLabel(s[at+1]) && s[at+1] != '.' {
		return at, at
	}
	start, end = at, at
	for start > from && start > at-64 && isLabel(s[start-1]) {
		start--
	}
	for end < len(s) && end < at+253 && (isLabel(s[end]) || s[end] == '.') {
		end++
	}
	name := strings.TrimRight(s[start:end], ".-")
	end = start + len(name)
	dot := strings.LastIndexByte(name, '.')
	if start == at || dot < 0 || len(name)-dot < 3 || start > 0 && strings.IndexByte("@/=_-.%&?", s[start-1]) >= 0 || end < len(s) && s[end] == '@' {
		return at, at
	}
	for i := dot + 1; i < len(name); i++ {
		if c := name[i] | 0x20; c < 'a' || c > 'z' {
			return at, at
		}
	}
	www := len(name) > 4 && strings.EqualFold(name[:4], "www.")
	if _, icann := publicsuffix.PublicSuffix(strings.ToLower(name)); !icann && !www {
		return at, at
	}
	if end < len(s) && (s[end] == '/' || s[end] == ':' && end+1 < len(s) && s[end+1] >= '0' && s[end+1] <= '9') {
		end = urlEnd(s, end)
	}
	return start, end
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func isLabel(c byte) bool { return isAlnum(c) || c == '-' || c == '_' }

// urlEnd is where the URL that i is inside of ends in running text: at a blank, a quotation mark or an angle bracket;
// without the punctuation of the sentence around it.
func urlEnd(s string, i int) int {
	start := i
	open := 0
	for ; i < len(s) && i < start+8*maxURL; i++ {
		c := s[i]
		if c <= ' ' || c == 0x7f || c == '"' || c == '<' || c == '>' || c == '`' || c == '|' || c == '^' || c == '\\' && i == start {
			break
		}
		if c == '(' {
			open++
		}
		if c == ')' {
			if open == 0 {
				break
			}
			open--
		}
		if c == 0xE2 && strings.HasPrefix(s[i:], "\u201d") || c == 0xC2 && strings.HasPrefix(s[i:], "\u00a0") {
			break
		}
	}
	for i > start && strings.IndexByte(".,;:!?'*]}", s[i-1]) >= 0 {
		i--
	}
	return i
}

// absolute completes and cleans a URL as a browser does: blanks around it, tabs and line ends inside it vanish, and
// a name without scheme is asked for by http.
func absolute(s string) string {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	if strings.ContainsAny(s, "\t\r\n") {
		s = strings.Map(func(r rune) rune {
			if r == '\t' || r == '\r' || r == '\n' {
				return -1
			}
			return r
		}, s)
	}
	if len(s) > maxURL {
		s = strings.ToValidUTF8(s[:maxURL], "")
	}
	switch {
	case strings.HasPrefix(s, "//") || strings.HasPrefix(s, `\\`):
		return "http:" + s
	case !hasScheme(s):
		return "http://" + s
	}
	return s
}

// hasScheme reports whether s begins like "http:" (RFC 3986 section 3.1).
func hasScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ':':
			return i > 0 && !(i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9')
		case isAlnum(c), c == '+', c == '-', c == '.':
		default:
			return false
		}
	}
	return false
}

// hostOf is the host of an absolute URL as written, lower case, without user and port.
func hostOf(s string) string {
	_, rest, ok := strings.Cut(s, ":")
	if !ok {
		return ""
	}
	rest = strings.TrimLeft(rest, `/\`)
	if n := strings.IndexAny(rest, `/\?#`); n >= 0 {
		rest = rest[:n]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if n := strings.LastIndexByte(rest, ':'); n >= 0 && strings.IndexByte(rest[n:], ']') < 0 {
		rest = rest[:n]
	}
	return strings.ToLower(rest)
}

// resolve is the target of a reference in HTML, given the page's base; ok is false for one that leads nowhere
// outside of the message.
func resolve(ref string, base *url.URL) (string, bool) {
	ref = strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	switch {
	case ref == "" || ref[0] == '#':
		return "", false
	case hasScheme(ref), strings.HasPrefix(ref, "//"), strings.HasPrefix(ref, `\\`):
		return absolute(ref), true
	case len(ref) > 4 && strings.EqualFold(ref[:4], "www."):
		return absolute(ref), true
	case base == nil || len(ref) > maxURL:
		return "", false
	}
	u, err := base.Parse(ref)
	if err != nil {
		return "", false
	}
	return absolute(u.String()), true
}
