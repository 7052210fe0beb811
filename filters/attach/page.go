package attach

import (
	"bytes"
	"strings"
)

// pageSigns is what one pass over a web page shows.
type pageSigns struct {
	saves    string // the words by which a script saves a file
	dataLink bool   // a link is a file itself
}

// signed holds the octets at which readSigns looks around: each is rare, and stands inside one of the words.
var signed = [256]bool{'=': true, ':': true, 'j': true, 'J': true, 'v': true, 'V': true}

// readSigns looks at each octet once, in any case: a regular expression would take ten times as long, and nearly no
// page holds any of the words.
func readSigns(b []byte) (s pageSigns) {
	last := byte(0)
	for i, c := range b {
		before := last
		if last = c; !signed[c] || s.dataLink {
			continue
		}
		switch c {
		case ':':
			if before|0x20 == 'a' && endsIn(b[:i], "data") {
				s.dataLink = holdsFile(b[i+1:]) && refersTo(b[:i-len("data")])
			}
			continue
		case '=':
			if before|0x20 == 'd' || before <= ' ' {
				s.savesAs(b[:i+1])
			}
		case 'j', 'J':
			s.savesAs(b[:min(len(b), i+7)])
		default:
			s.savesAs(b[:min(len(b), i+12)])
		}
	}
	return s
}

// savesAs notes the words at the end of b, if a script saves a file by them.
func (s *pageSigns) savesAs(b []byte) {
	if s.saves != "" {
		return
	}
	for _, word := range [...]string{"createObjectURL", "msSaveOrOpenBlob"} {
		if endsIn(b, word) {
			s.saves = word
			return
		}
	}
	name, assigned := bytes.CutSuffix(b, []byte("="))
	if name = trimSpace(name); assigned && endsIn(name, "download") && len(name) > len("download") {
		if c := name[len(name)-len("download")-1]; c == '.' || isBlank(c) {
			s.saves = "download ="
		}
	}
}

// maxTag is how far before its reference the tag of a link may begin.
const maxTag = 400

// refersTo reports whether b ends in what stands before the value of the reference of a link: <a href=".
func refersTo(b []byte) bool {
	if n := len(b) - 1; n >= 0 && (b[n] == '"' || b[n] == '\'') {
		b = b[:n]
	}
	b = trimSpace(b)
	n := len(b) - 1
	if n < 0 || b[n] != '=' {
		return false
	}
	b = trimSpace(b[:n])
	if n = len(b) - len("href"); n < 1 || !endsIn(b, "href") || !isBlank(b[n-1]) && b[n-1] != '/' && b[n-1] != '"' && b[n-1] != '\'' {
		return false
	}
	tag := b[max(0, n-maxTag):n]
	tag = tag[bytes.LastIndexByte(tag, '>')+1:]
	for i := bytes.IndexByte(tag, '<'); i >= 0 && i+2 < len(tag); {
		if tag[i+1]|0x20 == 'a' && !isWord(tag[i+2]) {
			return true
		}
		next := bytes.IndexByte(tag[i+1:], '<')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return false
}

// holdsFile reports whether the type at the start of b, of a data URL, is that of a file or of a page.
func holdsFile(b []byte) bool {
	end := 0
	for end < len(b) && end < 64 && (b[end]|0x20 >= 'a' && b[end]|0x20 <= 'z' || strings.IndexByte("/.+-", b[end]) >= 0) {
		end++
	}
	kind := b[:end]
	if endsIn(kind[:min(end, len("application"))], "application") || endsIn(kind[:min(end, len("text/html"))], "text/html") {
		return true
	}
	slash := bytes.IndexByte(kind, '/')
	return slash >= 0 && bytes.Contains(bytes.ToLower(kind[slash:]), []byte("zip"))
}

// decodes reports whether a page makes octets: by atob(, fromCharCode, Uint8Array or new Blob.
func decodes(b []byte) bool {
	before := byte(0)
	for i, c := range b {
		c |= 0x20
		switch {
		case c == 'b' && before == 'o':
			if endsIn(b[:i+1], "atob") && (i < 4 || !isWord(b[i-4])) && bytes.HasPrefix(bytes.TrimLeft(b[i+1:min(len(b), i+64)], blankOctets), []byte("(")) {
				return true
			}
			if n := i - 3; n > 3 && endsIn(b[:i+1], "blob") && isBlank(b[n-1]) && endsIn(trimSpace(b[:n]), "new") {
				return true
			}
		case c == 'e' && before == 'd':
			if endsIn(b[:i+1], "fromCharCode") {
				return true
			}
		case c == 'y' && before == 'a':
			if endsIn(b[:i+1], "Uint8Array") {
				return true
			}
		}
		before = c
	}
	return false
}

// svgScript is what makes a drawing do something when it is opened; empty if nothing does. Each octet is looked at once.
func svgScript(b []byte) string {
	for i, c := range b {
		switch c {
		case '<':
			for _, tag := range [...]string{"<script", "<!ENTITY", "<foreignObject"} {
				if endsIn(b[:min(len(b), i+len(tag))], tag) {
					return tag
				}
			}
		case ':':
			if endsIn(b[:i], "javascript") {
				return "javascript:"
			}
			if page := "data:text/html"; i >= 4 && endsIn(b[:min(len(b), i-4+len(page))], page) {
				return page
			}
		case '=':
			if name := handler(b[:i]); name != "" {
				return name + "="
			}
		}
	}
	return ""
}

// handler is the name of the event, such as onload, in which b ends behind a blank.
func handler(b []byte) string {
	b = trimSpace(b)
	n := len(b)
	for n > 0 && len(b)-n < 40 && b[n-1]|0x20 >= 'a' && b[n-1]|0x20 <= 'z' {
		n--
	}
	if name := b[n:]; n > 0 && len(name) > 2 && name[0]|0x20 == 'o' && name[1]|0x20 == 'n' && (isBlank(b[n-1]) || b[n-1] == '/' || b[n-1] == '"' || b[n-1] == '\'') {
		return string(name)
	}
	return ""
}

// endsIn reports whether b ends in a word, in any case of its letters.
func endsIn(b []byte, word string) bool {
	n := len(b) - len(word)
	return n >= 0 && strings.EqualFold(string(b[n:]), word)
}

// blankOctets are what separates words of a page.
const blankOctets = " \t\r\n\f"

func isBlank(c byte) bool { return strings.IndexByte(blankOctets, c) >= 0 }

// isWord reports whether c may be in the middle of a name.
func isWord(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_'
}

// trimSpace removes blanks at the end; of a great many it leaves some.
func trimSpace(b []byte) []byte {
	for n := 0; n < maxTag && len(b) > 0 && isBlank(b[len(b)-1]); n++ {
		b = b[:len(b)-1]
	}
	return b
}

// utf8Of is a text that says by its first octets that it is in UTF-16 with what is beyond ASCII put aside, and any other as it
// stands: browsers and office programs read both.
func utf8Of(b []byte) []byte {
	low := -1
	switch {
	case len(b) < 4:
		return b
	case b[0] == 0xFF && b[1] == 0xFE, b[0] == '<' && b[1] == 0 && b[3] == 0 && b[2] != 0:
		low = 0
	case b[0] == 0xFE && b[1] == 0xFF, b[0] == 0 && b[1] == '<' && b[2] == 0 && b[3] != 0:
		low = 1
	default:
		return b
	}
	out := make([]byte, len(b)/2)
	for i := range out {
		if out[i] = b[2*i+low]; b[2*i+1-low] != 0 {
			out[i] = '?'
		}
	}
	return bytes.TrimPrefix(out, []byte("?"))
}
