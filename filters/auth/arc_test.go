package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"gatepost/filters/mail"
)

// sealed puts a set on top of a message as a forwarder would.
func sealed(t *testing.T, s *Sealer, message, results, chain string) string {
	t.Helper()
	set, err := s.Seal(mail.Memory(message), results, chain, now())
	if err != nil || set == "" {
		t.Fatalf("no set: %v", err)
	}
	return set + message
}

// sealer makes a sealer for a domain, with its key record in the zone.
func sealer(t *testing.T, z table, domain string, key crypto.Signer, record string) *Sealer {
	t.Helper()
	s, err := NewSealer(domain, "s", key)
	if err != nil {
		t.Fatal(err)
	}
	z["s._domainkey."+domain+" TXT"] = []string{record}
	return s
}

// What is sealed here validates here, hop after hop, by RSA and by Ed25519; what is changed afterwards does not.
func TestSealsValidate(t *testing.T) {
	z := table{}
	k, record := testKey(t, 1024)
	pub, ed, _ := ed25519.GenerateKey(rand.Reader)
	a := sealer(t, z, "a.example", k, record)
	b := sealer(t, z, "b.example", ed, "v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(pub))
	msg := letter("x@author.example")
	msg = sealed(t, a, msg, "mx.a.example; dmarc=pass header.from=author.example", "none")
	msg = sealed(t, b, msg, "Authentication-Results: mx.b.example;\r\n\tarc=pass;\r\n\tdmarc=fail header.from=author.example\r\n", "pass")
	f := session{zone: z, message: "Received: by c\r\n" + msg}.facts(t)
	if arc := f.Auth.ARC; arc.Result != "pass" || arc.Sets != 2 || arc.Sealer != "b.example" || arc.Trusted || !has(f, "arc.pass") {
		t.Fatalf("%+v", arc)
	}
	for name, m := range map[string]string{
		"body": strings.Replace(msg, "Some text", "Same text", 1), "subject": strings.Replace(msg, "Subject: Hello", "Subject: hello", 1),
		"results": strings.Replace(msg, "dmarc=fail", "dmarc=pass", 1), "first set gone": msg[:strings.LastIndex(msg, "ARC-Seal:")] + msg[strings.Index(msg, "From:"):],
	} {
		f := session{zone: z, message: m}.facts(t)
		if f.Auth.ARC.Result != "fail" || !has(f, "arc.fail") {
			t.Errorf("%s: %+v", name, f.Auth.ARC)
		}
	}
	z["s._domainkey.a.example TXT"] = []string{"TEMP"}
	if f := (session{zone: z, message: msg}.facts(t)); f.Auth.ARC.Result != "temperror" {
		t.Errorf("no answer: %+v", f.Auth.ARC)
	}
}

// D-28: a chain changes nothing, whoever sealed it and whatever it says, unless its sealers are trusted by name.
func TestOnlyTrustedSealersOverrideDMARC(t *testing.T) {
	z := table{"_dmarc.author.example TXT": {"v=DMARC1; p=reject"}}
	k, record := testKey(t, 1024)
	list := sealer(t, z, "list.example", k, record)
	evil := sealer(t, z, "evil.example", k, record)
	says := func(id string) string { return id + "; dmarc=pass header.from=author.example" }
	one := sealed(t, list, letter("x@author.example"), says("mx.list.example"), "none")
	forged := sealed(t, evil, letter("x@author.example"), says("mx.evil.example"), "none")
	other := sealed(t, list, letter("x@author.example"), "mx.list.example; dmarc=pass header.from=other.example", "none")
	failed := sealed(t, list, letter("x@author.example"), `mx.list.example; dmarc=fail (x; dmarc=pass header.from=author.example) reason="; dmarc=pass" header.from=author.example`, "none")
	for _, c := range []struct {
		name, message string
		trusted       []string
		override      bool
	}{
		{"nobody is trusted", one, nil, false},
		{"the list is trusted", one, []string{"List.example."}, true},
		{"somebody else is trusted", forged, []string{"list.example"}, false},
		{"trusted, on top of an untrusted set", sealed(t, list, forged, "mx.list.example; arc=pass; dmarc=fail header.from=author.example", "pass"), []string{"list.example"}, false},
		{"untrusted, on top of a trusted set", sealed(t, evil, one, "mx.evil.example; arc=pass", "pass"), []string{"list.example"}, false},
		{"both trusted", sealed(t, evil, one, "mx.evil.example; arc=pass; dmarc=fail header.from=author.example", "pass"), []string{"list.example", "evil.example"}, true},
		{"says pass for another author", other, []string{"list.example"}, false},
		{"says fail, with pass in comments and quotes", failed, []string{"list.example"}, false},
	} {
		f := session{zone: z, cfg: Config{TrustedSealers: c.trusted}, message: c.message}.facts(t)
		a := f.Auth
		if a.ARC.Result != "pass" || a.DMARC.Result != "fail" {
			t.Errorf("%s: arc %+v, dmarc %+v", c.name, a.ARC, a.DMARC)
		}
		if (a.By == "arc") != c.override || (a.DMARC.Disposition == "none") != c.override || has(f, "dmarc.fail-overridden") != c.override || has(f, "dmarc.fail-reject") == c.override {
			t.Errorf("%s: by %q, disposition %q, want override %v", c.name, a.By, a.DMARC.Disposition, c.override)
		}
	}
}

// A sealing key is read from what openssl writes; what cannot seal is refused before a message needs it.
func TestSealingKeys(t *testing.T) {
	k, _ := testKey(t, 1024)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(ed)
	for name, p := range map[string]*pem.Block{"RSA": {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}, "Ed25519": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		key, err := ParseSealingKey(pem.EncodeToMemory(p))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := NewSealer("example.com", "s", key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseSealingKey([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a key", bad)
		}
	}
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for _, c := range []struct {
		domain string
		key    crypto.Signer
	}{{"a b", k}, {"", k}, {"example.com", ec}} {
		if _, err := NewSealer(c.domain, "s", c.key); err == nil {
			t.Errorf("%q with %T was taken", c.domain, c.key)
		}
	}
}

// D-29: what is no chain costs no question and no crypto.
func TestBrokenChainsCostNothing(t *testing.T) {
	set := func(i int, cv string) string {
		return fmt.Sprintf("ARC-Seal: i=%d; a=rsa-sha256; cv=%s; d=e.example; s=s; b=AAAA\r\nARC-Message-Signature: i=%d; a=rsa-sha256; d=e.example; s=s; h=from; bh=AAAA; b=AAAA\r\nARC-Authentication-Results: i=%d; e.example; none\r\n", i, cv, i, i)
	}
	many := ""
	for i := 51; i > 0; i-- {
		many += set(i, map[bool]string{true: "none", false: "pass"}[i == 1])
	}
	for name, m := range map[string]string{"51 sets": many, "a gap": set(3, "pass") + set(1, "none"), "twice": set(1, "none") + set(1, "none"), "cv=fail": set(2, "fail") + set(1, "none"),
		"first says pass": set(1, "pass"), "i=0": set(0, "none"), "i=01 of 999": set(999, "none")} {
		z := &asked{table: table{}}
		f := session{zone: z, message: m + letter("x@author.example")}.facts(t)
		if f.Auth.ARC.Result != "fail" {
			t.Errorf("%s: %+v", name, f.Auth.ARC)
		}
		for _, q := range z.list {
			if strings.Contains(q, "_domainkey") {
				t.Errorf("%s: asked for %s", name, q)
			}
		}
	}
}
