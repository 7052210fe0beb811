package spoof

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatepost/filters/mail"
	"gatepost/filters/web"
	"gatepost/rules/lookalike"
)

// nameWords are the words of a folded name.
func nameWords(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r != '\'' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// joined is the key of a name's words. A name in Chinese, Japanese or Korean letters is one word, and enough.
func joined(words []string) string {
	letters := 0
	for _, w := range words {
		letters += utf8.RuneCountInString(w)
	}
	if len(words) == 1 && letters >= 2 && letters <= 6 && wide(words[0]) {
		return words[0]
	}
	if len(words) < 2 || len(words) > 5 || letters < 5 {
		return ""
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// wide reports whether a word is written in letters each of which is a syllable or a word.
func wide(s string) bool {
	for _, r := range s {
		if !unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) {
			return false
		}
	}
	return true
}

// names looks at the display name by itself.
func (c *check) names() {
	name := c.author.Name
	if len(name) > maxName*4 {
		name = name[:maxName*4]
	}
	c.nameAddress(name)
	visible := mail.Visible(name)
	for _, w := range nameWords(visible) {
		if lookalike.Mixed(w) || c.Look.Disguised(w) && latin(c.author.Domain) {
			c.found("spoof.name-disguised", "The author's display name imitates letters with others: "+w+".")
			break
		}
	}
	if adorned(visible) {
		c.found("spoof.name-adorned", "The author's display name is adorned with signs that no name has.")
	}
}

// latin reports whether a domain ends in an ASCII label, so that its bearer writes Latin letters somewhere.
func latin(domain string) bool {
	return !strings.HasPrefix(domain[strings.LastIndexByte(domain, '.')+1:], "xn--")
}

// nameAddress looks for an address or domain of this site or a firm in the display name (D-17).
func (c *check) nameAddress(name string) {
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("<>()\"',;:[]|", r) }) {
		local, host, ok := strings.Cut(word, "@")
		if !ok {
			host = word
			if t, is := web.Shown(word); !is || t.Domain() == "" || len(word) < 6 {
				continue
			}
		} else if local == "" {
			continue
		}
		d, err := mail.CanonicalDomain(strings.TrimRight(host, ". "))
		if err != nil {
			continue
		}
		org := mail.OrganizationalDomain(d)
		if org == "" || org == c.domain {
			continue
		}
		if c.Ours[d] || c.Own.Has(org) {
			c.found("spoof.name-address", "The author's display name holds "+word+", of this site; the author's address is another.")
			return
		}
		if b := c.Brands.Owner(org); b != nil && !b.Owns(c.author.Domain) {
			c.found("spoof.name-address", fmt.Sprintf("The author's display name holds %s, of %s; the author's address is another.", word, b.Name))
			return
		}
	}
}

// adorned reports whether a name has signs that no name has: pictures, letters of mathematics, or nothing but signs.
func adorned(name string) bool {
	if name == "" {
		return false
	}
	letters, signs := 0, 0
	for _, r := range name {
		switch {
		case r >= 0x1D400 && r <= 0x1D7FF, r >= 0x1F000, r >= 0x2600 && r <= 0x27BF, r >= 0x2190 && r <= 0x23FF, r >= 0x2B00 && r <= 0x2BFF, r >= 0xFE00 && r <= 0xFE0F:
			return true
		case unicode.IsLetter(r), unicode.IsDigit(r):
			letters++
		case r == '_' || r == '~' || r == '*' || r == '#' || r == '!' || r == '^' || r == '=' || r == '|' || r == '$' || r == '%':
			signs++
		}
	}
	return letters == 0 || signs >= 3
}

// domains looks at the author's domain.
func (c *check) domains() {
	d := c.author.Domain
	if d == "" || strings.HasPrefix(d, "[") {
		return
	}
	if c.domain == "" || !web.Registrable(d) {
		c.found("spoof.no-such-domain", "The author's domain "+d+" cannot exist in the public DNS.")
		return
	}
	if c.ours() {
		return
	}
	t := web.Target{Host: d}
	own, _, _ := strings.Cut(c.domain, ".")
	if strings.HasPrefix(own, "xn--") {
		label := web.Target{Host: own}
		if u := label.Readable(); lookalike.Mixed(u) || c.Look.Disguised(u) && latin(d) {
			c.found("spoof.homograph", "The author's domain imitates Latin letters with others: "+t.Readable()+".")
		}
	}
	if original, how := c.Own.Pose(d, c.domain); how != lookalike.Not {
		c.found("spoof.lookalike-own", "The author's domain "+t.Readable()+" resembles "+original+" of this site.")
		return
	}
	if c.People == nil {
		return
	}
	if p := c.People.Partners(); p != nil && !p.Has(c.domain) {
		if original, how := p.Pose(d, c.domain); how == lookalike.Disguise || how == lookalike.Slip {
			c.found("spoof.lookalike-partner", "The author's domain "+t.Readable()+" resembles "+original+", which this site often writes with.")
		}
	}
}
