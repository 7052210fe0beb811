package content

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// The words of a walk are those of strings.FieldsSeq, and what is noticed about them in one pass is what one look for each thing
// would notice.
func FuzzWordsAreNoticedInOnePass(f *testing.F) {
	for _, s := range []string{
		"", "  ", "one", "a\u00a0b\u2003c\u3000d\u0085e \u1680f\u2029g", "\xe2\x80 \xc2", "Buy V1agra or R o l e x, and C.i.a.l.i.s; PayPaI", "all models of R o l e x", "a b c d", "a b c d E",
		"I N  T H I S", "xqzrtw brtfgh qqwwrrt \"MAKE MONEY FAST\" (NOW)", "click catalytic dulse oblique maharani stutter brisk agouti cadence filmy horsefly lummox pious vermeil quartz",
		strings.Repeat("words without small words ", 9), "您的账户 1 3 8 0 0 x y z w", "...ab... ---- abcd. 'abcd' extraordinarilylongword", "ends in a b c d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) { // no text of a message is
			return
		}
		var walked []string
		for w := (walk{text: s}); w.next(); {
			walked = append(walked, s[w.start:w.end])
		}
		if words := strings.Fields(s); !slices.Equal(walked, words) {
			t.Fatalf("%q: %q, not %q", s, walked, words)
		}
		for _, row := range []int{rowOfWords, hiddenRow} {
			if got, want := wordingOf(s, row), wordingByWord(s, row); got != want {
				t.Fatalf("%q: %+v, not %+v", s, got, want)
			}
		}
	})
}

// wordingByWord is wordingOf as one would say it.
func wordingByWord(text string, most int) (out wording) {
	words := strings.Fields(text)
	row := 0
	for _, w := range words {
		if out.masked == "" && len(w) >= 4 {
			out.masked = masked(w, kindsIn(w))
		}
		if len(w) < 4 || len(w) > maxRowed || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			row = 0
		} else if row++; row == most && out.row == "" {
			at := strings.Index(text, w)
			out.row = text[max(0, at-60) : at+len(w)]
		}
		if len(w) < 4 || len(w) > 30 || strings.ContainsAny(w, `/@_=<>\[]{}()|`) {
			continue
		}
		w = bare(w)
		if len(w) < 4 || !ascii(w) {
			continue
		}
		out.words++
		if strings.ToUpper(w) == w && strings.ToLower(w) != w && !strings.ContainsAny(w, "0123456789") {
			out.caps++
		}
		if gibberish(w) {
			out.odd++
			out.example = w
		}
	}
	out.spaced, out.far = lettersApart(text), !ascii(strings.Join(words, ""))
	return out
}

// kindsIn is what kinds of octets a word holds.
func kindsIn(w string) (holds kinds) {
	for i := range len(w) {
		holds |= kindsOf[w[i]]
	}
	return holds
}

// lettersApart is the first four letters or more, three of them small, that stand apart, with a mark behind each at most.
func lettersApart(text string) string {
	letter := func(w string) bool {
		return (w[0]|0x20)-'a' < 26 && (len(w) == 1 || len(w) == 2 && !unicode.IsLetter(rune(w[1])) && !unicode.IsDigit(rune(w[1])))
	}
	at, from, n, small := 0, 0, 0, 0
	for _, w := range strings.Fields(text) {
		end := at
		at += strings.Index(text[at:], w)
		switch {
		case letter(w):
			if n == 0 {
				from = at
			}
			if n++; w[0] >= 'a' {
				small++
			}
		case n >= 4 && small >= 3:
			return text[from:end]
		default:
			n, small = 0, 0
		}
		at += len(w)
	}
	if n >= 4 && small >= 3 {
		return text[from:at]
	}
	return ""
}
