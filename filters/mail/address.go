package mail

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// An Address is a mailbox of the envelope as RFC 5321 section 4.1.2 spells it. Only ParseAddress makes one, so an
// Address never holds control characters, is never longer than the RFC's limits, and can be written to a next hop
// as it is. The zero Address is the null reverse-path.
type Address struct {
	raw    string // as given, without angle brackets, parameters and source route
	local  string // unquoted
	domain string // lower case, A-labels, no trailing dot; or an address literal with its brackets
}

// ErrAddress is what ParseAddress returns, wrapped with the reason.
var ErrAddress = errors.New("malformed address")

// The limits of RFC 5321 section 4.5.3.1 in octets. A path counts its angle brackets.
const (
	maxLocal  = 64
	maxDomain = 255
	maxPath   = 256
)

// ParseAddress reads local-part@domain, without angle brackets, as strictly as RFC 5321 and RFC 6531 spell it. It
// refuses what other programs would read as something else: a local part that begins with "-" (an option to a
// program), an empty one, characters that nobody can see, and a domain that ends in a dot.
func ParseAddress(s string) (Address, error) {
	if len(s) > maxPath-2 {
		return Address{}, malformed("longer than 254 octets")
	}
	local, n, err := parseLocal(s)
	if err != nil {
		return Address{}, err
	}
	domain, err := parseDomain(s[n+1:])
	if err != nil {
		return Address{}, err
	}
	return Address{raw: s, local: local, domain: domain}, nil
}

// ParseRecipient reads an address as ParseAddress does, and also one whose domain ends in a dot: the domain is the
// same, and so are the policy and the owner. String keeps the dot.
func ParseRecipient(s string) (Address, error) {
	cut, dotted := strings.CutSuffix(s, ".")
	if !dotted || len(s) > maxPath-2 {
		return ParseAddress(s)
	}
	a, err := ParseAddress(cut)
	if err == nil {
		a.raw = s
	}
	return a, err
}

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrAddress, reason) }

// parseLocal reads the local part and returns it unquoted, with the place of the "@" that follows.
func parseLocal(s string) (local string, at int, err error) {
	if strings.HasPrefix(s, `"`) {
		local, at, err = parseQuoted(s)
	} else {
		local, at, err = parseDotString(s)
	}
	switch {
	case err != nil:
	case at >= len(s) || s[at] != '@':
		err = malformed("no @ after the local part")
	case at > maxLocal:
		err = malformed("local part longer than 64 octets")
	case local == "":
		err = malformed("empty local part")
	case local[0] == '-':
		err = malformed("local part begins with a hyphen")
	}
	return local, at, err
}

// parseDotString reads atoms joined by dots (RFC 5321 section 4.1.2, widened by RFC 6531 section 3.3).
func parseDotString(s string) (string, int, error) {
	dot := true // a dot may not come first, last, or after a dot
	for i, r := range s {
		switch {
		case r == '@':
			if dot {
				return "", 0, malformed("empty atom in the local part")
			}
			return s[:i], i, nil
		case r == '.':
			if dot {
				return "", 0, malformed("empty atom in the local part")
			}
			dot = true
		case r < utf8.RuneSelf && atext[r], r >= utf8.RuneSelf && visible(r, s[i:]):
			dot = false
		default:
			return "", 0, malformed("local part holds a character that must be quoted")
		}
	}
	return "", 0, malformed("no @")
}

// parseQuoted reads a quoted local part (RFC 5321 section 4.1.2, Quoted-string).
func parseQuoted(s string) (string, int, error) {
	var b strings.Builder
	for i := 1; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"':
			return b.String(), i + 1, nil
		case r == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", 0, malformed("bad quoted pair")
			}
			b.WriteByte(s[i])
		case r >= ' ' && r <= '~', r >= utf8.RuneSelf && visible(r, s[i:]):
			b.WriteRune(r)
		default:
			return "", 0, malformed("control character in the local part")
		}
		i += n
	}
	return "", 0, malformed("unclosed quotation mark")
}

// visible reports whether r, which rest begins with, is valid UTF-8 that a reader can see.
func visible(r rune, rest string) bool {
	if r == utf8.RuneError {
		if _, n := utf8.DecodeRuneInString(rest); n == 1 {
			return false
		}
	}
	return unicode.IsPrint(r)
}

// parseDomain reads a domain or an address literal and returns its canonical form.
func parseDomain(s string) (string, error) {
	if len(s) > maxDomain {
		return "", malformed("domain longer than 255 octets")
	}
	if strings.HasPrefix(s, "[") {
		ip, ok := parseLiteral(s)
		if !ok {
			return "", malformed("bad address literal")
		}
		return literal(ip), nil
	}
	if strings.HasSuffix(s, ".") || strings.Contains(s, "_") {
		return "", malformed("bad domain")
	}
	d, err := CanonicalDomain(s)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return d, nil
}

// parseLiteral reads an address literal with its brackets (RFC 5321 section 4.1.3).
func parseLiteral(s string) (netip.Addr, bool) {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return netip.Addr{}, false
	}
	s = s[1 : len(s)-1]
	six := len(s) > 5 && strings.EqualFold(s[:5], "IPv6:")
	if six {
		s = s[5:]
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" || ip.Is6() != six {
		return netip.Addr{}, false
	}
	return ip, true
}

func literal(ip netip.Addr) string {
	if ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	}
	return "[" + ip.String() + "]"
}

// IsNull reports whether a is the null reverse-path <>.
func (a Address) IsNull() bool { return a.raw == "" }

// Local is the local part without quoting.
func (a Address) Local() string { return a.local }

// Domain is the canonical domain: lower case, A-labels; or an address literal in brackets.
func (a Address) Domain() string { return a.domain }

// String is the address as it was given, correctly quoted, without angle brackets; empty for the null reverse-path.
func (a Address) String() string { return a.raw }

// Literal is the IP address if the domain is an address literal.
func (a Address) Literal() (netip.Addr, bool) { return parseLiteral(a.domain) }

// NonASCII reports whether the address can only be sent with SMTPUTF8 (RFC 6531).
func (a Address) NonASCII() bool { return !isASCII(a.raw) }

// Canonical is the form for comparing, storing and owning: local part folded to lower case, canonical domain. The
// local part is quoted if it must be, so that two different mailboxes never share a form.
func (a Address) Canonical() string {
	if a.IsNull() {
		return ""
	}
	local := strings.ToLower(a.local)
	if !isASCII(local) {
		local = norm.NFC.String(local)
	}
	if _, n, err := parseDotString(local + "@"); err != nil || n != len(local) {
		local = quote(local)
	}
	return local + "@" + a.domain
}

// quote writes s as a quoted-string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// MarshalText writes the address as String does.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.raw), nil }

// UnmarshalText reads what MarshalText wrote; an empty text is the null reverse-path.
func (a *Address) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = Address{}
		return nil
	}
	v, err := ParseRecipient(string(b))
	if err == nil {
		*a = v
	}
	return err
}

// atext are the characters of an atom (RFC 5322 section 3.2.3).
var atext = func() (t [128]bool) {
	for c := byte(0); c < 128; c++ {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
	}
	return t
}()

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
