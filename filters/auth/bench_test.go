package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/filters/mail"
)

// A table is a resolver for tests: "name TYPE" to records. A value of "TEMP" is a temporary failure.
type table map[string][]string

func (z table) find(kind, name string) ([]string, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	list := z[name+" "+kind]
	switch {
	case len(list) == 0:
		return nil, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
	case list[0] == "TEMP":
		return nil, &net.DNSError{Err: "no answer in time", Name: name, IsTemporary: true, IsTimeout: true}
	}
	return list, nil
}

func (z table) LookupTXT(_ context.Context, name string) ([]string, error) {
	return z.find("TXT", name)
}

func (z table) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	list, err := z.find("MX", name)
	var out []*net.MX
	for _, h := range list {
		out = append(out, &net.MX{Host: h})
	}
	return out, err
}

func (z table) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	var out []netip.Addr
	var last error
	for _, kind := range []string{"A", "AAAA"} {
		if network == "ip4" && kind == "AAAA" || network == "ip6" && kind == "A" {
			continue
		}
		list, err := z.find(kind, host)
		if err != nil {
			last = err
		}
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, last
}

func (z table) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return z.find("PTR", addr)
}

func (z table) Exists(_ context.Context, name string) (bool, error) {
	if _, err := z.find("A", name); err != nil && !isNotFound(err) {
		return false, err
	}
	for k := range z {
		owner, _, _ := strings.Cut(k, " ")
		if isSubdomain(owner, name) {
			return true, nil
		}
	}
	return false, nil
}

// testKey is an RSA key of the test's own.
func testKey(t testing.TB, bits int) (*rsa.PrivateKey, string) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// signed signs a message with the library, as a sender would.
func signed(t testing.TB, k crypto.Signer, domain, message string, headers ...string) string {
	t.Helper()
	var b bytes.Buffer
	err := dkim.Sign(&b, strings.NewReader(message), &dkim.SignOptions{
		Domain: domain, Selector: "s", Signer: k, HeaderKeys: headers,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// plainMessage is a message like many, with a body of about size bytes.
func plainMessage(size int) string {
	var b strings.Builder
	b.WriteString("Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example; Mon, 23 Nov 2026 09:00:00 +0000\r\n" +
		"From: Somebody <somebody@example.com>\r\nTo: Reader <reader@example.net>\r\nSubject: A plain message\r\n" +
		"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n\r\n")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "Line %d of a message that has words of usual lengths in it and ends here.\r\n", i)
	}
	return b.String()
}

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
