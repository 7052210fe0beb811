package content

import (
	"unicode"
	"unicode/utf8"
)

// sampled is how much of a text is looked at for its language.
const sampled = 4 << 10

// scripts counts the letters of a text by script.
type scripts struct{ han, kana, hangul, cyrillic, arabic, hebrew, thai, greek, latin int }

func (n *scripts) add(r rune) {
	switch {
	case unicode.Is(unicode.Han, r):
		n.han++
	case r >= 0x3041 && r <= 0x30FF:
		n.kana++
	case r >= 0xAC00 && r <= 0xD7A3:
		n.hangul++
	case r >= 0x400 && r <= 0x4FF:
		n.cyrillic++
	case r >= 0x600 && r <= 0x6FF:
		n.arabic++
	case r >= 0x590 && r <= 0x5FF:
		n.hebrew++
	case r >= 0xE00 && r <= 0xE7F:
		n.thai++
	case r >= 0x370 && r <= 0x3FF:
		n.greek++
	case unicode.IsLetter(r):
		n.latin++
	}
}

// language is the language of a text by its letters and its small words (ISO 639-1); empty if there is too little to tell.
func language(s string) string {
	var n scripts
	var word smallWord
	votes := [len(languages)]int{}
	for s = sample(s); s != ""; {
		if plain := plainLetters(s); plain > 0 {
			n.latin += plain
			word.addPlain(s[:plain])
			s = s[plain:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		if r >= utf8.RuneSelf {
			n.add(r)
		}
		if r >= utf8.RuneSelf && unicode.IsLetter(r) {
			word.add(unicode.ToLower(r), utf8.RuneLen(r))
		} else {
			word.vote(&votes)
		}
	}
	word.vote(&votes)
	if n.kana > 3 && (n.han+n.kana)*3 > n.latin {
		return "ja"
	}
	for _, c := range [...]struct {
		n    int
		name string
	}{{n.han * 3, "zh"}, {n.hangul * 3, "ko"}, {n.cyrillic, "ru"}, {n.arabic, "ar"}, {n.hebrew, "he"}, {n.thai, "th"}, {n.greek, "el"}} {
		if c.n > n.latin && c.n > 10 {
			return c.name
		}
	}
	return elected(&votes)
}

// plainLetters is how many letters of ASCII a text begins with.
func plainLetters(s string) int {
	for i := range len(s) {
		if (s[i]|0x20)-'a' >= 26 {
			return i
		}
	}
	return len(s)
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

// languages are those that are told apart by words that stand in every text of theirs.
var languages = [...]string{"en", "de", "fr", "es", "pt", "it", "nl", "pl", "sv", "tr"}

// The places of languages, as bits.
const (
	english = 1 << iota
	german
	french
	spanish
	portuguese
	italian
	dutch
	polish
	swedish
	turkish
)

// elected is the language whose words are most; empty if there are few of them or two languages have as many.
func elected(votes *[len(languages)]int) string {
	best, most, second := "", 0, 0
	for i, n := range votes {
		if n > most {
			best, most, second = languages[i], n, most
		} else {
			second = max(second, n)
		}
	}
	if most < 3 || most == second {
		return ""
	}
	return best
}

// maxSmall is the most octets of a word that is looked at.
const maxSmall = 8

// A smallWord is a word being read, in lower case.
type smallWord struct {
	letters [2*maxSmall + utf8.UTFMax]byte
	n, size int // octets in letters, and of the word as written
}

func (w *smallWord) add(lower rune, size int) {
	if w.size += size; w.size > maxSmall {
		return
	}
	if lower < utf8.RuneSelf {
		w.letters[w.n] = byte(lower)
		w.n++
		return
	}
	w.n += utf8.EncodeRune(w.letters[w.n:], lower)
}

// addPlain adds letters of ASCII.
func (w *smallWord) addPlain(letters string) {
	if w.size += len(letters); w.size > maxSmall {
		return
	}
	for i := range len(letters) {
		w.letters[w.n] = letters[i] | 0x20
		w.n++
	}
}

// vote counts the word for the languages that it is common in, and begins the next.
func (w *smallWord) vote(votes *[len(languages)]int) {
	if w.n > 0 && w.size <= maxSmall {
		for in, i := commonIn(w.letters[:w.n]), 0; in != 0; in, i = in>>1, i+1 {
			votes[i] += in & 1
		}
	}
	w.n, w.size = 0, 0
}

// commonIn are the languages that a word is common in.
func commonIn(w []byte) int {
	switch string(w) {
	case "the", "and", "of", "you", "your", "is", "this", "that", "with", "are", "have", "it":
		return english
	case "der", "und", "die", "das", "nicht", "ist", "sie", "mit", "auf", "ihr", "wir", "ein":
		return german
	case "le", "et", "les", "est", "vous", "pour", "votre", "dans", "nous":
		return french
	case "el", "los", "las", "del", "una", "su", "por", "y", "usted":
		return spanish
	case "não", "você", "seu", "sua", "uma", "os", "ao", "em", "da", "do":
		return portuguese
	case "il", "della", "che", "di", "sono", "per", "gli":
		return italian
	case "het", "een", "van", "niet", "voor", "zijn", "uw", "je", "wij":
		return dutch
	case "nie", "się", "jest", "na", "że", "dla":
		return polish
	case "och", "att", "det", "som", "inte", "för":
		return swedish
	case "ve", "bir", "için", "bu", "ile", "olan":
		return turkish
	case "que":
		return spanish | portuguese | french
	case "para", "com", "de", "la", "en", "un":
		return spanish
	}
	return 0
}

// countWords counts words: runs of letters and digits, and each Han letter.
func countWords(s string) int {
	// The digits and ', and the letters: the octets of words below 64, and from there on.
	const low, high = uint64(0x3FF<<'0' | 1<<'\''), uint64(0x3FFFFFF<<('A'-64) | 0x3FFFFFF<<('a'-64))
	n, in := 0, uint64(0) // in is 1 in a word
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			set := low
			if c >= 64 {
				set = high
			}
			letter := set >> (c % 64) & 1
			n += int(letter &^ in)
			in = letter
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r >= 0x3041 && r <= 0x9FFF:
			n, in = n+1, 0
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			in = 0
		case in == 0:
			n, in = n+1, 1
		}
	}
	return n
}
