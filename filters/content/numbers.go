package content

import (
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
	if len(g.m.Authors()) == 0 {
		return ""
	}
	for range maxAddresses {
		at := strings.IndexByte(text, '@')
		if at < 0 {
			return ""
		}
		from := at
		for from > 0 && ofAddress(text[from-1]) {
			from--
		}
		local, rest := text[from:at], text[at+1:]
		end := 0
		for end < len(rest) && ofAddress(rest[end]) {
			end++
		}
		domain := strings.ToLower(strings.Trim(rest[:end], "."))
		text = rest
		if len(local) >= 2 && strings.Contains(domain, ".") && !g.known(domain) {
			return local + "@" + domain
		}
	}
	return ""
}

// known reports whether a domain is of the organisation of the author or of one of the first recipients. The very same domain
// is, without asking of which organisation it is.
func (g *gathered) known(domain string) bool {
	const most = 5 // recipients
	author := g.m.Authors()[0].Domain
	to := g.to[:min(len(g.to), most)]
	if domain == author || slices.ContainsFunc(to, func(a mail.Mailbox) bool { return a.Domain == domain }) {
		return true
	}
	org := organisation(domain)
	return org == organisation(author) || slices.ContainsFunc(to, func(a mail.Mailbox) bool { return organisation(a.Domain) == org })
}

// organisation is the registered domain of a domain, or itself.
func organisation(domain string) string {
	if org := mail.OrganizationalDomain(domain); org != "" {
		return org
	}
	return domain
}

// ofAddress reports whether an octet can stand in a plain address.
func ofAddress(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' || c == '+'
}
