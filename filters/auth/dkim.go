package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// How many signatures of one message are verified, and how long that may take (D-24).
const (
	maxSignatures    = 8
	maxSignatureTime = 10 * time.Second
)

// A dkimCheck verifies the signatures of one message.
type dkimCheck struct {
	b       *block
	r       Resolver
	now     time.Time
	scratch *scratch
	keys    *recent[*key]
	crew    *filters.Crew
	bodies  [2][]byte // hash of the whole body by canonicalisation, once computed
	lengths [2]int64
}

// A verified is one signature with what was found out about it.
type verified struct {
	filters.DKIM
	sig      *signature
	span     mail.Span
	testing  bool
	future   bool     // signed after now
	open     []string // important fields that are there and not signed, or more often than signed
	partial  bool     // l= is used
	replayed bool     // brought to many whom it does not name
}

// signatures reads the DKIM-Signature fields and returns those to verify, best first: those whose domain could
// align with an author come before others, in the order of the message. skipped counts the rest.
func (c *dkimCheck) signatures(authors []string) (list []verified, skipped int) {
	for i := range c.b.fields {
		f := &c.b.fields[i]
		if !f.is("dkim-signature") {
			continue
		}
		sig, err := parseSignature(f)
		v := verified{sig: sig, span: f.span(c.b)}
		v.Domain, v.Selector, v.Identity = sig.domain, sig.selector, mail.Printable(sig.identity, 254)
		v.Algorithm, v.Signature = mail.Printable(sig.algorithm, 40), mail.Printable(sig.first8, 8)
		if err != nil {
			v.Result, v.Reason = resultPermerror, mail.Printable(err.Error(), 200)
		}
		list = append(list, v)
	}
	related := func(v verified) int {
		for _, a := range authors {
			if v.Result == "" && (isSubdomain(a, v.Domain) || isSubdomain(v.Domain, a)) {
				return 0
			}
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b verified) int { return related(a) - related(b) })
	if len(list) > maxSignatures {
		skipped = len(list) - maxSignatures
		list = list[:maxSignatures]
	}
	return list, skipped
}

// verifyAll fetches all keys at once and verifies signature by signature.
func (c *dkimCheck) verifyAll(ctx context.Context, list []verified) error {
	keys := make([]keyAnswer, len(list))
	tasks := tasks{crew: c.crew}
	for i := range list {
		if list[i].Result != "" {
			continue
		}
		fetch := func() {
			keys[i].key, keys[i].err = c.fetchKey(ctx, list[i].Selector, list[i].Domain, list[i].sig.keyKind())
		}
		if len(list) == 1 {
			fetch()
		} else {
			tasks.start(fetch)
		}
	}
	tasks.wait()
	for i := range list {
		v := &list[i]
		if v.Result != "" {
			continue
		}
		if e := keys[i].err; e != nil {
			v.Result, v.Reason = e.result, mail.Printable(e.reason, 200)
			continue
		}
		if err := c.verify(v, keys[i].key); err != nil {
			return err
		}
	}
	return nil
}

// verify checks one signature with its key. An error means that the message could not be read.
func (c *dkimCheck) verify(v *verified, k *key) error {
	s := v.sig
	v.Bits, v.testing = k.bits, k.testing
	if result, reason := acceptable(s, k); result != "" {
		v.Result, v.Reason = result, reason
		return nil
	}
	if s.expires >= 0 && c.now.After(time.Unix(s.expires, 0).Add(maxSkew)) {
		v.Result, v.Reason = resultFail, "signature has expired"
		return nil
	}
	v.future = s.time >= 0 && c.now.Before(time.Unix(s.time, 0).Add(-maxSkew))
	var err error
	if v.Result, v.Reason, err = c.matches(s, k); err != nil {
		return err
	}
	if v.Result == resultFail && k.testing {
		// RFC 6376 section 3.6.1: a domain that is testing must not be worse off than without a signature.
		v.Result, v.Reason = resultNeutral, v.Reason+"; the domain is testing DKIM (t=y)"
	}
	v.partial = s.limit >= 0
	v.open = c.unsigned(s)
	v.Weak = v.Result == resultPass && (len(v.open) > 0 || v.partial || v.testing || v.future)
	return nil
}

// matches compares the signature with the message.
func (c *dkimCheck) matches(s *signature, k *key) (result, reason string, err error) {
	sum, total, err := c.body(s)
	switch {
	case err != nil:
		return "", "", err
	case !bytes.Equal(sum, s.bodyHash):
		return resultFail, "body has been changed", nil
	case !k.verify(c.headHash(s), s.sig):
		return resultFail, "signature does not match the header fields", nil
	case s.limit >= 0 && s.limit < total:
		// D-21: everybody may append to what l= leaves unsigned.
		return resultPolicy, "l= leaves a part of the body unsigned", nil
	}
	return resultPass, "", nil
}

