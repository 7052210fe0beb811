package auth

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatepost/filters/mail"
)

// A Sealer adds an ARC set to messages that are forwarded (RFC 8617 section 5.1). It is immutable.
type Sealer struct {
	domain, selector string
	key              crypto.Signer
	algorithm        string
	headers          []string
}

// sealedHeaders are signed when nobody says otherwise: none that a gateway adds, drops or changes.
func sealedHeaders() []string {
	return []string{"from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references",
		"mime-version", "content-type", "content-transfer-encoding", "dkim-signature"}
}

// NewSealer makes a sealer for a key published at selector._domainkey.domain: RSA of at least 1024 bits, or Ed25519.
// headers, if given, are the fields that the message signature covers.
func NewSealer(domain, selector string, key crypto.Signer, headers ...string) (*Sealer, error) {
	s := &Sealer{domain: strings.ToLower(domain), selector: strings.ToLower(selector), key: key, headers: headers}
	if !isDomain(domain) || !isDomain(selector) {
		return nil, fmt.Errorf("seal as %q with selector %q: not host names", domain, selector)
	}
	switch k := key.Public().(type) {
	case ed25519.PublicKey:
		s.algorithm = "ed25519-sha256"
	case interface{ Size() int }: // *rsa.PublicKey
		if k.Size()*8 < minRSA {
			return nil, errors.New("sealing key is shorter than 1024 bits")
		}
		s.algorithm = "rsa-sha256"
	default:
		return nil, fmt.Errorf("sealing key of type %T: RSA or Ed25519 is needed", k)
	}
	if len(s.headers) == 0 {
		s.headers = sealedHeaders()
	}
	return s, nil
}

// Seal returns the fields of a new set for the message in src, to be put before it: ARC-Seal,
// ARC-Message-Signature and ARC-Authentication-Results, each with its CRLF. results is our Authentication-Results
// field, whole or from the authserv-id on; chain is the result of validating the message's chain. It returns "" where the
// RFC lets nothing be added: behind a seal that says cv=fail, after 50 sets, and while the chain could not be checked.
func (s *Sealer) Seal(src mail.Source, results, chain string, now time.Time) (string, error) {
	b, err := scan(src)
	if err != nil {
		return "", fmt.Errorf("seal message: %w", err)
	}
	n, ended := lastInstance(b)
	if ended || n >= maxSets || chain != resultNone && chain != resultPass && chain != resultFail || (chain == resultNone) != (n == 0) {
		return "", nil
	}
	n++
	payload := strings.TrimSpace(results)
	if i := len("authentication-results:"); len(payload) > i && strings.EqualFold(payload[:i], "authentication-results:") {
		payload = strings.TrimSpace(payload[i:])
	}
	aar := fmt.Sprintf("ARC-Authentication-Results: i=%d; %s", n, payload)
	ams, err := s.messageSignature(b, n, now)
	if err != nil {
		return "", err
	}
	as, err := s.seal(b, aar, ams, chain, n, now)
	if err != nil {
		return "", err
	}
	return as + "\r\n" + ams + "\r\n" + aar + "\r\n", nil
}

// lastInstance is the highest instance in the message, and whether its seal says that the chain is over.
func lastInstance(b *block) (n int, ended bool) {
	cv := ""
	for i := range b.fields {
		f := &b.fields[i]
		at := 0
		switch {
		case f.is("arc-seal"), f.is("arc-message-signature"):
			at, _ = tagInstance(f)
		case f.is("arc-authentication-results"):
			at, _, _ = readAAR(f.value())
		}
		if at > n {
			n, cv = at, ""
		}
		if at == n && f.is("arc-seal") {
			if tags, err := parseTags(f.value()); err == nil {
				cv = tags.value("cv")
			}
		}
	}
	return n, cv == resultFail
}

// messageSignature makes the ARC-Message-Signature.
func (s *Sealer) messageSignature(b *block, n int, now time.Time) (string, error) {
	sc := &scratch{canon: make([]byte, 0, canonBuffer+1024)}
	sum, _, err := b.bodyHash(true, -1, sc)
	if err != nil {
		return "", fmt.Errorf("seal message: %w", err)
	}
	const before = "ARC-Message-Signature: a="
	head := fmt.Sprintf(before+"%s;\r\n\tb=", s.algorithm)
	tail := fmt.Sprintf(";\r\n\tbh=%s; c=relaxed/relaxed; d=%s;\r\n\th=%s;\r\n\ti=%d; s=%s; t=%d",
		base64.StdEncoding.EncodeToString(sum), s.domain, strings.Join(s.headers, ":"), n, s.selector, now.Unix())
	c := &dkimCheck{b: b, scratch: sc}
	own := &field{name: "ARC-Message-Signature", raw: head + tail}
	digest := c.headHash(&signature{field: own, bStart: len(head), bEnd: len(head), signed: s.headers, headRelaxed: true})
	sig, err := s.sign(digest)
	return head + sig + tail, err
}

// seal makes the ARC-Seal over all sets. A chain that failed is left out of it (RFC 8617 section 5.1.2).
func (s *Sealer) seal(b *block, aar, ams, chain string, n int, now time.Time) (string, error) {
	head := fmt.Sprintf("ARC-Seal: a=%s;\r\n\tb=", s.algorithm)
	tail := fmt.Sprintf("; cv=%s; d=%s; i=%d;\r\n\ts=%s; t=%d", chain, s.domain, n, s.selector, now.Unix())
	c := &dkimCheck{b: b}
	var buf []byte
	if chain != resultFail {
		ch := readChain(b)
		if ch.err != nil {
			return "", fmt.Errorf("seal message: chain said to %s: %w", chain, ch.err)
		}
		for i := range ch.sets {
			buf = c.appendSet(buf, ch.sets[i].aar.raw, ch.sets[i].ams.raw, ch.sets[i].as.raw)
		}
	}
	buf = c.appendSet(buf, aar, ams, head+tail)
	sig, err := s.sign(sha256Of(buf[:len(buf)-2]))
	return head + sig + tail, err
}

// sign signs a SHA-256 digest.
func (s *Sealer) sign(digest []byte) (string, error) {
	opts := crypto.Hash(0) // Ed25519 signs the digest as a message (RFC 8463)
	if s.algorithm == "rsa-sha256" {
		opts = crypto.SHA256
	}
	sig, err := s.key.Sign(rand.Reader, digest, opts)
	if err != nil {
		return "", fmt.Errorf("seal message: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// ParseSealingKey reads a private key in PEM: PKCS #8, or PKCS #1 for RSA.
func ParseSealingKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("read sealing key: no PEM block")
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read sealing key: a key of type %T cannot sign", k)
	}
	return s, nil
}
