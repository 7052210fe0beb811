package content

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"gatepost/filters/mail"
)

// disguise looks for letters that are put so that filters do not read what readers do.
func (g *gathered) disguise(visible string, words *wording) {
	for _, name := range [...]string{"Subject", "From"} {
		if f := g.m.Fields(name); len(f) > 0 && needlesslyEncoded(f[0].Value) {
			g.sign("encoded_ascii", "header "+name, f[0].Value)
			break
		}
	}
	g.scripts(visible, words.far)
	g.masks(words)
	g.numbers(visible)
	if n := len(g.to); n > 5 {
		g.sign("many_recipients", "header To", strconv.Itoa(n))
	}
}

// scripts looks for letters of several scripts in one word, and for what nobody sees in words. far says whether the text holds
// letters beyond ASCII: without them it has neither.
func (g *gathered) scripts(visible string, far bool) {
	first, n := mixedWords(g.subject)
	split := 0
	if far {
		second, m := mixedWords(visible)
		first, n = cmp.Or(first, second), n+m
		split = splitLetters(visible)
	}
	if n >= 2 {
		g.sign("mixed_script", "text", fmt.Sprintf("%d words, such as %s", n, first))
	}
	if split >= 3 {
		g.sign("split_words", "text", fmt.Sprintf("%d times", split))
	}
}

// masks looks for words that are written so that only a reader knows them, and for words that nobody is meant to read.
func (g *gathered) masks(words *wording) {
	if w := disguised(g.subject); w != "" {
		g.sign("masked_word", "header Subject", w)
	} else if w := disguised(g.name()); w != "" {
		g.sign("masked_word", "header From", w)
	} else if w := cmp.Or(words.masked, words.spaced); w != "" {
		g.sign("masked_word", "text", w)
	}
	if g.language != "" && g.language != "en" {
		return
	}
	row := words.row
	for _, p := range g.html {
		if row == "" {
			row = wordingOf(sample(proseOf(p.View().Hidden)), hiddenRow).row
		}
	}
	if row != "" {
		g.sign("word_row", "text", row)
	}
}

// disguised is the first word of a short text that only a reader knows; empty if there is none.
func disguised(text string) string {
	words := wordingOf(text, rowOfWords)
	return cmp.Or(words.masked, words.spaced)
}

// name is the first author's display name.
func (g *gathered) name() string {
	if authors := g.m.Authors(); len(authors) > 0 {
		return authors[0].Name
	}
	return ""
}

// needlesslyEncoded reports whether a field's words are encoded in base64 though they are ASCII (RFC 2047 section 4 leaves
// such text as it is).
func needlesslyEncoded(value string) bool {
	lower := strings.ToLower(value)
	if !strings.Contains(lower, "?b?") || strings.Contains(lower, "=?iso-2022") {
		return false
	}
	text := mail.DecodeWords(mail.Unfold(value))
	return ascii(text) && !strings.Contains(text, "=?")
}

// mixedWords counts words in which letters of the Latin and the Cyrillic alphabet, or Latin letters and those made for
// mathematics, stand beside each other, and gives the first.
func mixedWords(s string) (first string, n int) {
	if ascii(s) {
		return "", 0
	}
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }) {
		latin, other := 0, 0
		for _, r := range w {
			switch {
			case r < 0x80:
				latin++
			case r >= 0x400 && r <= 0x52f, r >= 0x1d400 && r <= 0x1d7ff, r >= 0x13a0 && r <= 0x13ff:
				other++
			}
		}
		if latin >= 2 && other >= 1 {
			if n++; n == 1 {
				first = w
			}
		}
	}
	return first, n
}

// splitLetters counts where something that nobody sees stands between two ASCII letters.
func splitLetters(s string) (n int) {
	if ascii(s) {
		return 0
	}
	last, gap := rune(0), false
	for _, r := range s {
		switch r {
		case 0x200b, 0x200c, 0x200d, 0x2060, 0xfeff:
			gap = true
			continue
		}
		if gap && r < 0x80 && last < 0x80 && unicode.IsLetter(r) && unicode.IsLetter(last) {
			n++
		}
		last, gap = r, false
	}
	return n
}
