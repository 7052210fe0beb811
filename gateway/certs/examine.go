package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// A Pair names the files of one certificate chain and its private key, both in PEM. An awaited one is still to be had from
// an authority: until it is there and whole, it is passed over.
type Pair struct {
	Cert, Key string
	Awaited   bool
}

// maxFile is the most that is read of a PEM file.
const maxFile = 1 << 20

// expirySoon is how long before its end a certificate is worth a word.
const expirySoon = 21 * 24 * time.Hour

// A KeyError is what is wrong with a private key rather than with its certificate.
type KeyError struct{ err error }

// Error says what is wrong.
func (e *KeyError) Error() string { return e.err.Error() }

// Unwrap is what caused it.
func (e *KeyError) Unwrap() error { return e.err }

// IsKeyError reports whether err is about a private key.
func IsKeyError(err error) bool {
	var e *KeyError
	return errors.As(err, &e)
}

// An Info is what people want to know of a certificate.
type Info struct {
	Names      []string // DNS names it is for
	Algorithm  string   // of its key: "ECDSA P-256", "RSA 2048", "Ed25519"
	NotBefore  time.Time
	NotAfter   time.Time
	SelfSigned bool   // made by this package, or signed with its own key
	TLSA       string // data of the TLSA record 3 1 1 (RFC 6698): the SHA-256 of the public key in hex
	Pin        string // the same as sha256/BASE64

	leaf *x509.Certificate
}

// Covers reports whether the certificate is for a host name.
func (i Info) Covers(host string) bool { return i.leaf != nil && i.leaf.VerifyHostname(host) == nil }

// Warning says what is wrong with the certificate at a time, "" if nothing is. Such a certificate is served all the
// same: most senders of mail do not look.
func (i Info) Warning(now time.Time) string {
	switch left := i.NotAfter.Sub(now); {
	case left <= 0:
		return fmt.Sprintf("the certificate expired on %s", i.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(i.NotBefore):
		return fmt.Sprintf("the certificate is not valid before %s; is the clock right?", i.NotBefore.UTC().Format(time.DateTime))
	case left < expirySoon:
		return fmt.Sprintf("the certificate expires in %d days, on %s", int(left.Hours()/24), i.NotAfter.UTC().Format(time.DateOnly))
	}
	return ""
}

// Examine reads a pair and says what it is. It fails where the pair could not be served: files that cannot be read, a
// key that everybody can read, that is too weak, or that belongs to another certificate.
func Examine(p Pair) (Info, error) {
	c, err := load(p)
	if err != nil {
		return Info{}, err
	}
	return infoOf(c), nil
}

// load reads a pair. The Leaf of what it returns is set.
func load(p Pair) (*tls.Certificate, error) {
	certPEM, err := readPEM(p.Cert)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(certPEM); block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s does not begin with a certificate in PEM", p.Cert)
	}
	keyPEM, err := readKey(p.Key)
	if err != nil {
		return nil, &KeyError{err}
	}
	c, err := tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case err != nil && isKey(keyPEM):
		if leaf := firstCertificate(certPEM); leaf == nil {
			return nil, fmt.Errorf("the certificate in %s cannot be read: %w", p.Cert, err)
		}
		return nil, &KeyError{fmt.Errorf("the key in %s does not belong to the certificate in %s", p.Key, p.Cert)}
	case err != nil:
		return nil, &KeyError{fmt.Errorf("the key in %s cannot be read: no private key in PEM without a password", p.Key)}
	}
	if k, ok := c.Leaf.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		return nil, fmt.Errorf("the RSA key of %s has %d bits; 2048 are the least", p.Cert, k.N.BitLen())
	}
	return &c, nil
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, nil
}

// readKey reads a private key that only its owner and group may read.
func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("everybody on this machine can use the key in %s (mode %04o); chmod 600 it", path, info.Mode().Perm())
	}
	return readPEM(path)
}

// cause is an error without the operation and the path that came with it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func isKey(data []byte) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		for _, parse := range []func([]byte) error{
			func(b []byte) error { _, err := x509.ParsePKCS8PrivateKey(b); return err },
			func(b []byte) error { _, err := x509.ParseECPrivateKey(b); return err },
			func(b []byte) error { _, err := x509.ParsePKCS1PrivateKey(b); return err },
		} {
			if parse(block.Bytes) == nil {
				return true
			}
		}
	}
	return false
}

func firstCertificate(data []byte) *x509.Certificate {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return c
}

func infoOf(c *tls.Certificate) Info {
	sum := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	return Info{
		Names: c.Leaf.DNSNames, Algorithm: algorithm(c.Leaf.PublicKey),
		NotBefore: c.Leaf.NotBefore, NotAfter: c.Leaf.NotAfter,
		SelfSigned: c.Leaf.CheckSignature(c.Leaf.SignatureAlgorithm, c.Leaf.RawTBSCertificate, c.Leaf.Signature) == nil,
		TLSA:       hex.EncodeToString(sum[:]), Pin: "sha256/" + base64.StdEncoding.EncodeToString(sum[:]),
		leaf: c.Leaf,
	}
}

func algorithm(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}
