package content

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// sampled is how much of a text is looked at for its language.
const sampled = 4 << 10

// language is the language of a text by its letters and its small words (ISO 639-1); empty if there is too little to tell.
func language(s string) string {
	s = sample(s)
	var han, kana, hangul, cyrillic, arabic, hebrew, thai, greek, latin int
	for _, r := range s {
		switch {
		case r < 0x80:
			if r|0x20 >= 'a' && r|0x20 <= 'z' {
				latin++
			}
		case unicode.Is(unicode.Han, r):
			han++
		case r >= 0x3041 && r <= 0x30FF:
			kana++
		case r >= 0xAC00 && r <= 0xD7A3:
			hangul++
		case r >= 0x400 && r <= 0x4FF:
			cyrillic++
		case r >= 0x600 && r <= 0x6FF:
			arabic++
		case r >= 0x590 && r <= 0x5FF:
			hebrew++
		case r >= 0xE00 && r <= 0xE7F:
			thai++
		case r >= 0x370 && r <= 0x3FF:
			greek++
		case unicode.IsLetter(r):
			latin++
		}
	}
	if kana > 3 && (han+kana)*3 > latin {
		return "ja"
	}
	for _, c := range []struct {
		n    int
		name string
	}{{han * 3, "zh"}, {hangul * 3, "ko"}, {cyrillic, "ru"}, {arabic, "ar"}, {hebrew, "he"}, {thai, "th"}, {greek, "el"}} {
		if c.n > latin && c.n > 10 {
			return c.name
		}
	}
	return byWords(s)
}

// sample is the beginning of a text, cut between letters.
func sample(s string) string {
	if len(s) <= sampled {
		return s
	}
	n := sampled
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// byWords tells languages in Latin letters apart by words that stand in every text of theirs.
func byWords(s string) string {
	counts := map[string]int{}
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if len(word) > 8 {
			continue
		}
		for _, l := range smallWords(strings.ToLower(word)) {
			counts[l]++
		}
	}
	best, most, second := "", 0, 0
	for _, l := range [...]string{"en", "de", "fr", "es", "pt", "it", "nl", "pl", "sv", "tr"} {
		if n := counts[l]; n > most {
			best, most, second = l, n, most
		} else {
			second = max(second, n)
		}
	}
	if most < 3 || most == second {
		return ""
	}
	return best
}

// smallWords names the languages that a word is common in.
func smallWords(w string) []string {
	switch w {
	case "the", "and", "of", "you", "your", "is", "this", "that", "with", "are", "have", "it":
		return []string{"en"}
	case "der", "und", "die", "das", "nicht", "ist", "sie", "mit", "auf", "ihr", "wir", "ein":
		return []string{"de"}
	case "le", "et", "les", "est", "vous", "pour", "votre", "dans", "nous":
		return []string{"fr"}
	case "el", "los", "las", "del", "una", "su", "por", "y", "usted":
		return []string{"es"}
	case "não", "você", "seu", "sua", "uma", "os", "ao", "em", "da", "do":
		return []string{"pt"}
	case "il", "della", "che", "di", "sono", "per", "gli":
		return []string{"it"}
	case "het", "een", "van", "niet", "voor", "zijn", "uw", "je", "wij":
		return []string{"nl"}
	case "nie", "się", "jest", "na", "że", "dla":
		return []string{"pl"}
	case "och", "att", "det", "som", "inte", "för":
		return []string{"sv"}
	case "ve", "bir", "için", "bu", "ile", "olan":
		return []string{"tr"}
	case "que":
		return []string{"es", "pt", "fr"}
	case "para", "com", "de", "la", "en", "un":
		return []string{"es"}
	}
	return nil
}

// countWords counts words: runs of letters and digits, and each Han letter.
func countWords(s string) int {
	n, in := 0, false
	for _, r := range s {
		switch {
		case r < 0x80:
			c := r | 0x20
			letter := c >= 'a' && c <= 'z' || r >= '0' && r <= '9' || r == '\''
			if letter && !in {
				n++
			}
			in = letter
		case r >= 0x3041 && r <= 0x9FFF:
			n, in = n+1, false
		default:
			letter := unicode.IsLetter(r) || unicode.IsDigit(r)
			if letter && !in {
				n++
			}
			in = letter
		}
	}
	return n
}
