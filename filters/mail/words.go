package mail

import (
	"encoding/base64"
	"strings"
	"unicode"
)

// maxDecoded bounds what one field decodes to: a field is bounded already, yet a charset may triple it.
const maxDecoded = 4 * maxField

// DecodeWords replaces the encoded-words of RFC 2047 in s, in any charset, wherever they stand: mail programs decode
// them inside quotes and in the middle of a word, though the RFC does not. Characters that a reader cannot see are
// kept, so that they can be found; Visible removes them.
func DecodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		if isASCII(s) {
			return s
		}
		return unlabelled([]byte(s))
	}
	var out strings.Builder
	var run word // adjacent words of one charset: programs join their bytes, so a character may be split between them
	for s != "" && out.Len() < maxDecoded {
		w, before, after, ok := nextWord(s)
		if !ok {
			break
		}
		between := before == "" || strings.Trim(before, " \t\r\n") == ""
		if !(between && run.open && run.charset == w.charset) {
			run.flush(&out)
		}
		if !(between && run.seen) {
			out.WriteString(unlabelled([]byte(before)))
		}
		run.charset, run.open, run.seen = w.charset, true, true
		run.data = append(run.data, w.data...)
		s = after
	}
	run.flush(&out)
	if out.Len() < maxDecoded {
		out.WriteString(unlabelled([]byte(s)))
	}
	return out.String()
}

// A word is one encoded-word, or several that follow each other.
type word struct {
	charset    string
	data       []byte
	open, seen bool
}

func (w *word) flush(out *strings.Builder) {
	if w.open {
		text, _ := toUTF8(w.charset, w.data)
		out.WriteString(text)
		w.data, w.open = w.data[:0], false
	}
}

// nextWord finds the first encoded-word of s.
func nextWord(s string) (w word, before, after string, ok bool) {
	for from := 0; ; {
		n := strings.Index(s[from:], "=?")
		if n < 0 {
			return word{}, "", "", false
		}
		n += from
		w, size, ok := readWord(s[n:])
		if ok {
			return w, s[:n], s[n+size:], true
		}
		if size < 0 {
			return word{}, "", "", false
		}
		from = n + 2
	}
}

// readWord reads =?charset?encoding?text?= at the beginning of s. The size is negative if no word can end after it.
func readWord(s string) (word, int, bool) {
	label, rest, ok := cutMax(s[2:], "?", 64)
	if !ok || len(rest) < 2 || rest[1] != '?' || strings.ContainsAny(label, " \t\r\n=") {
		return word{}, 0, false
	}
	text, _, ok := strings.Cut(rest[2:], "?=")
	if !ok {
		return word{}, -1, false
	}
	if rest[0] == 'q' || rest[0] == 'Q' {
		// A "?=" inside the text of a Q word can only be its end; yet "=?=" may be a bad escape before it.
		if strings.HasSuffix(text, "=") && strings.HasPrefix(rest[2+len(text):], "?=?=") {
			text = rest[2 : 2+len(text)+1]
		}
	}
	size := len(s) - len(rest) + 2 + len(text) + 2
	switch rest[0] {
	case 'b', 'B':
		return word{charset: charsetName(label), data: wordB(text)}, size, true
	case 'q', 'Q':
		return word{charset: charsetName(label), data: wordQ(text)}, size, true
	}
	return word{}, 0, false
}

// cutMax is strings.Cut for a separator within the first max bytes.
func cutMax(s, sep string, max int) (string, string, bool) {
	n := strings.Index(s[:min(len(s), max)], sep)
	if n < 0 {
		return "", "", false
	}
	return s[:n], s[n+len(sep):], true
}

// wordB decodes the B encoding and skips what is not base64.
func wordB(s string) []byte {
	clean := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if values64[s[i]] < 64 {
			clean = append(clean, s[i])
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	n, _ := base64.RawStdEncoding.Decode(clean, clean)
	return clean[:n]
}

// wordQ decodes the Q encoding (RFC 2047 section 4.2); a bad escape stays as it is.
func wordQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && hexValue(s[i+1]) >= 0 && hexValue(s[i+2]) >= 0:
			out = append(out, byte(hexValue(s[i+1])<<4|hexValue(s[i+2])))
			i += 2
		case c == '\r' || c == '\n':
		default:
			out = append(out, c)
		}
	}
	return out
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// Hidden reports whether s holds a character that a reader cannot see or that changes how others are shown:
// controls, bidirectional overrides and isolates, zero-width and tag characters.
func Hidden(s string) bool { return strings.IndexFunc(s, unseen) >= 0 }

// Visible is s without the characters that Hidden finds; a tab or a line end becomes a space.
func Visible(s string) string {
	if !Hidden(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unseen(r):
			return -1
		}
		return r
	}, s)
}

// unseen reports whether r takes no room of its own in a line of text.
func unseen(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	switch {
	case r < 0xa0, r == 0xad: // DEL, C1 controls, soft hyphen
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	case r == 0x34f, r == 0x61c, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0, r == 0xfeff:
		return true
	case r >= 0x180b && r <= 0x180f, r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
}
