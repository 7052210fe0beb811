package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes s safe to log, to show and to put into a header we write: invalid UTF-8, controls, line ends,
// bidirectional overrides and zero-width characters become "?", and no more than max bytes are kept.
func Printable(s string, max int) string {
	plain := 0
	for plain < len(s) && s[plain] >= ' ' && s[plain] < 0x7f {
		plain++
	}
	clean := true
	for _, r := range s[plain:] {
		if hidden(r) {
			clean = false
			break
		}
	}
	if clean && len(s) <= max {
		return s
	}
	if plain >= max {
		return s[:max]
	}
	var b strings.Builder
	b.WriteString(s[:plain])
	for _, r := range s[plain:] {
		if hidden(r) {
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r) > max {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// hidden reports whether a reader would not see r, or see something else because of it.
func hidden(r rune) bool {
	return r == utf8.RuneError || r != ' ' && !unicode.IsPrint(r)
}
