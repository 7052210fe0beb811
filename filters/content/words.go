package content

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kinds says which kinds of octets a word holds, a bit for each.
type kinds uint8

const (
	blankOctet   kinds = 1 << iota // between words
	smallOctet                     // a to z
	capitalOctet                   // A to Z
	digitOctet
	markOctet   // what stands beside words: see mark
	markupOctet // what stands in addresses and markup alone
	signOctet   // any other octet of ASCII
	farOctet    // a part of a letter beyond ASCII
)

// kindsOf are the kinds of octets.
var kindsOf = func() (table [256]kinds) {
	for c := range table {
		switch c := byte(c); {
		case c >= utf8.RuneSelf:
			table[c] = farOctet
		case c == ' ' || c >= '\t' && c <= '\r':
			table[c] = blankOctet
		case c >= 'a' && c <= 'z':
			table[c] = smallOctet
		case c >= 'A' && c <= 'Z':
			table[c] = capitalOctet
		case c >= '0' && c <= '9':
			table[c] = digitOctet
		case mark(c):
			table[c] = markOctet
		case strings.IndexByte(`/@_=<>\[]{}()|`, c) >= 0:
			table[c] = markupOctet
		default:
			table[c] = signOctet
		}
	}
	return table
}()

// A walk goes over the words of a text, what stands between blanks, as strings.FieldsSeq does, and says of each what kinds of
// octets it holds: for most words that is all that need be known.
type walk struct {
	text       string
	start, end int // of the word
	holds      kinds
}

// next goes to the next word; false if there is none.
func (w *walk) next() bool {
	i := w.end
	for size := 0; i < len(w.text); i += size {
		if size = blank(w.text, i); size == 0 {
			break
		}
	}
	w.start, w.holds = i, 0
	for i < len(w.text) {
		kind := kindsOf[w.text[i]]
		if kind >= farOctet || kind == blankOctet {
			if blank(w.text, i) > 0 {
				break
			}
		}
		w.holds |= kind
		i++
	}
	w.end = i
	return w.start < i
}

// blank is how many octets the blank has that stands at a place of a text; 0 if none does.
func blank(text string, at int) int {
	switch c := text[at]; c {
	case 0xC2, 0xE1, 0xE2, 0xE3: // blanks beyond ASCII begin with no other octet
		if r, size := utf8.DecodeRuneInString(text[at:]); unicode.IsSpace(r) {
			return size
		}
	default:
		if kindsOf[c] == blankOctet {
			return 1
		}
	}
	return 0
}

// only reports whether the word holds no other kinds.
func (w *walk) only(k kinds) bool { return w.holds&^k == 0 }

// A wording is what was noticed about the words of a text.
type wording struct {
	words, caps, odd int    // words of letters; those in capitals; those that nobody could say…
	example          string // …and the last of these
	masked           string // the first word that a reader takes for another
	spaced           string // the first word whose letters stand apart
	row              string // the beginning of the first row of words
	far              bool   // there are letters beyond ASCII
}

// wordingOf notices in one pass all that there is to notice about words; row is how many words make one.
func wordingOf(text string, row int) (out wording) {
	var apart spacing
	inRow := 0
	for w := (walk{text: text}); w.next(); {
		size := w.end - w.start
		out.far = out.far || w.holds&farOctet != 0
		if size <= 2 || apart.n > 0 {
			apart.add(&w)
		}
		if size < 4 {
			inRow = 0
			continue
		}
		word := text[w.start:w.end]
		out.count(word, w.holds)
		if w.only(smallOctet) && size <= maxRowed {
			if inRow++; inRow == row && out.row == "" {
				at := strings.Index(text, word)
				out.row = text[max(0, at-60) : at+size]
			}
			continue
		}
		inRow = 0
		if out.masked == "" && !w.only(smallOctet) {
			out.masked = masked(word, w.holds)
		}
	}
	out.spaced = apart.of(text)
	return out
}

// count counts a word of four octets or more, which holds such kinds of them.
func (out *wording) count(word string, holds kinds) {
	if len(word) > 30 || holds&(markupOctet|farOctet) != 0 {
		return
	}
	if holds&markOctet != 0 {
		if word = bare(word); len(word) < 4 {
			return
		}
	}
	out.words++
	if holds&(smallOctet|digitOctet) == 0 && holds&capitalOctet != 0 {
		out.caps++
	}
	if holds&^(smallOctet|markOctet) == 0 && gibberish(word) {
		out.odd++
		out.example = word
	}
}

// bare is a word without the marks around it; of one that is shorter than four octets no more is taken away.
func bare(w string) string {
	for len(w) >= 4 && mark(w[0]) {
		w = w[1:]
	}
	for len(w) >= 4 && mark(w[len(w)-1]) {
		w = w[:len(w)-1]
	}
	return w
}

// mark reports whether an octet is one of the marks that stand beside words.
func mark(c byte) bool {
	switch c {
	case '.', ',', ';', ':', '!', '?', '"', '\'', '*', '-':
		return true
	}
	return false
}
