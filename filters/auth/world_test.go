package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/filters"
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
		if err != nil && (last == nil || isNotFound(last)) {
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

// testKey is an RSA key of the test's own, with its record.
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

// An asked is a table that remembers the questions.
type asked struct {
	table
	mu   sync.Mutex
	list []string
}

func (a *asked) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a.mu.Lock()
	a.list = append(a.list, name)
	a.mu.Unlock()
	return a.table.LookupTXT(ctx, name)
}

// now is the clock of the tests.
func now() time.Time { return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) }

// letter is a small message from an author.
func letter(from string) string {
	return "From: " + from + "\r\nTo: reader@example.net\r\nSubject: Hello\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n" +
		"Message-ID: <1@example.com>\r\n\r\nSome text.\r\n"
}

// A session is who sends a letter, and how.
type session struct {
	ip, name, helo, from string
	rcpt                 []string
	zone                 Resolver
	cfg                  Config
	own                  map[string]bool
	message              string
}

// facts runs the filter, and checks what holds of every run: documented codes, and a proof for each finding.
func (s session) facts(t testing.TB) filters.Facts {
	t.Helper()
	env := &mail.Envelope{Time: now(), RemoteName: s.name, Helo: s.helo}
	if s.ip != "" {
		env.Remote = netip.MustParseAddr(s.ip)
	}
	var err error
	if s.from != "" {
		if env.From, err = mail.ParseAddress(s.from); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range s.rcpt {
		a, err := mail.ParseAddress(r)
		if err != nil {
			t.Fatal(err)
		}
		env.Rcpts = append(env.Rcpts, a)
	}
	if s.zone == nil {
		s.zone = table{}
	}
	f, err := New(s.cfg, s.zone, s.own).Check(t.Context(), &mail.Mail{Envelope: env, Message: mail.Parse(mail.Memory(s.message))})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range Codes() {
		known[c.Name] = true
	}
	for _, x := range f.Findings {
		if !known[x.Code] {
			t.Errorf("finding %q is not documented", x.Code)
		}
		if len(x.Proof) == 0 || x.Text == "" || len(x.Text) > 300 {
			t.Errorf("finding %s: text %q, proof %v", x.Code, x.Text, x.Proof)
		}
		for _, p := range x.Proof {
			if p.Where == "" || len(p.What) > 200 || mail.Printable(p.What, 200) != p.What {
				t.Errorf("finding %s: evidence %+v", x.Code, p)
			}
		}
	}
	return f
}

// has reports whether a finding was made.
func has(f filters.Facts, code string) bool {
	for _, x := range f.Findings {
		if x.Code == code {
			return true
		}
	}
	return false
}

// A pen signs as a sender with any tags would; the library's signer knows only the usual ones.
type pen struct {
	key  crypto.Signer
	tags string // all but bh= and b=, ending in ";"
}

// sign puts a DKIM-Signature on top of a message.
func (p pen) sign(t testing.TB, message string) string {
	t.Helper()
	format := "DKIM-Signature: " + p.tags + " bh=%s; b="
	probe, err := parseSignature(&field{name: "DKIM-Signature", raw: fmt.Sprintf(format, "AA==") + "AA=="})
	if err != nil {
		t.Logf("signing with tags that are in error: %v", err)
	}
	b, err := scan(mail.Memory(message))
	if err != nil {
		t.Fatal(err)
	}
	sc := &scratch{}
	sum, _, err := b.bodyHash(probe.bodyRelaxed, probe.limit, sc)
	if err != nil {
		t.Fatal(err)
	}
	raw := fmt.Sprintf(format, base64.StdEncoding.EncodeToString(sum))
	s := *probe
	s.field = &field{name: "DKIM-Signature", raw: raw}
	s.bStart, s.bEnd = len(raw), len(raw)
	digest := (&dkimCheck{b: b, scratch: sc}).headHash(&s)
	opts := crypto.Hash(0)
	if _, ok := p.key.(*rsa.PrivateKey); ok {
		opts = crypto.SHA256
	}
	sig, err := p.key.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	return raw + base64.StdEncoding.EncodeToString(sig) + "\r\n" + message
}
