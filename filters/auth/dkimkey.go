package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// The RSA key lengths that are verified: RFC 8301 section 3.2 from below, the cost of one verification from above.
const (
	minRSA = 1024
	maxRSA = 8192
)

// A key is a public key record (RFC 6376 section 3.6.1).
type key struct {
	rsa     *rsa.PublicKey
	ed25519 ed25519.PublicKey
	bits    int    // of RSA
	hashes  string // h=; empty: all
	testing bool   // t=y
	strict  bool   // t=s: i= must be in d= itself
}

// A keyError says why there is no key, in the word of RFC 8601.
type keyError struct{ result, reason string }

func (e *keyError) Error() string { return e.reason }

// fetchKey looks up and reads the key of a selector for a type of key.
func (c *dkimCheck) fetchKey(ctx context.Context, selector, domain, kind string) (*key, *keyError) {
	name := selector + "._domainkey." + domain
	txts, err := c.r.LookupTXT(ctx, name)
	if err != nil {
		if isNotFound(err) {
			return nil, &keyError{resultPermerror, "no key at " + name}
		}
		return nil, &keyError{resultTemperror, "DNS: " + name + ": " + dnsReason(err)}
	}
	return c.chooseKey(txts, kind, name)
}

// chooseKey reads the one record that holds a key of the signature's type. RFC 6376 section 3.6.2.2 leaves several
// records undefined: two of the type are an error (L-05), one beside a key of another type is not in doubt.
func (c *dkimCheck) chooseKey(txts []string, kind, name string) (*key, *keyError) {
	var chosen *key
	var broken error
	for i, t := range txts {
		if i == 16 {
			break
		}
		if !strings.Contains(t, "p") {
			continue
		}
		k, err := c.keys.of(t, parseKey)
		switch {
		case err != nil:
			broken = err
		case len(txts) > 1 && k.kind() != kind:
		case chosen != nil:
			return nil, &keyError{resultPermerror, "several keys at " + name}
		default:
			chosen = k
		}
	}
	switch {
	case chosen != nil:
		return chosen, nil
	case broken != nil:
		return nil, &keyError{resultPermerror, "key at " + name + ": " + broken.Error()}
	}
	return nil, &keyError{resultPermerror, "no key at " + name}
}

// kind is the key type in the words of a=.
func (k *key) kind() string {
	if k.ed25519 != nil {
		return "ed25519"
	}
	return "rsa"
}

// parseKey reads a key record. Unknown tags are ignored.
func parseKey(record string) (*key, error) {
	if len(record) > maxRecord {
		return nil, fmt.Errorf("record of %d bytes: at most %d are read", len(record), maxRecord)
	}
	tags, err := parseTags(record)
	if err != nil {
		return nil, err
	}
	if v := tags.find("v"); v != nil && (v.value != "DKIM1" || tags[0].name != "v") {
		return nil, errors.New("v= is not DKIM1, or not first")
	}
	if s := tags.find("s"); s != nil && !hasItem(s.value, "*") && !hasItem(s.value, "email") {
		return nil, errors.New("key is not for mail")
	}
	p := tags.find("p")
	if p == nil {
		return nil, errors.New("p= is missing")
	}
	if p.value == "" {
		return nil, errors.New("key is revoked")
	}
	der, err := base64.StdEncoding.DecodeString(dropFWS(p.value))
	if err != nil {
		if der, err = base64.RawStdEncoding.DecodeString(dropFWS(p.value)); err != nil {
			return nil, errors.New("p= is no base64")
		}
	}
	flags := tags.value("t")
	k := &key{hashes: tags.value("h"), testing: hasItem(flags, "y"), strict: hasItem(flags, "s")}
	kind := tags.value("k")
	switch {
	case kind == "" || strings.EqualFold(kind, "rsa"):
		return k, k.readRSA(der)
	case strings.EqualFold(kind, "ed25519"):
		if len(der) != ed25519.PublicKeySize {
			return nil, errors.New("key has a wrong length")
		}
		k.ed25519 = der
		return k, nil
	}
	return nil, errors.New("unknown key type")
}

// readRSA reads an RSA key as SubjectPublicKeyInfo or, as some publish it, bare.
func (k *key) readRSA(der []byte) error {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		if pub, err = x509.ParsePKCS1PublicKey(der); err != nil {
			return errors.New("p= holds no RSA key")
		}
	}
	var ok bool
	if k.rsa, ok = pub.(*rsa.PublicKey); !ok {
		return errors.New("p= holds no RSA key")
	}
	k.bits = k.rsa.N.BitLen()
	return nil
}

// verify checks a signature over a SHA-256 digest.
func (k *key) verify(digest, sig []byte) bool {
	if k.ed25519 != nil {
		return ed25519.Verify(k.ed25519, digest, sig) // RFC 8463 section 3: over the digest
	}
	return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, digest, sig) == nil
}

// sha256Of hashes one buffer.
func sha256Of(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
