package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

var errMacro = errors.New("malformed macro")

// A macro is one "%{...}" (RFC 7208 section 7.1).
type macro struct {
	letter     byte // lower case
	escape     bool // it was written in upper case: URL-escape
	keep       int  // how many right-hand parts; 0: all
	reverse    bool
	delimiters string
}

// parseMacro reads what stands between "%{" and "}".
func parseMacro(s string, inExplanation bool) (macro, error) {
	if s == "" {
		return macro{}, errMacro
	}
	m := macro{letter: s[0] | 0x20, escape: s[0] < 'a', delimiters: "."}
	if strings.IndexByte("slodiphv", m.letter) < 0 && !(inExplanation && strings.IndexByte("crt", m.letter) >= 0) || !alpha(s[0]) {
		return macro{}, errMacro
	}
	s = s[1:]
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	if n > 0 {
		k, err := strconv.Atoi(s[:min(n, 4)])
		if err != nil || k == 0 {
			return macro{}, errMacro
		}
		m.keep, s = k, s[n:]
	}
	if s != "" && s[0]|0x20 == 'r' {
		m.reverse, s = true, s[1:]
	}
	if s != "" {
		if strings.Trim(s, ".-+,/_=") != "" {
			return macro{}, errMacro
		}
		m.delimiters = s
	}
	return m, nil
}

// walkMacros splits a macro-string into literal text and macros, in order.
func walkMacros(s string, inExplanation bool, literal func(string), expand func(macro)) error {
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			literal(s)
			return nil
		}
		literal(s[:i])
		if i+1 == len(s) {
			return errMacro
		}
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case '%':
			literal("%")
		case '_':
			literal(" ")
		case '-':
			literal("%20")
		case '{':
			end := strings.IndexByte(s, '}')
			if end < 0 {
				return errMacro
			}
			m, err := parseMacro(s[:end], inExplanation)
			if err != nil {
				return err
			}
			expand(m)
			s = s[end+1:]
		default:
			return errMacro
		}
	}
	return nil
}

// checkMacros checks the syntax of a macro-string.
func checkMacros(s string, inExplanation bool) error {
	if strings.IndexByte(s, '%') < 0 {
		return nil
	}
	return walkMacros(s, inExplanation, func(string) {}, func(macro) {})
}

// expand replaces the macros of s. limit bounds the result, in bytes.
func (c *spfCheck) expand(ctx context.Context, s, domain string, inExplanation bool, limit int) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	var b strings.Builder
	err := walkMacros(s, inExplanation, func(t string) { b.WriteString(t) }, func(m macro) {
		if b.Len() < limit {
			b.WriteString(m.transform(c.macroValue(ctx, m.letter, domain)))
		}
	})
	if err != nil {
		return "", err
	}
	if b.Len() > limit {
		return b.String()[:limit], nil
	}
	return b.String(), nil
}

// maxExpansion bounds an expanded name before it is cut to 253 bytes from the left: enough for the longest local
// part and domain, not for a megabyte of repeated macros (D-31).
const maxExpansion = 4096

// expandDomain expands a domain-spec and shortens the result from the left to a name that can be asked for
// (RFC 7208 section 7.3).
func (c *spfCheck) expandDomain(ctx context.Context, spec, domain string) (string, error) {
	if spec == "" {
		return domain, nil
	}
	name, err := c.expand(ctx, spec, domain, false, maxExpansion)
	if err != nil {
		return "", err
	}
	name = strings.TrimSuffix(name, ".")
	for len(name) > 253 {
		i := strings.IndexByte(name, '.')
		if i < 0 {
			return "", errors.New("name is too long")
		}
		name = name[i+1:]
	}
	return name, nil
}

// macroValue is what a letter stands for (RFC 7208 section 7.2).
func (c *spfCheck) macroValue(ctx context.Context, letter byte, domain string) string {
	switch letter {
	case 's':
		return c.local + "@" + c.domain
	case 'l':
		return c.local
	case 'o':
		return c.domain
	case 'd':
		return domain
	case 'i':
		return dotted(c.ip)
	case 'p':
		return c.validatedName(ctx, domain)
	case 'h':
		return c.helo
	case 'v':
		if c.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'c':
		return c.ip.String()
	case 'r':
		return c.receiver
	default: // 't'
		return strconv.FormatInt(c.now.Unix(), 10)
	}
}

// transform applies the digits, the r, the delimiters and the escaping of the macro.
func (m macro) transform(v string) string {
	if m.reverse || m.keep > 0 || m.delimiters != "." {
		parts := strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(m.delimiters, r) })
		if strings.ContainsAny(v, m.delimiters) {
			parts = split(v, m.delimiters)
		}
		if m.reverse {
			slices.Reverse(parts)
		}
		if m.keep > 0 && m.keep < len(parts) {
			parts = parts[len(parts)-m.keep:]
		}
		v = strings.Join(parts, ".")
	}
	if m.escape {
		v = strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
	}
	return v
}

// split cuts v at every delimiter and keeps empty parts.
func split(v, delimiters string) []string {
	var parts []string
	for {
		i := strings.IndexAny(v, delimiters)
		if i < 0 {
			return append(parts, v)
		}
		parts = append(parts, v[:i])
		v = v[i+1:]
	}
}

// dotted is the form of an address for %{i}: dotted quad, or dotted nibbles in capitals as the suites have it.
func dotted(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	b := a.As16()
	out := make([]byte, 0, 63)
	for i, x := range b {
		if i > 0 {
			out = append(out, '.')
		}
		out = fmt.Appendf(out, "%X.%X", x>>4, x&15)
	}
	return string(out)
}
