package bayes

import (
	"unicode"
	"unicode/utf8"
)

// A class says what a character is for the words of a text.
type class byte

const (
	blank  class = iota // ends a word
	letter              // letters and digits of scripts with words
	inner               // belongs to a word if it stands between letters
	sign                // money, percent: begins or ends a word and belongs to it
	cry                 // an exclamation mark; a run of them is a word
	ideo                // a word of its own: Han, kana, Hangul, Thai
)

// classes and folded are read-only tables of ASCII.
var (
	classes = classTable()
	folded  = foldTable()
)

func classTable() (t [utf8.RuneSelf]class) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
			t[c] = letter
		case c == '\'', c == '-', c == '.', c == ',', c == '*':
			t[c] = inner
		case c == '$', c == '%':
			t[c] = sign
		case c == '!':
			t[c] = cry
		}
	}
	return t
}

func foldTable() (t [utf8.RuneSelf]byte) {
	for c := range t {
		t[c] = byte(c)
		switch {
		case c >= 'A' && c <= 'Z':
			t[c] += 'a' - 'A'
		case c >= '0' && c <= '9':
			t[c] = '0'
		}
	}
	return t
}

// plain is what r counts as: lower case, full-width forms as their ASCII, and look-alikes of the mathematical letters
// as the letters they are.
func plain(r rune) rune {
	switch {
	case r >= 0xff01 && r <= 0xff5e:
		return rune(folded[r-0xfee0])
	case r >= 0x1d400 && r <= 0x1d6a3:
		return 'a' + (r-0x1d400)%26
	case r >= 0x1d7ce && r <= 0x1d7ff:
		return '0'
	case r < utf8.RuneSelf:
		return rune(folded[r])
	}
	return unicode.ToLower(r)
}

// classOf is the class of a character beyond ASCII.
func classOf(r rune) class {
	switch {
	case r == '€' || r == '£' || r == '¥' || r == '￥' || r == '₽' || r == '₿' || r == '％':
		return sign
	case r == '！':
		return cry
	case r >= 0x2e80 && r <= 0x2fdf, r >= 0x3040 && r <= 0x30ff, r >= 0x3400 && r <= 0x4dbf, r >= 0x4e00 && r <= 0x9fff,
		r >= 0xac00 && r <= 0xd7af, r >= 0xf900 && r <= 0xfaff, r >= 0x20000 && r <= 0x3ffff, r >= 0x0e00 && r <= 0x0e7f:
		return ideo
	case r == 0x200b, r == 0x200c, r == 0x200d, r == 0x2060, r == 0xad, r == 0xfeff:
		return inner // put between letters to split a word for filters and not for readers
	case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r):
		return letter
	case unicode.Is(unicode.So, r):
		return ideo // emoji
	}
	return blank
}

// A scanner cuts text into words: runs of letters and digits with what joins them; single characters of scripts that
// write no blanks; runs of exclamation marks.
type scanner struct {
	s  string
	at int
}

// longest is how many octets of one word are looked at; what is longer is no word of a language.
const longest = 40

// next is the next word; ok is false at the end.
func (t *scanner) next() (word string, ok bool) {
	for t.at < len(t.s) {
		c, n := t.look(t.at)
		switch c {
		case blank, inner:
			t.at += n
		case ideo:
			start := t.at
			t.at += n
			return t.s[start:t.at], true
		case cry:
			return t.run(cry), true
		default:
			return t.word(), true
		}
	}
	return "", false
}

// look is the class of the character at i, and its length.
func (t *scanner) look(i int) (class, int) {
	c := t.s[i]
	if c < utf8.RuneSelf {
		return classes[c], 1
	}
	r, n := utf8.DecodeRuneInString(t.s[i:])
	return classOf(r), n
}

// run takes all characters of one class.
func (t *scanner) run(c class) string {
	start := t.at
	for t.at < len(t.s) {
		k, n := t.look(t.at)
		if k != c {
			break
		}
		t.at += n
	}
	return t.s[start:min(t.at, start+longest)]
}

// word takes letters, digits, signs, and what stands between them.
func (t *scanner) word() string {
	start, end := t.at, t.at
	for t.at < len(t.s) {
		c, n := t.look(t.at)
		if c == letter || c == sign {
			t.at += n
			end = t.at
			continue
		}
		if c != inner || t.at > end {
			break
		}
		t.at += n
	}
	t.at = end
	return t.s[start:end]
}