// acceptable applies the rules about keys and algorithms (RFC 6376 section 6.1.2, RFC 8301, RFC 8463).
func acceptable(s *signature, k *key) (result, reason string) {
	switch {
	case s.algorithm == "rsa-sha1":
		return resultFail, "rsa-sha1 is not acceptable (RFC 8301)"
	case s.algorithm != "rsa-sha256" && s.algorithm != "ed25519-sha256":
		return resultPermerror, "unknown algorithm"
	case (s.algorithm == "ed25519-sha256") != (k.ed25519 != nil):
		return resultPermerror, "key is of another type than the signature"
	case k.hashes != "" && !hasItem(k.hashes, "sha256"):
		return resultPermerror, "key does not allow the hash of the signature"
	case k.strict && !strings.EqualFold(s.identity[strings.LastIndexByte(s.identity, '@')+1:], s.domain):
		return resultPermerror, "key allows i= only in the domain itself (t=s)"
	case k.rsa != nil && k.bits < minRSA:
		return resultFail, "RSA key is shorter than 1024 bits (RFC 8301)"
	case k.rsa != nil && k.bits > maxRSA:
		return resultPolicy, "RSA key is longer than 8192 bits"
	}
	return "", ""
}

// body returns the hash that bh= is to be compared with, and the length of the canonical body.
func (c *dkimCheck) body(s *signature) ([]byte, int64, error) {
	i := 0
	if s.bodyRelaxed {
		i = 1
	}
	if s.limit >= 0 {
		return c.b.bodyHash(s.bodyRelaxed, s.limit, c.scratch)
	}
	if c.bodies[i] == nil {
		sum, total, err := c.b.bodyHash(s.bodyRelaxed, -1, c.scratch)
		if err != nil {
			return nil, 0, err
		}
		c.bodies[i], c.lengths[i] = sum, total
	}
	return c.bodies[i], c.lengths[i], nil
}

// headHash is the hash over the signed fields and the signature's own field without its b= value (RFC 6376 section
// 3.7). Fields of one name are taken from the bottom up (section 5.4.2).
func (c *dkimCheck) headHash(s *signature) []byte {
	h := sha256.New()
	buf := c.scratch.canon[:0]
	form := headCanon{relaxed: s.headRelaxed, unix: c.b.unix}
	for i, name := range s.signed {
		f := c.pick(s.signed[:i], name, s.field)
		if f == nil {
			continue
		}
		buf = form.appendField(buf, f.raw)
		buf = append(buf, '\r', '\n')
		if len(buf) > canonBuffer {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	bare := s.field.raw[:s.bStart] + s.field.raw[s.bEnd:]
	buf = form.appendField(buf, bare)
	h.Write(buf)
	c.scratch.canon = buf[:0]
	return h.Sum(nil)
}

// pick returns the field that the next mention of name in h= means: the lowest not yet taken. A signature that
// names its own kind does not mean itself.
func (c *dkimCheck) pick(before []string, name string, own *field) *field {
	taken := 0
	for _, b := range before {
		if len(b) == len(name) && strings.EqualFold(b, name) {
			taken++
		}
	}
	for i := len(c.b.fields) - 1; i >= 0; i-- {
		f := &c.b.fields[i]
		if len(f.name) != len(name) || f == own || !strings.EqualFold(f.name, name) {
			continue
		}
		if taken == 0 {
			return f
		}
		taken--
	}
	return nil
}

// important are the fields whose meaning a replayed message could change (D-20).
var important = [...]string{"from", "subject", "to", "date", "reply-to", "content-type"}

// unsigned lists the important fields of which the message has more than the signature covers.
func (c *dkimCheck) unsigned(s *signature) []string {
	var open []string
	for _, name := range important {
		have, signed := 0, 0
		for i := range c.b.fields {
			if c.b.fields[i].is(name) {
				have++
			}
		}
		for _, n := range s.signed {
			if len(n) == len(name) && strings.EqualFold(n, name) {
				signed++
			}
		}
		if have > signed {
			open = append(open, name)
		}
	}
	return open
}

// token names a signature, so that the recipients of replays can be counted (D-22).
func (v *verified) token() string {
	h := sha256.New()
	h.Write([]byte(v.Domain))
	h.Write([]byte{0})
	h.Write(v.sig.sig)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}
