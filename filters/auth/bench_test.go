package auth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/filters/mail"
)

// BenchmarkMessage is the whole filter over a 10 KB message with one RSA-2048 signature, answers of the DNS at hand.
func BenchmarkMessage(b *testing.B) {
	k, record := testKey(b, 2048)
	msg := signed(b, k, "example.com", plainMessage(10<<10))
	z := table{"s._domainkey.example.com TXT": {record}, "_dmarc.example.com TXT": {"v=DMARC1; p=reject"},
		"example.com TXT": {"v=spf1 ip4:192.0.2.0/24 -all"}}
	f := New(Config{}, z, nil)
	from, err := mail.ParseAddress("somebody@example.com")
	if err != nil {
		b.Fatal(err)
	}
	env := &mail.Envelope{Time: time.Now(), Remote: netip.MustParseAddr("192.0.2.1"), RemoteName: "a.example", Helo: "a.example", From: from}
	m := &mail.Mail{Envelope: env, Message: mail.Parse(mail.Memory(msg))}
	b.ReportAllocs()
	for b.Loop() {
		facts, err := f.Check(b.Context(), m)
		if err != nil || facts.Auth.DMARC.Result != resultPass || facts.Auth.DKIM[0].Result != resultPass {
			b.Fatal(facts.Auth, err)
		}
	}
}

// BenchmarkLibraryAlone is go-msgauth over the same message.
func BenchmarkLibraryAlone(b *testing.B) {
	k, record := testKey(b, 2048)
	msg := signed(b, k, "example.com", plainMessage(10<<10))
	b.ReportAllocs()
	for b.Loop() {
		v, err := dkim.VerifyWithOptions(strings.NewReader(msg), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{record}, nil }})
		if err != nil || v[0].Err != nil {
			b.Fatal(err, v)
		}
	}
}

// BenchmarkFloor is what no verifier can go below: one RSA-2048 verification and one SHA-256 of the message.
func BenchmarkFloor(b *testing.B) {
	k, _ := testKey(b, 2048)
	msg := []byte(plainMessage(10 << 10))
	sum := sha256.Sum256(msg)
	sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		sum := sha256.Sum256(msg)
		if err := rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
			b.Fatal(err)
		}
	}
}
