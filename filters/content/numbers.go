package content

import (
	"fmt"
	"slices"
	"strings"

	"gatepost/filters/mail"
)

// numbers looks for how the text wants to be answered: by a Chinese telephone, or at an address that is not the author's.
func (g *gathered) numbers(text string) {
	if g.language == "zh" {
		if number, apart := chinaPhone(text); number != "" {
			g.sign("china_phone", "text", number)
			if apart {
				g.sign("masked_phone", "text", number)
			}
		}
	}
	if a := g.otherAddress(text); a != "" {
		g.sign("other_address", "text", a)
	}
}

// digit is the value of a digit in any of the ways that advertisers write one: 3, ３, 三, 叁; -1 for what is none.
func digit(r rune) int {
	switch {
	case r >= '0' && r <= '9':
		return int(r - '0')
	case r >= '０' && r <= '９':
		return int(r - '０')
	case r < 0x2000 || !strings.ContainsRune("零〇一壹①二贰②三叁③四肆④五伍⑤六陆⑥七柒⑦八捌⑧九玖⑨", r):
		return -1
	}
	for value, forms := range [...]string{"零〇", "一壹①", "二贰②", "三叁③", "四肆④", "五伍⑤", "六陆⑥", "七柒⑦", "八捌⑧", "九玖⑨"} {
		if strings.ContainsRune(forms, r) {
			return value
		}
	}
	return -1
}

// The digits of a Chinese mobile number, and how far apart two of them may stand.
const (
	mobileDigits = 11
	mobileGap    = 2
)

// chinaPhone is the first Chinese mobile number of a text as it is written; apart, if at least four of its digits stand alone
// or are written out. Dashes and blanks after the third and the seventh digit are how people write it.
func chinaPhone(text string) (number string, apart bool) {
	var digits [mobileDigits]int
	n, odd, gap, start := 0, 0, 0, 0
	end := func(at int) bool {
		return n == mobileDigits && digits[0] == 1 && digits[1] >= 3 && at-start < 120
	}
	for i, r := range text {
		d := digit(r)
		if d < 0 {
			if gap++; n > 0 && gap > mobileGap || n > 0 && !strings.ContainsRune(" \t-.*_　、,", r) {
				if end(i) {
					return strings.TrimSpace(text[start:i]), odd >= 4
				}
				n, odd, gap = 0, 0, 0
			}
			continue
		}
		if n == 0 {
			start = i
		}
		if n < mobileDigits {
			digits[n] = d
		}
		if r > '9' || gap > 0 && n > 0 {
			odd++
		}
		n, gap = n+1, 0
	}
	if end(len(text)) {
		return strings.TrimSpace(text[start:]), odd >= 4
	}
	return "", false
}

// maxAddresses bounds how many addresses of a text are looked at.
const maxAddresses = 20

// otherAddress is the first address in a text that belongs to neither the author's nor a recipient's organisation; empty if there is
// none, or if nobody is named as the author.
func (g *gathered) otherAddress(text string) string {
	authors := g.m.Authors()
	if len(authors) == 0 {
		return ""
	}
	known := []string{organisation(authors[0].Domain)}
	for _, a := range g.m.Addresses("To") {
		if len(known) < 6 {
			known = append(known, organisation(a.Domain))
		}
	}
	for range maxAddresses {
		at := strings.IndexByte(text, '@')
		if at < 0 {
			return ""
		}
		local := text[strings.LastIndexFunc(text[:at], notOfAddress)+1 : at]
		rest := text[at+1:]
		if n := strings.IndexFunc(rest, notOfAddress); n >= 0 {
			rest = rest[:n]
		}
		domain := strings.ToLower(strings.Trim(rest, "."))
		text = text[at+1:]
		if len(local) < 2 || !strings.Contains(domain, ".") {
			continue
		}
		if org := organisation(domain); !slices.Contains(known, org) {
			return fmt.Sprintf("%s@%s", local, domain)
		}
	}
	return ""
}

// organisation is the registered domain of a domain, or itself.
func organisation(domain string) string {
	if org := mail.OrganizationalDomain(domain); org != "" {
		return org
	}
	return domain
}

// notOfAddress reports whether a letter cannot stand in a plain address.
func notOfAddress(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' || r == '+')
}
