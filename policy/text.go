package policy

import (
	"hash/fnv"
	"strconv"
	"strings"
	"unicode"

	"gatepost/filters/mail"
)

// quoted is a value of the file for a message: printable, short, in quotes.
func quoted(s string) string { return strconv.Quote(mail.Printable(s, 60)) }

// fold makes names comparable: lower case, blanks as one.
func fold(s string) string { return strings.Join(strings.Fields(strings.ToLower(s)), " ") }

// isName reports whether s can name a rule, a list or a limit.
func isName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// canonicalDomain is s in lower case without a final dot.
func canonicalDomain(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// isDomain reports whether s could be a domain name or its suffix: letters, digits, hyphens and underscores in labels.
func isDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, r := range label {
			if r < 0x80 && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return false
			}
		}
	}
	return true
}

// glob reports whether s, in lower case, matches a pattern in lower case in which * stands for anything.
func glob(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], after
	}
}

// checksum tells long lists apart (FNV-1a).
func checksum(lines []string) uint32 {
	h := fnv.New32a()
	for _, l := range lines {
		_, _ = h.Write([]byte(l))
		_, _ = h.Write([]byte{'\n'})
	}
	return h.Sum32()
}

// describe joins what a document says, in a stable form, for comparing and for people.
func describe(parts ...string) string {
	var out []string
	for i := 0; i+1 < len(parts); i += 2 {
		if parts[i+1] != "" {
			out = append(out, parts[i]+" "+parts[i+1])
		}
	}
	return strings.Join(out, "; ")
}

// joined is a list of values in one.
func (l items) joined() string { return strings.Join(l.strings(), ", ") }
