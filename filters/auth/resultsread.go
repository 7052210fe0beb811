package auth

import "strings"

// maxResults is how many results of one field are read.
const maxResults = 50

// A statement is one result that another host reports (RFC 8601 section 2.2): "dmarc=pass header.from=a.example".
type statement struct {
	method, result string
	props          []string // "header.from", "a.example", ...
}

// prop is the value of a property, or "".
func (s *statement) prop(name string) string {
	for i := 0; i+1 < len(s.props); i += 2 {
		if s.props[i] == name {
			return s.props[i+1]
		}
	}
	return ""
}

// readStatements reads what stands behind the authserv-id. Comments are nothing, quoted text is one value, and a
// result that is not of the form name=word is left out, so that no text inside another can pass for a result.
func readStatements(v string) []statement {
	var list []statement
	for _, part := range splitResults(v) {
		words := fields(part)
		if len(words) == 0 {
			continue
		}
		method, result, ok := strings.Cut(words[0], "=")
		method, _, _ = strings.Cut(method, "/")
		if !ok || method == "" || result == "" {
			continue
		}
		s := statement{method: strings.ToLower(method), result: strings.ToLower(result)}
		for _, w := range words[1:] {
			if name, value, ok := strings.Cut(w, "="); ok {
				s.props = append(s.props, strings.ToLower(name), value)
			}
		}
		if list = append(list, s); len(list) == maxResults {
			break
		}
	}
	return list
}

// splitResults cuts at semicolons outside comments and quotes, and takes comments out. A field whose comments or quotes
// do not end says nothing.
func splitResults(v string) []string {
	var parts []string
	var b []byte
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '(', '"':
			n, closed := skipQuoted(v[i:])
			if !closed {
				return nil
			}
			if v[i] == '"' {
				b = append(b, v[i:i+n]...)
			} else {
				b = append(b, ' ')
			}
			i += n - 1
		case ';':
			parts = append(parts, string(b))
			b = b[:0]
		default:
			b = append(b, v[i])
		}
	}
	return append(parts, string(b))
}

// fields splits at white space outside quotes, takes quotes off, and joins "name = value" to one word.
func fields(s string) []string {
	var words []string
	var b []byte
	joined := false // the next word belongs to this one
	flush := func() {
		if len(b) > 0 {
			words = append(words, string(b))
		}
		b = b[:0]
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			n, _ := skipQuoted(s[i:])
			for j := i + 1; j < i+n-1; j++ {
				if s[j] == '\\' && j+1 < i+n-1 {
					j++
				}
				if x := s[j]; x != '=' && !isFWS(x) {
					b = append(b, x)
				} else {
					b = append(b, '?')
				}
			}
			i += n - 1
			joined = false
		case isFWS(c):
			if !joined && !nextIsEquals(s[i:]) {
				flush()
			}
		default:
			b = append(b, c)
			joined = c == '='
		}
	}
	flush()
	return words
}

// nextIsEquals reports whether the first byte that is not white space is "=".
func nextIsEquals(s string) bool {
	s = trimFWS(s)
	return s != "" && s[0] == '='
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
