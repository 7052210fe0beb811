package mail

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// ErrDomain is what CanonicalDomain returns for a name that no DNS server could be asked for.
var ErrDomain = errors.New("malformed domain")

// uts46 maps a name as browsers and mail programs look it up, and refuses what the standard calls invalid
// (UTS #46 section 4, CheckBidi, CheckJoiners, VerifyDnsLength, UseSTD3ASCIIRules).
var uts46 = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckJoiners(true),
	idna.ValidateLabels(true), idna.CheckHyphens(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// CanonicalDomain is the one spelling of a domain: lower case, A-labels, no trailing dot. Two names that a mail
// program looks up as the same have the same spelling. It accepts underscores, which DNS names may have, though no
// envelope address may.
func CanonicalDomain(s string) (string, error) {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 4*maxDomain {
		return "", ErrDomain
	}
	if isASCII(s) && !hasALabel(s) {
		if !isHostname(s) {
			return "", ErrDomain
		}
		return strings.ToLower(s), nil
	}
	if !utf8.ValidString(s) {
		return "", ErrDomain
	}
	d, err := uts46.ToASCII(s)
	d = strings.TrimSuffix(d, ".")
	if err != nil || !isHostname(d) {
		return "", ErrDomain
	}
	return d, nil
}

// hasALabel reports whether a label of s claims to be Punycode.
func hasALabel(s string) bool {
	for i := 0; i+3 < len(s); i++ {
		if s[i+2] == '-' && s[i+3] == '-' && s[i]|0x20 == 'x' && s[i+1]|0x20 == 'n' && (i == 0 || s[i-1] == '.') {
			return true
		}
	}
	return false
}

// isHostname reports whether s is made of labels of letters, digits, hyphens and underscores, 1 to 63 octets each,
// no hyphen at either end, 253 octets in all (RFC 1035 section 2.3.4).
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '.':
			if label == 0 || s[i-1] == '-' {
				return false
			}
			label = -1
		case c == '-' && label == 0:
			return false
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_':
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && s[len(s)-1] != '-'
}

// OrganizationalDomain is the part of a domain that someone registered, by the Public Suffix List: example.co.uk for
// mail.example.co.uk. It is empty for a public suffix, an IP address, and what is not a domain.
func OrganizationalDomain(domain string) string {
	d, err := CanonicalDomain(domain)
	if err != nil {
		return ""
	}
	if d[0] >= '0' && d[0] <= '9' && d[len(d)-1] >= '0' && d[len(d)-1] <= '9' { // as every address begins and ends that could be a domain
		if _, err := netip.ParseAddr(d); err == nil {
			return ""
		}
	}
	org, err := publicsuffix.EffectiveTLDPlusOne(d)
	if err != nil {
		return ""
	}
	return org
}

// IsPublicSuffix reports whether domain is one under which others register names, such as com or co.uk.
func IsPublicSuffix(domain string) bool {
	d, err := CanonicalDomain(domain)
	if err != nil {
		return false
	}
	suffix, _ := publicsuffix.PublicSuffix(d)
	return suffix == d
}
