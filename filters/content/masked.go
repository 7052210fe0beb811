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
		s, _, _ := skeleton(w)
		m[s] = w
	}
	return m
}

// looks are what readers take for a letter.
const looks = "1i|i!ili0o@a3e5s$s4a8b7t"

// maxMasked is how long a word may be that hides another.
const maxMasked = 24

// skeleton is a word of ASCII as a reader takes it: look-alike letters as one, what stands between letters left out. swaps is
// how many digits and signs stand for letters, between how many stand between them; a word of other signs has no skeleton.
func skeleton(w string) (s string, swaps, between int) {
	var b [maxMasked]byte
	n := 0
	for i := 0; i < len(w) && n < len(b); i++ {
		c := w[i] | 0x20*bit(w[i] >= 'A' && w[i] <= 'Z')
		for k := 0; k < len(looks); k += 2 {
			if looks[k] == c {
				swaps += int(bit(c != 'l'))
				c = looks[k+1]
				break
			}
		}
		switch {
		case c >= 'a' && c <= 'z':
			b[n] = c
			n++
		case strings.IndexByte(".*_-'`~^|", c) >= 0:
			between++
		default:
			return "", 0, 0
		}
	}
	return string(b[:n]), swaps, between
}

// bit is 1 for true.
func bit(yes bool) byte {
	if yes {
		return 1
	}
	return 0
}

// maskedWord is the first word of a text that a reader takes for another, such as V1agra, C.i.a.l.i.s or PayPaI; empty if there is none.
func maskedWord(text string) string {
	for w := range strings.FieldsSeq(text) {
		w = strings.Trim(w, `.,;:!?"'()[]<>*-`)
		if len(w) < 4 || len(w) > maxMasked || strings.IndexByte(w, '/') >= 0 || strings.IndexByte(w, '@') >= 0 && strings.IndexByte(w, '.') >= 0 || !ascii(w) {
			continue
		}
		s, swaps, between := skeleton(w)
		if plain, ok := wares[s]; ok && !strings.EqualFold(w, plain) && (swaps > 0 || between > 1 || mixedCase(w)) {
			return w
		}
		if plain, ok := names[s]; ok && between == 0 && !strings.EqualFold(w, plain) && (swaps > 0 || mixedCase(w)) {
			return w
		}
	}
	return ""
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

// spacedWord is the first word of a text whose letters stand apart, small ones among them: R o l e x. Headings are spaced
// in capitals.
func spacedWord(text string) string {
	fields := strings.Fields(text)
	for from := 0; from < len(fields); from++ {
		n, small := 0, 0
		for from+n < len(fields) && len(strings.TrimRight(fields[from+n], ":,.!?")) == 1 {
			switch letterKind(fields[from+n][0]) {
			case 'a':
				small++
			case 'A':
			default:
				small -= 100
			}
			n++
		}
		if n >= 4 && small >= 3 {
			return strings.Join(fields[from:from+n], " ")
		}
		from += n
	}
	return ""
}

// A rowOfWords counts words of a text that stand in a row with nothing but blanks between them, all of four small letters and
// more: no sentence of English has so many without a small word. Lists of keywords have commas.
const rowOfWords = 13

// wordRow is the beginning of the first such row; empty if there is none.
func wordRow(text string) string {
	row := 0
	for w := range strings.FieldsSeq(text) {
		if len(w) < 4 || len(w) > 16 || !small(w) {
			row = 0
			continue
		}
		if row++; row == rowOfWords {
			at := strings.Index(text, w)
			return text[max(0, at-60) : at+len(w)]
		}
	}
	return ""
}

// small reports whether a word is made of small ASCII letters alone.
func small(w string) bool {
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return false
		}
	}
	return true
}
