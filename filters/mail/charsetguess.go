package mail

import (
	"bytes"
	"strings"
)

// A text without a usable label, or whose label is a lie, is read as mail programs guess: by what its octets beyond ASCII
// look like. What is guessed is only how words are read; addresses and names of files are never guessed this way.

// maxGuessed is how many octets a guess looks at.
const maxGuessed = 8 << 10

// unlabelled reads text without a usable label: UTF-8 if it is, else the charset of a script that it plainly is written
// in, else Windows-1252.
func unlabelled(b []byte) string {
	if isASCIIText(b) || mostlyUTF8(b) {
		return guess(b)
	}
	if label := likely(b); label != "" {
		if text, ok := converted(label, b); ok {
			return text
		}
	}
	return guess(b)
}

// likely is the charset that the octets speak for; empty where none stands out.
func likely(b []byte) string {
	if n := bytes.IndexFunc(b, func(r rune) bool { return r > 0x7e }); n > 0 {
		b = b[n:]
	}
	b = b[:min(len(b), maxGuessed)]
	if label := cyrillic(b); label != "" {
		return label
	}
	for _, s := range doubles {
		if s.fits(b) {
			return s.label
		}
	}
	return ""
}

// A double is a charset that writes characters of its script in two octets.
type double struct {
	label string
	kind  func(lead, trail byte) pair
	kana  bool    // a fifth of the pairs must be kana: no Japanese text is without
	few   int     // pairs of common characters without which nothing is said
	share float64 // of all pairs, that must be common characters
}

// A pair is what two octets are in a charset.
type pair int

const (
	noPair pair = iota // no character
	rare               // a character that texts seldom have
	point              // punctuation, letters of other scripts: says nothing
	common             // a character that texts are made of
	kana
)

// doubles are in the order in which they are tried: what one is more particular about comes first.
var doubles = [...]double{
	{label: "shift_jis", kind: shiftJIS, kana: true, few: 4, share: 0.85},
	{label: "euc-jp", kind: eucJP, kana: true, few: 4, share: 0.85},
	{label: "euc-kr", kind: eucKR, few: 10, share: 0.97},
	{label: "gb18030", kind: gb2312, few: 4, share: 0.85},
	{label: "big5", kind: big5, few: 4, share: 0.85},
}

// fits reports whether b is plainly written in the charset: hardly a pair is broken, nearly all are of common
// characters, and not of a few that are only repeated, as rules drawn of signs are.
func (s *double) fits(b []byte) bool {
	var n [kana + 1]int
	var seen [256]bool
	different := 0
	for i := 0; i+1 < len(b); i++ {
		if b[i] < 0x80 {
			continue
		}
		k := s.kind(b[i], b[i+1])
		n[k]++
		if k == noPair {
			continue
		}
		if k >= common && !seen[b[i]^b[i+1]] {
			seen[b[i]^b[i+1]] = true
			different++
		}
		i++
	}
	known := n[common] + n[kana]
	all := known + n[rare] + n[noPair]
	return different >= s.few && n[noPair]*50 <= all && float64(known) >= s.share*float64(all) && (!s.kana || n[kana]*5 >= known)
}

// high reports whether c is the octet of a set of 94 by 94 (ISO 2022).
func high(c byte) bool { return c >= 0xa1 && c <= 0xfe }

// gb2312 knows the first level of GB 2312, the 3,755 characters that make up nearly all of a simplified Chinese text.
func gb2312(lead, trail byte) pair {
	switch {
	case !high(trail):
		if trail >= 0x40 && trail != 0x7f && lead >= 0x81 && lead != 0xff {
			return rare // of GBK
		}
		return noPair
	case lead >= 0xb0 && lead <= 0xd7:
		return common
	case lead >= 0xa1 && lead <= 0xa3:
		return point
	case lead >= 0x81 && lead != 0xff:
		return rare
	}
	return noPair
}

// big5 knows the first level of Big5, the 5,401 characters of ordinary traditional Chinese.
func big5(lead, trail byte) pair {
	switch {
	case !high(trail) && (trail < 0x40 || trail > 0x7e):
		return noPair
	case lead >= 0xa4 && lead <= 0xc6:
		return common
	case lead >= 0xa1 && lead <= 0xa3:
		return point
	case lead >= 0xc9 && lead <= 0xf9:
		return rare
	}
	return noPair
}

// eucKR knows the syllables of KS X 1001.
func eucKR(lead, trail byte) pair {
	switch {
	case !high(trail):
		return noPair
	case lead >= 0xb0 && lead <= 0xc8:
		return common
	case lead >= 0xa1 && lead <= 0xaf:
		return point
	}
	return rare
}

// eucJP knows kana and the first level of JIS X 0208.
func eucJP(lead, trail byte) pair {
	switch {
	case !high(trail):
		return noPair
	case lead == 0xa4 && trail <= 0xf3, lead == 0xa5 && trail <= 0xf6:
		return kana
	case lead >= 0xb0 && lead <= 0xcf:
		return common
	case lead >= 0xa1 && lead <= 0xa3:
		return point
	case lead >= 0xd0 && lead <= 0xf4:
		return rare
	}
	return noPair
}

// shiftJIS knows the same, as Windows writes it.
func shiftJIS(lead, trail byte) pair {
	switch {
	case trail < 0x40 || trail == 0x7f || trail > 0xfc:
		return noPair
	case lead == 0x82 && trail >= 0x9f && trail <= 0xf1, lead == 0x83 && trail <= 0x96:
		return kana
	case lead >= 0x88 && lead <= 0x97:
		return common
	case lead == 0x81 || lead == 0x82:
		return point
	case lead >= 0x98 && lead <= 0x9f, lead >= 0xe0 && lead <= 0xea:
		return rare
	}
	return noPair
}

// The six letters that Russian, Ukrainian and Bulgarian texts have most, in lower case: о е а и н т. Half of a text is
// made of them.
const (
	often1251 = "\xee\xe5\xe0\xe8\xed\xf2"
	oftenKOI8 = "\xcf\xc5\xc1\xc9\xce\xd4"
)

// cyrillic is the charset of a text whose letters are mostly Cyrillic; empty if they are not.
func cyrillic(b []byte) string {
	var letters, beyond, windows, koi8 int
	for _, c := range b {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		case c >= 0xc0:
			beyond++
			if strings.IndexByte(often1251, c) >= 0 {
				windows++
			}
			if strings.IndexByte(oftenKOI8, c) >= 0 {
				koi8++
			}
		case c >= 0x80 && strings.IndexByte("\xa0\xa3\xa8\xab\xb3\xb8\xb9\xbb\x84\x85\x93\x94\x96\x97", c) < 0:
			return "" // none of what stands between letters there
		}
	}
	const few = 12
	switch {
	case beyond < few || beyond*10 < letters*3:
		return ""
	case windows > koi8 && windows*20 >= beyond*7:
		return "windows-1251"
	case koi8 > windows && koi8*20 >= beyond*7:
		return "koi8-r"
	}
	return ""
}
