package web

import "strings"

const hexDigits = "0123456789ABCDEF"

// value is the value of a hexadecimal digit, or -1.
func value(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// escaped is the octet that a percent sign at i stands for.
func escaped(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	hi, lo := value(s[i+1]), value(s[i+2])
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

// decode replaces all percent-encoding.
func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c, ok := escaped(s, i); s[i] == '%' && ok {
			out = append(out, c)
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// escape writes percent-encoding in its shortest form: what needs none has none, the rest is in capitals (RFC 3986 section 6.2.2).
func escape(s string) string {
	i := 0
	for i < len(s) && s[i] > ' ' && s[i] < 0x7f && s[i] != '%' && s[i] != '"' && s[i] != '<' && s[i] != '>' && s[i] != '`' {
		i++
	}
	if i == len(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)+16), s[:i]...)
	for ; i < len(s); i++ {
		c := s[i]
		if d, ok := escaped(s, i); c == '%' && ok {
			i += 2
			if unreserved(d) {
				out = append(out, d)
			} else {
				out = append(out, '%', hexDigits[d>>4], hexDigits[d&15])
			}
			continue
		}
		if c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '`' {
			out = append(out, '%', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

// unreserved reports whether an octet never needs percent-encoding (RFC 3986 section 2.3).
func unreserved(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// cleanPath escapes a path and takes its dot segments out (RFC 3986 section 5.2.4).
func cleanPath(s string) string {
	s = escape(s)
	if s == "" {
		return "/"
	}
	if !strings.Contains(s, "/.") {
		return s
	}
	var out []string
	parts := strings.Split(s[1:], "/")
	for i, p := range parts {
		switch p {
		case "..":
			out = out[:max(0, len(out)-1)]
		case ".":
		default:
			out = append(out, p)
			continue
		}
		if i == len(parts)-1 {
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/")
}
