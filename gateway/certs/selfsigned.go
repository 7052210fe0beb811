package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const (
	selfValid   = 365 * 24 * time.Hour // how long a self-signed certificate lasts
	renewBefore = 30 * 24 * time.Hour  // how long before its end another is made
	backdate    = 24 * time.Hour       // how far its beginning lies back, for clocks that are behind
)

// selfSigned is the certificate kept in dir, or a new one. The key stays when a certificate is renewed, so that a TLSA
// record or a pin made for it stays good.
func selfSigned(dir, hostname string, now time.Time) (*tls.Certificate, error) {
	pair := Pair{Cert: filepath.Join(dir, "self-signed.crt"), Key: filepath.Join(dir, "self-signed.key")}
	c, err := load(pair)
	if err == nil && usable(c.Leaf, hostname, now) {
		return c, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read self-signed certificate: %w; if it is damaged remove self-signed.crt and self-signed.key, and others are made", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory for certificates: %w", err)
	}
	key, err := ownKey(pair.Key)
	if err != nil {
		return nil, err
	}
	der, err := sign(key, hostname, now)
	if err != nil {
		return nil, fmt.Errorf("make self-signed certificate: %w", err)
	}
	if err := write(pair.Cert, 0o644, "CERTIFICATE", der); err != nil {
		return nil, fmt.Errorf("write self-signed certificate: %w", err)
	}
	return load(pair)
}

func usable(leaf *x509.Certificate, hostname string, now time.Time) bool {
	return names(leaf, hostname) && !now.Before(leaf.NotBefore) && leaf.NotAfter.Sub(now) >= renewBefore
}

func names(leaf *x509.Certificate, hostname string) bool {
	if ip, err := netip.ParseAddr(hostname); err == nil {
		hostname = "[" + ip.String() + "]"
	}
	return leaf.VerifyHostname(hostname) == nil
}

// ownKey reads the key that was made before, or makes one.
func ownKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := readKey(path)
	if err == nil {
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, fmt.Errorf("read own key: %s holds no PEM", path)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read own key %s: %w", path, err)
		}
		if k, ok := key.(*ecdsa.PrivateKey); ok {
			return k, nil
		}
		return nil, fmt.Errorf("read own key: %s holds another kind of key than was written", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read own key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	if err := write(path, 0o600, "PRIVATE KEY", der); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return key, nil
}

func sign(key *ecdsa.PrivateKey, hostname string, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: hostname},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(selfValid),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if ip, err := netip.ParseAddr(hostname); err == nil {
		t.IPAddresses = append(t.IPAddresses, ip.AsSlice())
	} else {
		t.DNSNames = []string{hostname}
	}
	return x509.CreateCertificate(rand.Reader, &t, &t, &key.PublicKey, key)
}

// write puts a PEM file in place at once: a reader sees the old one or the new one.
func write(path string, mode fs.FileMode, kind string, der []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
