package attach

import (
	"bytes"
	"strings"
)

// pageSigns is what one pass over a web page shows of the words without which smuggle and dataLink match nowhere.
type pageSigns struct{ saves, dataLink bool }

// signed holds the octets at which readSigns looks around: each is rare, and stands inside one of the words.
var signed = [256]bool{'=': true, ':': true, 'j': true, 'J': true, 'v': true, 'V': true}

// readSigns looks at each octet once, in any case: a regular expression would take ten times as long, and nearly no
// page holds any of the words.
func readSigns(b []byte) (s pageSigns) {
	last := byte(0)
	for i, c := range b {
		before := last
		if last = c; !signed[c] {
			continue
		}
		switch c {
		case '=':
			if before|0x20 == 'd' || before <= ' ' {
				s.saves = s.saves || endsIn(trimSpace(b[:i]), "download")
			}
		case ':':
			if before|0x20 == 'a' {
				s.dataLink = s.dataLink || endsIn(b[:i], "data") && refersTo(b[:i-len("data")])
			}
		case 'j', 'J':
			s.saves = s.saves || endsIn(b[:i], "createob") && endsIn(b[:min(len(b), i+7)], "jecturl")
		default:
			s.saves = s.saves || endsIn(b[:min(len(b), i+12)], "veoropenblob")
		}
	}
	return s
}

// refersTo reports whether b ends in what stands before the value of a reference.
func refersTo(b []byte) bool {
	if n := len(b) - 1; n >= 0 && (b[n] == '"' || b[n] == '\'') {
		b = b[:n]
	}
	b = trimSpace(b)
	n := len(b) - 1
	return n >= 0 && b[n] == '=' && endsIn(trimSpace(b[:n]), "href")
}

// endsIn reports whether b ends in a word, in any case of its letters.
func endsIn(b []byte, word string) bool {
	n := len(b) - len(word)
	return n >= 0 && strings.EqualFold(string(b[n:]), word)
}

// trimSpace removes what \s matches at the end.
func trimSpace(b []byte) []byte { return bytes.TrimRight(b, " \t\r\n\f") }
