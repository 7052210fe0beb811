package dns

import "strings"

// The limits of RFC 1035 section 2.3.4, without the trailing dot and the root's octet.
const (
	maxName  = 253
	maxLabel = 63
)

// canonical returns name in lower case without trailing dot, and whether it may be asked for at all: labels of 1 to
// 63 printable ASCII characters, 253 in total. What has a meaning in zone files or in C strings (controls, quotes,
// backslash, parentheses, semicolon, at, dollar) is refused, so no two programs can disagree about where a name ends.
// Sender-controlled names that must be host names (DKIM's d= and s=) are held to letters, digits, hyphen and
// underscore by those who read them; but an SPF macro may expand a local part such as "a+b" into a name, and the
// macro "%_" is a space (RFC 7208 section 7.2).
func canonical(name string) (string, bool) {
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if name == "" || len(name) > maxName {
		return "", false
	}
	label, lower := 0, true
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = 0
			continue
		case 'A' <= c && c <= 'Z':
			lower = false
		case c < ' ' || c > '~':
			return "", false
		case c == '"' || c == '\\' || c == '(' || c == ')' || c == ';' || c == '@' || c == '$' || c == '\'':
			return "", false
		}
		if label++; label > maxLabel {
			return "", false
		}
	}
	if label == 0 {
		return "", false
	}
	if !lower {
		name = strings.ToLower(name)
	}
	return name, true
}

// spelled is a canonical name as miekg/dns writes it, with the final dot.
func spelled(name string) string {
	if strings.IndexByte(name, ' ') >= 0 {
		name = strings.ReplaceAll(name, " ", `\ `)
	}
	return name + "."
}

// zoneOf is about the domain somebody registered: it is what a flood of questions would be aimed at. Two labels, or
// three where the last two look like a registry's (co.uk).
func zoneOf(name string) string {
	at := cut(name, 2)
	z := name[at:]
	if i := strings.IndexByte(z, '.'); at > 0 && i >= 0 && i <= 3 && len(z)-i-1 == 2 {
		return name[cut(name, 3):]
	}
	return z
}

// cut is the offset at which the last n labels of name begin.
func cut(name string, n int) int {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			if n--; n == 0 {
				return i + 1
			}
		}
	}
	return 0
}
