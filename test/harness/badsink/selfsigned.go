package badsink

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// A Certificate is a self-signed one for a sink, with what a client needs in order to trust it.
type Certificate struct {
	Server *tls.Config    // for Script.TLS
	Roots  *x509.CertPool // trusts this certificate alone
	Pin    [32]byte       // SHA-256 of its SubjectPublicKeyInfo
	PEM    []byte         // key, then certificate, for other servers
	Chain  []*x509.Certificate
}

// SelfSigned makes a certificate for names and addresses that is valid until the given time.
func SelfSigned(until time.Time, names ...string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink.test"},
		NotBefore: until.Add(-365 * 24 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &Certificate{
		Server: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}},
		Roots:  roots,
		Chain:  []*x509.Certificate{leaf},
		Pin:    sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
		PEM: append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...),
	}, nil
}

// Issue makes a certificate for names, valid until the given time, that the authority of c has signed; its chain ends with
// the authority's.
func (c *Certificate) Issue(until time.Time, names ...string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issued.test"}, DNSNames: names,
		NotBefore: until.Add(-365 * 24 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	issuer := c.Server.Certificates[0]
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer.Leaf, &key.PublicKey, issuer.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	chain := append([][]byte{der}, issuer.Certificate...)
	return &Certificate{
		Server: &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key, Leaf: leaf}}},
		Roots:  c.Roots, Pin: sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
		Chain: append([]*x509.Certificate{leaf}, c.Chain...),
	}, nil
}
