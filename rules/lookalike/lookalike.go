// Package lookalike tells which words look the same to a reader although they are written with other characters.
//
// It knows no words, no domains and no mail: what a word is compared with is its caller's business.
package lookalike

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A Table knows which characters look like an ASCII one. It is immutable.
type Table struct {
	doubles map[rune]byte
	exact   map[rune]bool // of doubles, those that nobody can tell from their letter
}

//go:embed confusable.txt
var shipped string

// Shipped is the table that the program comes with.
func Shipped() (*Table, error) { return Parse(shipped) }

// Parse reads a table: each line an ASCII letter or digit, = or ~, and the characters that look like it; # begins a comment.
func Parse(text string) (*Table, error) {
	t := &Table{map[rune]byte{}, map[rune]bool{}}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		like := words[0]
		if len(words) < 3 || len(like) != 1 || !letter(like[0]) || words[1] != "=" && words[1] != "~" {
			return nil, fmt.Errorf("read line %d: want a small ASCII letter or digit, = or ~, and its doubles", i+1)
		}
		for _, w := range words[2:] {
			r, n := utf8.DecodeRuneInString(w)
			if n != len(w) || r < utf8.RuneSelf || r == utf8.RuneError {
				return nil, fmt.Errorf("read line %d: %q is not one character beyond ASCII", i+1, w)
			}
			if old, twice := t.doubles[r]; twice {
				return nil, fmt.Errorf("read line %d: %q looks like %c already", i+1, w, old)
			}
			t.doubles[r] = like[0]
			if words[1] == "=" {
				t.exact[r] = true
			}
		}
	}
	return t, nil
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// maxFolded bounds what is folded of one text, in octets; names of people and hosts are never as long.
const maxFolded = 4 << 10

// Fold is s as a reader takes it: in lower case, without accents, with each character that looks like an ASCII letter as
// that letter, and without what cannot be seen. What looks like nothing else stays as it is. At most 4 KiB of s are read.
func (t *Table) Fold(s string) string {
	if len(s) > maxFolded {
		s = s[:maxFolded]
	}
	if plain(s) {
		return s
	}
	out := make([]byte, 0, len(s))
	for _, r := range s {
		out = t.fold(out, r, true)
	}
	return string(out)
}

// plain reports whether Fold would change nothing.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' || c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// fold appends what r looks like.
func (t *Table) fold(out []byte, r rune, whole bool) []byte {
	switch {
	case r >= 'A' && r <= 'Z':
		return append(out, byte(r)|0x20)
	case r < ' ' || r == 0x7f:
		return append(out, ' ')
	case r < utf8.RuneSelf:
		return append(out, byte(r))
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
		return out
	}
	if c, ok := t.doubles[r]; ok {
		return append(out, c)
	}
	if whole {
		var buf [4 * utf8.UTFMax]byte
		n := utf8.EncodeRune(buf[:], r)
		if d := norm.NFKD.Bytes(buf[:n]); string(d) != string(buf[:n]) {
			for len(d) > 0 {
				part, n := utf8.DecodeRune(d)
				d = d[n:]
				out = t.fold(out, part, false)
			}
			return out
		}
	}
	low := unicode.ToLower(r)
	if c, ok := t.doubles[low]; ok {
		return append(out, c)
	}
	return utf8.AppendRune(out, low)
}

// Skeleton is the same for names that a reader could take for each other: Fold, and i, l, 1 and | alike, o and 0, rn and m, vv and w.
func (t *Table) Skeleton(s string) string {
	s = t.Fold(s)
	i := strings.IndexAny(s, "i1|0vr")
	if i < 0 {
		return s
	}
	out := make([]byte, i, len(s))
	copy(out, s)
	for ; i < len(s); i++ {
		c := s[i]
		var next byte
		if i+1 < len(s) {
			next = s[i+1]
		}
		switch {
		case c == 'i' || c == '1' || c == '|':
			c = 'l'
		case c == '0':
			c = 'o'
		case c == 'r' && next == 'n':
			c = 'm'
			i++
		case c == 'v' && next == 'v':
			c = 'w'
			i++
		}
		out = append(out, c)
	}
	return string(out)
}

// Near reports whether two different words differ by one slip of a finger: a letter too many, too few or another, or two
// neighbours exchanged. It compares octets.
func Near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if a == b || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if a[i+1:] == b[i+1:] {
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

// Mixed reports whether a word is made of letters that no one language mixes: Latin with Cyrillic, Greek, Armenian, Hebrew,
// Arabic or Cherokee, or two of those. Japanese, Chinese and Korean beside Latin are ordinary.
func Mixed(s string) bool {
	if ascii(s) {
		return false
	}
	var seen *unicode.RangeTable
	for _, r := range s {
		for _, script := range alphabets {
			if !unicode.Is(script, r) {
				continue
			}
			if seen != nil && seen != script {
				return true
			}
			seen = script
			break
		}
	}
	return false
}

// alphabets are the scripts whose letters are taken for each other; read-only.
var alphabets = [...]*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Hebrew, unicode.Arabic, unicode.Cherokee, unicode.Georgian}

// Disguised reports whether a word without a single ASCII letter reads as if it were all ASCII: a whole word in another alphabet's
// look-alike letters, none of which can be told from the ASCII one.
func (t *Table) Disguised(s string) bool {
	letters := 0
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf && letter(byte(r)|0x20) && (r < '0' || r > '9'), r >= utf8.RuneSelf && !t.exact[r]:
			return false
		case r >= utf8.RuneSelf:
			letters++
		}
	}
	return letters > 1
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
