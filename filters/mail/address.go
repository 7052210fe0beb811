package mail

import (
	"errors"
	"strings"
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

// ParseAddress reads local-part@domain, without angle brackets.
func ParseAddress(s string) (Address, error) {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 {
		return Address{}, ErrAddress
	}
	return Address{raw: s, local: s[:at], domain: strings.ToLower(s[at+1:])}, nil
}

// IsNull reports whether a is the null reverse-path <>.
func (a Address) IsNull() bool { return a.raw == "" }

// Local is the local part without quoting.
func (a Address) Local() string { return a.local }

// Domain is the canonical domain: lower case, A-labels; or an address literal in brackets.
func (a Address) Domain() string { return a.domain }

// String is the address as it was given, correctly quoted, without angle brackets; empty for the null reverse-path.
func (a Address) String() string { return a.raw }

// Canonical is the form for comparing, storing and owning: local part folded to lower case, canonical domain.
func (a Address) Canonical() string {
	if a.IsNull() {
		return ""
	}
	return strings.ToLower(a.local) + "@" + a.domain
}

// MarshalText writes the address as String does.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.raw), nil }

// UnmarshalText reads what MarshalText wrote; an empty text is the null reverse-path.
func (a *Address) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = Address{}
		return nil
	}
	v, err := ParseAddress(string(b))
	if err == nil {
		*a = v
	}
	return err
}
