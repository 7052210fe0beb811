package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/filters/mail"
)

const (
	maxSigned = 200 // names in h=
	maxSkew   = 300 * time.Second
)

// A signature is a DKIM-Signature or ARC-Message-Signature, read but not verified.
type signature struct {
	field  *field
	bStart int // where the value of b= stands in field.raw
	bEnd   int

	algorithm   string // as written: "rsa-sha256"
	domain      string // d=, lower case
	selector    string // s=, lower case
	identity    string // i=
	signed      []string
	headRelaxed bool
	bodyRelaxed bool
	limit       int64 // l=; -1 without
	time        int64 // t=; -1 without
	expires     int64 // x=; -1 without
	bodyHash    []byte
	sig         []byte
	first8      string // the first characters of b=, which tell signatures apart (RFC 6008)
}

// parseSignature reads a DKIM-Signature field (RFC 6376 section 3.5). It returns as much as it could read, so
// that even a broken signature can be named in reports.
func parseSignature(f *field) (*signature, error) {
	s := &signature{field: f, limit: -1, time: -1, expires: -1}
	tags, err := parseTags(f.value())
	if err != nil {
		return s, err
	}
	if err := s.names(tags); err != nil {
		return s, err
	}
	if tags.value("v") != "1" {
		return s, errors.New("v= is not 1")
	}
	if err := s.identityOf(tags); err != nil {
		return s, err
	}
	if q := tags.find("q"); q != nil && !hasItem(q.value, "dns/txt") {
		return s, errors.New("q= offers no method that is known")
	}
	if err := s.common(tags); err != nil {
		return s, err
	}
	if !slices.ContainsFunc(s.signed, func(n string) bool { return strings.EqualFold(n, "from") }) {
		return s, errors.New("the From field is not signed")
	}
	return s, nil
}

// names reads d=, s= and a=. Names that could not be host names are told apart by nothing but the reason.
func (s *signature) names(tags tagList) error {
	d, sel := tags.value("d"), tags.value("s")
	s.algorithm = strings.ToLower(dropFWS(tags.value("a")))
	var ok bool
	if s.domain, ok = hostName(d); !ok {
		return errors.New("d= is missing or no domain name")
	}
	if s.selector, ok = hostName(sel); !ok || len(s.selector)+len(s.domain)+len("._domainkey.") > 253 {
		s.selector = ""
		return errors.New("s= is missing or no selector")
	}
	return nil
}

// hostName is a name in lower case, with A-labels where it is written in Unicode (RFC 8616 section 5).
func hostName(s string) (string, bool) {
	if isDomain(s) {
		return strings.ToLower(s), true
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			d, err := mail.CanonicalDomain(s)
			return d, err == nil && mail.Printable(s, len(s)) == s // nothing that a reader cannot see
		}
	}
	return "", false
}

// identityOf reads i=, which must be in d= or below. Domains are compared without regard to case.
func (s *signature) identityOf(tags tagList) error {
	s.identity = "@" + s.domain
	t := tags.find("i")
	if t == nil {
		return nil
	}
	i := dropFWS(t.value)
	at := strings.LastIndexByte(i, '@')
	host, ok := hostName(i[at+1:])
	if at < 0 || !ok || !isSubdomain(host, s.domain) {
		return errors.New("i= is not in the domain of d=")
	}
	s.identity = i[:at+1] + host
	return nil
}

// common reads the tags that DKIM-Signature and ARC-Message-Signature share beside the names.
func (s *signature) common(tags tagList) error {
	if c := tags.find("c"); c != nil {
		if err := s.canonical(c.value); err != nil {
			return err
		}
	}
	h := tags.find("h")
	if h == nil {
		return errors.New("h= is missing")
	}
	if err := s.headers(h.value); err != nil {
		return err
	}
	var err error
	if s.limit, err = number(tags, "l", 18); err != nil {
		return err
	}
	if s.time, err = number(tags, "t", 12); err != nil {
		return err
	}
	if s.expires, err = number(tags, "x", 12); err != nil {
		return err
	}
	if s.time >= 0 && s.expires >= 0 && s.expires <= s.time {
		return errors.New("x= is not after t=")
	}
	if s.bodyHash, err = decode(tags, "bh"); err != nil {
		return err
	}
	return s.signatureOf(tags)
}

// signatureOf reads b= and remembers where it stands.
func (s *signature) signatureOf(tags tagList) error {
	var err error
	if s.sig, err = decode(tags, "b"); err != nil {
		return err
	}
	b := tags.find("b")
	offset := len(s.field.raw) - len(s.field.value())
	s.bStart, s.bEnd = b.start+offset, b.end+offset
	v := dropFWS(b.value)
	s.first8 = v[:min(8, len(v))]
	return nil
}

// keyKind is the key type that a= asks for.
func (s *signature) keyKind() string {
	kind, _, _ := strings.Cut(s.algorithm, "-")
	return kind
}

// canonical reads c=.
func (s *signature) canonical(c string) error {
	head, body, ok := strings.Cut(dropFWS(c), "/")
	for _, p := range []struct {
		word    string
		relaxed *bool
		absent  bool
	}{{head, &s.headRelaxed, false}, {body, &s.bodyRelaxed, !ok}} {
		switch {
		case p.absent || strings.EqualFold(p.word, "simple"):
			*p.relaxed = false
		case strings.EqualFold(p.word, "relaxed"):
			*p.relaxed = true
		default:
			return fmt.Errorf("unknown canonicalization %q", clip(c))
		}
	}
	return nil
}

// headers reads h=. Empty names name nothing.
func (s *signature) headers(h string) error {
	if strings.Count(h, ":") >= maxSigned {
		return fmt.Errorf("h= names more than %d fields", maxSigned)
	}
	s.signed = make([]string, 0, 16)
	for name := range strings.SplitSeq(h, ":") {
		if name = trimFWS(name); name != "" {
			s.signed = append(s.signed, name)
		}
	}
	return nil
}

// number reads a decimal tag; -1 if it is absent.
func number(tags tagList, name string, digits int) (int64, error) {
	t := tags.find(name)
	if t == nil {
		return -1, nil
	}
	n, err := strconv.ParseInt(t.value, 10, 64)
	if err != nil || !isDigits(t.value) || len(t.value) > digits {
		return -1, fmt.Errorf("%s= is no number", name)
	}
	return n, nil
}

// decode reads a base64 tag, which may be folded anywhere.
func decode(tags tagList, name string) ([]byte, error) {
	t := tags.find(name)
	if t == nil || t.value == "" {
		return nil, fmt.Errorf("%s= is missing", name)
	}
	v := dropFWS(t.value)
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "="))
	}
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%s= is no base64", name)
	}
	return b, nil
}

// hasItem reports whether a colon-separated list holds an item, in any case.
func hasItem(list, item string) bool {
	for s := range strings.SplitSeq(list, ":") {
		if strings.EqualFold(trimFWS(s), item) {
			return true
		}
	}
	return false
}
