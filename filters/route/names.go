package route

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatepost/filters/mail"
)

// dynamic reports whether name is one that providers give to the connections of homes and to rented pools: made of the
// address, or of words that say so and a number. A name that says it is a mail server's, or a fixed one, is none.
func dynamic(name string, addr netip.Addr) bool {
	if !strings.ContainsAny(name, "0123456789") {
		return false
	}
	org := mail.OrganizationalDomain(name)
	host := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(name), org), ".")
	if org == "" || host == "" {
		return false
	}
	pieces := strings.FieldsFunc(host, func(r rune) bool { return r < 'a' || r > 'z' })
	if slices.ContainsFunc(pieces, serverWord) {
		return false
	}
	if namedAfter(host, addr) {
		return true
	}
	return strings.ContainsAny(host, "0123456789") && slices.ContainsFunc(pieces, poolWord)
}

// serverWord reports whether a piece of a name says that the host is a server or keeps its address.
func serverWord(w string) bool {
	switch w {
	case "mail", "mailer", "mailout", "smtp", "smtpout", "mx", "mxout", "mta", "relay", "out", "outbound", "email", "static", "fixed", "fix", "server", "srv", "newsletter", "news", "list", "lists", "send", "sender", "bounce":
		return true
	}
	return strings.HasPrefix(w, "mail") || strings.HasPrefix(w, "smtp")
}

// poolWord reports whether a piece of a name says that the host is one of a pool.
func poolWord(w string) bool {
	switch w {
	case "dial", "dialup", "dialin", "dip", "ppp", "pppoe", "dsl", "adsl", "xdsl", "vdsl", "sdsl", "dhcp", "pool", "pools", "cable", "cablemodem", "catv", "dyn", "dynamic", "dynip", "modem",
		"broadband", "bband", "cpe", "hsd", "customer", "customers", "cust", "client", "clients", "user", "users", "home", "fiber", "ftth", "wireless", "mobile":
		return true
	}
	return false
}

// namedAfter reports whether host is made of the address: three of its four numbers, or all of it in hexadecimal.
func namedAfter(host string, addr netip.Addr) bool {
	if !addr.Is4() {
		flat := strings.Map(func(r rune) rune {
			if r == '-' || r == '.' || r == ':' {
				return -1
			}
			return r
		}, host)
		return addr.IsValid() && strings.Contains(flat, strings.ReplaceAll(addr.StringExpanded(), ":", "")[16:])
	}
	b := addr.As4()
	if strings.Contains(host, fmt.Sprintf("%02x%02x%02x%02x", b[0], b[1], b[2], b[3])) {
		return true
	}
	runs := strings.FieldsFunc(host, func(r rune) bool { return r < '0' || r > '9' })
	hits := 0
	for _, n := range b {
		if slices.ContainsFunc(runs, func(r string) bool {
			return len(r) <= 3 && strings.TrimLeft(r, "0") == strings.TrimLeft(strconv.Itoa(int(n)), "0")
		}) {
			hits++
		}
	}
	if hits >= 3 {
		return true
	}
	long := fmt.Sprintf("%03d%03d%03d%03d", b[0], b[1], b[2], b[3])
	return slices.Contains(runs, long)
}

// isAddress reports whether a HELO name is a bare IP address.
func isAddress(helo string) bool {
	_, err := netip.ParseAddr(helo)
	return err == nil
}

// addressLiteral reads [192.0.2.1] and [IPv6:2001:db8::1] (RFC 5321 section 4.1.3).
func addressLiteral(helo string) (netip.Addr, bool) {
	if !strings.HasPrefix(helo, "[") || !strings.HasSuffix(helo, "]") {
		return netip.Addr{}, false
	}
	inner := helo[1 : len(helo)-1]
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		inner = inner[5:]
	}
	a, err := netip.ParseAddr(inner)
	return a.Unmap(), err == nil
}

// pretends reports whether helo is a name of a great provider's, and the reverse name is not.
func pretends(helo, name string) bool {
	p := providerOf(helo)
	return p != nil && !slices.Contains(p, lastLabels(name))
}

// lastLabels is the end of a name in lower case, of two labels: under none of those that are asked for do others register names.
func lastLabels(name string) string {
	name = strings.TrimSuffix(name, ".")
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	return strings.ToLower(name[strings.LastIndexByte(name[:dot], '.')+1:])
}

// providerOf is under which domains the hosts of the provider are named that helo claims to be of; nil if it is none of
// those known.
func providerOf(helo string) []string {
	switch lastLabels(helo) {
	case "google.com", "gmail.com", "googlemail.com":
		return []string{"google.com", "googlemail.com", "1e100.net", "googleusercontent.com"}
	case "yahoo.com":
		return []string{"yahoo.com", "yahoo.net", "yahoodns.net", "verizonmedia.com"}
	case "aol.com":
		return []string{"aol.com", "aol.net", "yahoo.com", "verizonmedia.com"}
	case "outlook.com", "hotmail.com", "msn.com", "live.com", "microsoft.com":
		return []string{"outlook.com", "hotmail.com", "msn.com", "live.com", "microsoft.com", "office365.us"}
	case "icloud.com", "me.com", "apple.com":
		return []string{"icloud.com", "me.com", "mac.com", "apple.com"}
	case "amazon.com", "amazonses.com":
		return []string{"amazon.com", "amazonses.com", "amazonaws.com"}
	case "paypal.com":
		return []string{"paypal.com", "exacttarget.com"}
	case "gmx.net", "gmx.de", "gmx.com", "web.de":
		return []string{"gmx.net", "gmx.de", "gmx.com", "web.de", "mail.com", "1and1.com"}
	case "qq.com", "foxmail.com":
		return []string{"qq.com", "foxmail.com"}
	case "163.com", "126.com", "netease.com":
		return []string{"163.com", "126.com", "netease.com", "yeah.net"}
	case "mail.ru", "yandex.ru", "yandex.net", "yandex.com":
		return []string{"mail.ru", "yandex.ru", "yandex.net", "yandex.com"}
	}
	return nil
}
