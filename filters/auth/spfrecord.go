package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxRecord is the longest SPF, DKIM or DMARC record that is read (L-04).
const maxRecord = 4096

// A spfKind is a mechanism's name.
type spfKind uint8

const (
	spfAll spfKind = iota
	spfInclude
	spfA
	spfMX
	spfPTR
	spfIP4
	spfIP6
	spfExists
)

// An spfTerm is one mechanism of a record.
type spfTerm struct {
	kind      spfKind
	qualifier byte         // + - ~ ?
	domain    string       // a domain-spec with its macros; empty: the current domain
	net       netip.Prefix // of ip4 and ip6
	bits4     int          // prefix length for IPv4 of a and mx
	bits6     int
	text      string // as published
}

// An spfRecord is one record that is correct from end to end: RFC 7208 section 4.6 makes an error anywhere in it an
// error of the whole, whatever would have matched before.
type spfRecord struct {
	terms    []spfTerm
	redirect string
	exp      string
}

// isSPF reports whether a TXT record is an SPF record of version 1 (RFC 7208 section 4.5).
func isSPF(txt string) bool {
	return len(txt) >= 6 && strings.EqualFold(txt[:6], "v=spf1") && (len(txt) == 6 || txt[6] == ' ')
}

// parseSPF reads a record for which isSPF holds.
func parseSPF(txt string) (*spfRecord, error) {
	if len(txt) > maxRecord {
		return nil, fmt.Errorf("record of %d bytes: at most %d are read", len(txt), maxRecord)
	}
	for i := 0; i < len(txt); i++ {
		if txt[i] < ' ' || txt[i] > '~' {
			return nil, errors.New("record holds bytes that are not printable ASCII")
		}
	}
	r := &spfRecord{terms: make([]spfTerm, 0, 8)}
	var seenRedirect, seenExp bool
	for term := range strings.SplitSeq(txt[6:], " ") {
		if term == "" {
			continue
		}
		name, value, ok := modifier(term)
		if !ok {
			t, err := parseMechanism(term)
			if err != nil {
				return nil, fmt.Errorf("term %q: %w", clip(term), err)
			}
			r.terms = append(r.terms, t)
			continue
		}
		var err error
		switch {
		case strings.EqualFold(name, "redirect"):
			if seenRedirect {
				return nil, errors.New("redirect= stands twice")
			}
			seenRedirect, r.redirect = true, value
			err = checkDomainSpec(value)
		case strings.EqualFold(name, "exp"):
			if seenExp {
				return nil, errors.New("exp= stands twice")
			}
			seenExp, r.exp = true, value
			err = checkDomainSpec(value)
		default:
			err = checkMacros(value, false)
		}
		if err != nil {
			return nil, fmt.Errorf("term %q: %w", clip(term), err)
		}
	}
	return r, nil
}

// modifier splits a term of the form name "=" value (RFC 7208 section 6). Mechanisms have no "=" before ":" or "/".
func modifier(term string) (name, value string, ok bool) {
	i := strings.IndexAny(term, "=:/")
	if i <= 0 || term[i] != '=' || !alpha(term[0]) {
		return "", "", false
	}
	for j := 1; j < i; j++ {
		if c := term[j]; !alpha(c) && !digit(c) && c != '-' && c != '_' && c != '.' {
			return "", "", false
		}
	}
	return term[:i], term[i+1:], true
}

// parseMechanism reads a directive (RFC 7208 section 4.6.1).
func parseMechanism(term string) (spfTerm, error) {
	t := spfTerm{qualifier: '+', bits4: 32, bits6: 128, text: term}
	s := term
	if strings.IndexByte("+-~?", s[0]) >= 0 {
		t.qualifier, s = s[0], s[1:]
	}
	end := strings.IndexAny(s, ":/")
	if end < 0 {
		end = len(s)
	}
	name, rest := s[:end], s[end:]
	value, hasValue := strings.CutPrefix(rest, ":")
	switch strings.ToLower(name) {
	case "all":
		if rest != "" {
			return t, errors.New("all takes no argument")
		}
		t.kind = spfAll
		return t, nil
	case "include", "exists":
		t.kind, t.domain = spfInclude, value
		if name[1] == 'x' || name[1] == 'X' {
			t.kind = spfExists
		}
		if !hasValue {
			return t, errors.New("domain is missing")
		}
		return t, checkDomainSpec(value)
	case "a", "mx":
		t.kind = spfA
		if len(name) == 2 {
			t.kind = spfMX
		}
		return parseHosts(t, rest)
	case "ptr":
		t.kind, t.domain = spfPTR, value
		if rest == "" {
			return t, nil
		}
		if !hasValue {
			return t, errors.New("ptr takes no prefix length")
		}
		return t, checkDomainSpec(value)
	case "ip4", "ip6":
		t.kind = spfIP4
		if name[2] == '6' {
			t.kind = spfIP6
		}
		if !hasValue {
			return t, errors.New("address is missing")
		}
		return parseNet(t, value)
	}
	return t, errors.New("unknown mechanism")
}

// parseHosts reads what follows "a" or "mx": [":" domain-spec] ["/" bits] ["//" bits].
func parseHosts(t spfTerm, rest string) (spfTerm, error) {
	var err error
	if head, bits, ok := cutLast(rest, "//"); ok && isDigits(bits) {
		if t.bits6, err = prefixLength(bits, 128); err != nil {
			return t, err
		}
		rest = head
	}
	if head, bits, ok := cutLast(rest, "/"); ok && isDigits(bits) && !strings.HasSuffix(head, "/") {
		if t.bits4, err = prefixLength(bits, 32); err != nil {
			return t, err
		}
		rest = head
	}
	if rest == "" {
		return t, nil
	}
	domain, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return t, errors.New("malformed prefix length")
	}
	t.domain = domain
	return t, checkDomainSpec(domain)
}

// parseNet reads the argument of ip4 or ip6.
func parseNet(t spfTerm, value string) (spfTerm, error) {
	host, length, hasLength := strings.Cut(value, "/")
	a, err := netip.ParseAddr(host)
	if err != nil || a.Is4() != (t.kind == spfIP4) || a.Zone() != "" {
		return t, errors.New("malformed address")
	}
	bits := a.BitLen()
	if hasLength {
		if bits, err = prefixLength(length, bits); err != nil {
			return t, err
		}
	}
	t.net = netip.PrefixFrom(a, bits).Masked()
	return t, nil
}

// prefixLength reads a number without leading zeros.
func prefixLength(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || !isDigits(s) || len(s) > 1 && s[0] == '0' || n > most {
		return 0, errors.New("malformed prefix length")
	}
	return n, nil
}

// checkDomainSpec checks a domain-spec: macros that ends in a macro or in "." toplabel (RFC 7208 section 7.1).
func checkDomainSpec(s string) error {
	if s == "" {
		return errors.New("domain is missing")
	}
	if err := checkMacros(s, false); err != nil {
		return err
	}
	if s[len(s)-1] == '}' && strings.Contains(s, "%{") {
		return nil
	}
	s = strings.TrimSuffix(s, ".")
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 || !isTopLabel(s[dot+1:]) {
		return errors.New("domain does not end in a top-level label")
	}
	return nil
}

// isTopLabel reports whether s is a toplabel: letters, digits and inner hyphens, not all digits.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digits := true
	for i := 0; i < len(s); i++ {
		if !digit(s[i]) {
			digits = false
		}
		if !alpha(s[i]) && !digit(s[i]) && s[i] != '-' {
			return false
		}
	}
	return !digits
}

func alpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

// cutLast is strings.Cut around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// clip shortens a term for an error.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
