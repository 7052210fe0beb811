package rules

import (
	"encoding/binary"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// growth is the most octets that folding makes of one octet; what would become longer is cut.
const growth = 3

// A folder folds a text octet by octet, so that a place in the folded text can be found again in the text.
type folder struct {
	out   []byte
	space bool // the last octet written is a space
	limit int
}

// fold appends s to dst as patterns see it: lower case, compatibility forms and look-alike letters as the plain letter,
// without accents and invisible characters, each run of blanks as one space. The folding of a text is the folding of its
// letters one after the other. The result is at most growth times as long as s.
func fold(dst []byte, s string) []byte {
	f := folder{out: dst, limit: len(dst) + growth*len(s)}
	f.run(s, -1)
	return f.out
}

// Fold is s as patterns see it.
func Fold(s string) string { return string(fold(nil, s)) }

// A mark is a place of a text where its folding can be taken up again.
type mark struct {
	text   int32 // its place among the texts
	at     int   // octets of the text before it
	folded int   // octets of the folding before it
	space  bool  // the last of these is a space
}

// between is how many octets of a text lie between marks.
const between = 1 << 10

// foldMarked is fold, and appends marks to list.
func foldMarked(dst []byte, s string, text int, list []mark) ([]byte, []mark) {
	f := folder{out: dst, limit: len(dst) + growth*len(s)}
	for at := 0; at < len(s); {
		if at > 0 {
			list = append(list, mark{int32(text), at, len(f.out) - len(dst), f.space})
		}
		end := min(at+between, len(s))
		for end < len(s) && !utf8.RuneStart(s[end]) {
			end++
		}
		f.run(s[at:end], -1)
		at = end
	}
	return f.out, list
}

// unfold finds the octets of s that folded to [start, end) of its folding; m is a mark at or before start, the zero mark the
// beginning. What buf holds is overwritten.
func unfold(buf []byte, s string, m mark, start, end int) (int, int) {
	f := folder{out: slices.Grow(buf[:0], m.folded)[:m.folded], space: m.space, limit: growth * len(s)}
	from := m.at + f.run(s[m.at:], start+1)
	to := from
	behind := func(at int) int {
		if at < len(s) && s[at] >= utf8.RuneSelf {
			_, size := utf8.DecodeRuneInString(s[at:])
			return at + size
		}
		return min(at+1, len(s))
	}
	if len(f.out) < end {
		to = behind(from)
		to += f.run(s[to:], end)
	}
	return from, behind(to)
}

// run folds s. If want is positive it stops at the letter that brought the output to that length and returns its offset.
func (f *folder) run(s string, want int) int {
	for i := 0; i < len(s); {
		to := len(s)
		if want > 0 {
			to = min(to, i+max(want-1-len(f.out), 0)) // so much ASCII does not fold to want octets
		}
		if i += f.plain(s[i:to]); i == len(s) {
			break
		}
		c := s[i]
		size := 1
		if c < utf8.RuneSelf {
			f.ascii(c)
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			f.rune(r, s[i:i+size])
		}
		if want > 0 && len(f.out) >= want {
			return i
		}
		i += size
	}
	return len(s)
}

// plain folds the ASCII at the beginning of s and returns how much that is. It does what ascii does, only faster: eight
// octets at a time where none of them is more than a letter to put in lower case.
func (f *folder) plain(s string) int {
	if len(f.out)+len(s) > f.limit {
		return 0
	}
	n := len(f.out)
	out := slices.Grow(f.out, len(s)+8)[:n+len(s)+8]
	i := 0
	for i < len(s) {
		if i+8 <= len(s) {
			if v, space, ok := lower8(load8(s[i:i+8]), f.space); ok {
				binary.LittleEndian.PutUint64(out[n:], v)
				n, i, f.space = n+8, i+8, space
				continue
			}
		}
		end := min(i+8, len(s))
		for ; i < end && s[i] < utf8.RuneSelf; i++ {
			switch c := s[i]; {
			case c > ' ':
				if c-'A' < 26 {
					c |= 0x20
				}
				out[n] = c
				n++
				f.space = false
			case c == ' ' || c >= '\t' && c <= '\r':
				if !f.space {
					out[n] = ' '
					n++
					f.space = true
				}
			default:
				out[n] = c
				n++
				f.space = false
			}
		}
		if i < end {
			break
		}
	}
	f.out = out[:n]
	return i
}

// load8 is eight octets as a number, the first the least.
func load8(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// lower8 puts eight octets of ASCII in lower case and says whether the last is a space; ok is false if there is another
// octet, a control character or a space behind a space. space says whether one stands before them.
func lower8(v uint64, space bool) (folded uint64, last, ok bool) {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	if v&high != 0 || (v-' '*ones)&high != 0 {
		return 0, false, false
	}
	blank := ^((v ^ ' '*ones) + 0x7F*ones) & high
	twice := blank << 8
	if space {
		twice |= 0x80
	}
	if blank&twice != 0 {
		return 0, false, false
	}
	capital := (v + (0x80-'A')*ones) &^ (v + (0x7F-'Z')*ones) & high
	return v | capital>>2, blank>>63 != 0, true
}

// ascii folds one octet.
func (f *folder) ascii(c byte) {
	switch {
	case c == ' ', c >= '\t' && c <= '\r':
		f.blank()
		return
	case c >= 'A' && c <= 'Z':
		c |= 0x20
	}
	if len(f.out) < f.limit {
		f.out = append(f.out, c)
		f.space = false
	}
}

func (f *folder) blank() {
	if !f.space && len(f.out) < f.limit {
		f.out = append(f.out, ' ')
		f.space = true
	}
}

// rune folds one letter beyond ASCII, which is written as raw.
func (f *folder) rune(r rune, raw string) {
	switch {
	case r >= 0x4E00 && r <= 0x9FFF, r >= 0xAC00 && r <= 0xD7A3, r >= 0x3041 && r <= 0x30FF: // Han, Hangul, Kana
		f.add(raw)
		return
	case r == utf8.RuneError && len(raw) == 1:
		f.add("?")
		return
	case invisible(r):
		return
	case unicode.Is(unicode.Zs, r):
		f.blank()
		return
	}
	d := norm.NFKD.PropertiesString(raw).Decomposition()
	if d == nil || r == 0xB4 {
		f.letter(r)
		return
	}
	for len(d) > 0 {
		r, n := utf8.DecodeRune(d)
		if r < utf8.RuneSelf {
			f.ascii(byte(r))
		} else {
			f.letter(r)
		}
		d = d[n:]
	}
}

// letter adds a letter in lower case, and no mark.
func (f *folder) letter(r rune) {
	if unicode.Is(unicode.Mn, r) {
		return
	}
	r = unicode.ToLower(r)
	if plain, ok := lookAlike(r); ok {
		f.add(plain)
		return
	}
	var b [utf8.UTFMax]byte
	f.add(string(b[:utf8.EncodeRune(b[:], r)]))
}

func (f *folder) add(s string) {
	if len(f.out)+len(s) > f.limit {
		return
	}
	f.out = append(f.out, s...)
	f.space = false
}

// invisible reports whether a reader sees nothing of r.
func invisible(r rune) bool {
	switch {
	case r == 0xAD, r == 0x34F, r == 0x61C, r == 0x115F, r == 0x1160, r == 0x17B4, r == 0x17B5, r == 0x3164, r == 0xFEFF, r == 0xFFA0:
		return true
	case r >= 0x180B && r <= 0x180F, r >= 0x200B && r <= 0x200F, r >= 0x202A && r <= 0x202E, r >= 0x2060 && r <= 0x206F:
		return true
	case r >= 0x80 && r < 0xA0, r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0000 && r <= 0xE0FFF:
		return true
	}
	return false
}

// lookAlike is the plain letter that r is drawn like; r is in lower case. Letters of other alphabets count as the plain letter
// that they look like in either case, so that what is written in these alphabets folds alike in both cases.
func lookAlike(r rune) (string, bool) {
	switch {
	case r < 0xB4:
		return `"`, r == 0xAB
	case r <= 0x1A0:
		return latin(r)
	case r >= 0x3B1 && r <= 0x3C9:
		return one("abezhikmvoptyxyw", "αβεζηικμνορτυχγω", r)
	case r >= 0x430 && r <= 0x51D:
		return one("abekmhopctyxsijdhqwlg", "авекмнорстухѕіјԁһԛԝӏԍ", r)
	case r >= 0x2010 && r <= 0x2015, r == 0x2212, r == 0x2043:
		return "-", true
	case r == 0x2018, r == 0x2019, r == 0x201A, r == 0x201B, r == 0x2032, r == 0x2BC:
		return "'", true
	case r == 0x201C, r == 0x201D, r == 0x201E, r == 0x201F, r == 0x2033:
		return `"`, true
	}
	return "", false
}

// latin is the plain form of Latin letters that have no decomposition.
func latin(r rune) (string, bool) {
	switch r {
	case 0xB4:
		return "'", true
	case 0xBB:
		return `"`, true
	case 'ß':
		return "ss", true
	case 'æ':
		return "ae", true
	case 'œ':
		return "oe", true
	case 'ø':
		return "o", true
	case 'ł':
		return "l", true
	case 'đ', 'ð':
		return "d", true
	case 'ı':
		return "i", true
	}
	return "", false
}

// one finds r among from and gives the letter of the same place in to.
func one(to, from string, r rune) (string, bool) {
	n := 0
	for _, c := range from {
		if c == r {
			return to[n : n+1], true
		}
		n++
	}
	return "", false
}
