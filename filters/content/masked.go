package content

import (
	"strings"
)

// wares are words that are written wrong so that filters do not read them, as skeletons; names are those of firms, of which
// only a capital I for an l, or a digit for a letter, is no slip of the pen.
var (
	wares = skeletons("viagra cialis levitra xanax valium ambien phentermine tramadol vicodin hydrocodone oxycodone sildenafil pharmacy erection penis rolex replica casino mortgage refinance porn")
	names = skeletons("paypal microsoft apple netflix amazon facebook google outlook office icloud linkedin account password invoice support verify security login alibaba ledger binance bitcoin")
)

// skeletons are words by their skeletons.
func skeletons(words string) map[string]string {
	m := map[string]string{}
	for w := range strings.FieldsSeq(words) {
		s := skeleton(w)
		m[string(s.text[:s.n])] = w
	}
	return m
}

// looks are what readers take for a letter.
const looks = "1i|i!ili0o@a3e5s$s4a8b7t"

// maxMasked is how long a word may be that hides another.
const maxMasked = 24

// A bones is a word of ASCII as a reader takes it: look-alike letters as one, what stands between letters left out.
type bones struct {
	text    [maxMasked]byte
	n       int
	swaps   int // digits and signs that stand for letters
	between int // signs that stand between letters
}

// skeleton makes a word's. One of other signs than those that hide letters has none.
func skeleton(w string) (s bones) {
	for i := 0; i < len(w) && s.n < maxMasked; i++ {
		c := w[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		for k := 0; k < len(looks); k += 2 {
			if looks[k] == c {
				if c != 'l' {
					s.swaps++
				}
				c = looks[k+1]
				break
			}
		}
		switch {
		case c >= 'a' && c <= 'z':
			s.text[s.n] = c
			s.n++
		case strings.IndexByte(".*_-'`~^|", c) >= 0:
			s.between++
		default:
			return bones{}
		}
	}
	return s
}

// masked is a word that holds such kinds of octets, without the marks around it, if a reader takes it for another one, such as
// V1agra, C.i.a.l.i.s or PayPaI; otherwise empty. What is settled by few octets comes first: nearly all words are.
func masked(w string, holds kinds) string {
	if len(w) < 4 || len(w) > 2*maxMasked || holds&farOctet != 0 || plainWord(w) {
		return ""
	}
	w = strings.Trim(w, `.,;:!?"'()[]<>*-`)
	if len(w) < 4 || len(w) > maxMasked || strings.IndexByte(w, '/') >= 0 || strings.IndexByte(w, '@') >= 0 && strings.IndexByte(w, '.') >= 0 {
		return ""
	}
	s := skeleton(w)
	if s.swaps == 0 && s.between < 2 && !mixedCase(w) {
		return ""
	}
	if plain, ok := wares[string(s.text[:s.n])]; ok && !strings.EqualFold(w, plain) {
		return w
	}
	if plain, ok := names[string(s.text[:s.n])]; ok && s.between == 0 && !strings.EqualFold(w, plain) {
		return w
	}
	return ""
}

// plainWord reports whether a word is small letters behind a first letter of any size, maybe with a mark at its end: nothing is
// masked so.
func plainWord(w string) bool {
	for i := 1; i < len(w); i++ {
		if c := w[i]; (c < 'a' || c > 'z') && (i < len(w)-1 || c != '.' && c != ',') {
			return false
		}
	}
	return letterKind(w[0]) != 'd' && letterKind(w[0]) != '-'
}

// mixedCase reports whether an l stands among capitals or a capital I among small letters, as where one is meant to be taken for the
// other: VlAGRA, PayPaI.
func mixedCase(w string) bool {
	for i := 1; i < len(w); i++ {
		before := letterKind(w[i-1])
		after := byte('-')
		if i+1 < len(w) {
			after = letterKind(w[i+1])
		}
		if w[i] == 'I' && before == 'a' && after != 'A' || w[i] == 'l' && before == 'A' && after == 'A' {
			return true
		}
	}
	return false
}

// A spacing looks for the first word of a text whose letters stand apart, small ones among them: R o l e x. Headings are spaced
// in capitals.
type spacing struct {
	n, small   int // letters in a row, and how many of them are small
	start, end int // of the row
	found      bool
}

// add is told the words of a text. Longer ones than of two octets matter only behind shorter ones.
func (s *spacing) add(w *walk) {
	if s.found {
		return
	}
	kind := letterKind(w.text[w.start])
	size := w.end - w.start
	if kind == 'd' || kind == '-' || size > 2 || size == 2 && letterKind(w.text[w.start+1]) != '-' {
		if s.found = s.enough(); !s.found {
			s.n, s.small = 0, 0
		}
		return
	}
	if s.n == 0 {
		s.start = w.start
	}
	if s.n++; kind == 'a' {
		s.small++
	}
	s.end = w.end
}

func (s *spacing) enough() bool { return s.n >= 4 && s.small >= 3 }

// of is the word that was found in the text; empty if there is none.
func (s *spacing) of(text string) string {
	if !s.enough() {
		return ""
	}
	return text[s.start:s.end]
}

// A rowOfWords counts words of a text that stand in a row with nothing but blanks between them, all of four small letters and
// more: no sentence of English has so many without a small word. Lists of keywords have commas. Of words that are hidden fewer do.
const (
	rowOfWords = 13
	hiddenRow  = 8
	maxRowed   = 16 // octets of one of the words
)
