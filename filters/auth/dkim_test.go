package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/filters"
)

// dkimOf is the one signature of a letter.
func dkimOf(t *testing.T, z Resolver, message string) filters.DKIM {
	t.Helper()
	a := session{zone: z, message: message}.facts(t).Auth
	if len(a.DKIM) != 1 {
		t.Fatalf("%d signatures: %+v", len(a.DKIM), a.DKIM)
	}
	return a.DKIM[0]
}

const usualTags = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s; h=from:to:subject:date:message-id;"

// D-20, D-21, D-22, D-23: what a signature says of itself decides what it is worth.
func TestTagsDecideWhatASignatureIsWorth(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.example.com TXT": {record}, "s._domainkey.sub.example.com TXT": {record}}
	with := func(extra string) string { return usualTags + " " + extra }
	at := now().Unix()
	for _, c := range []struct{ name, tags, want, reason string }{
		{"usual", usualTags, "pass", ""},
		{"simple", "v=1; a=rsa-sha256; c=simple/simple; d=example.com; s=s; h=from:to;", "pass", ""},
		{"no c=", "v=1; a=rsa-sha256; d=example.com; s=s; h=from;", "pass", ""},
		{"header only", "v=1; a=rsa-sha256; c=relaxed; d=example.com; s=s; h=from;", "pass", ""},
		{"VERP in i=", with("i=bounce+bob=x@example.com;"), "pass", ""},
		{"b= inside z=", with("z=From:b=1|To:x;"), "pass", ""},
		{"i= in other case", with("i=A@EXAMPLE.com;"), "pass", ""},
		{"i= below", with("i=@news.example.com;"), "pass", ""},
		{"i= beside", with("i=@example.org;"), "permerror", "i="},
		{"i= looks like it", with("i=@badexample.com;"), "permerror", "i="},
		{"expires later", with(fmt.Sprintf("t=%d; x=%d;", at-60, at+60)), "pass", ""},
		{"expired within the skew", with(fmt.Sprintf("x=%d;", at-299)), "pass", ""},
		{"expired", with(fmt.Sprintf("x=%d;", at-301)), "fail", "expired"},
		{"x= before t=", with(fmt.Sprintf("t=%d; x=%d;", at, at-1)), "permerror", "x="},
		{"t= in the future", with(fmt.Sprintf("t=%d;", at+3600)), "pass", ""},
		{"l= whole", with("l=12;"), "pass", ""},
		{"l= short", with("l=5;"), "policy", "l="},
		{"l= zero", with("l=0;"), "policy", "l="},
		{"l= long", with("l=9999;"), "pass", ""},
		{"q= known", with("q=http/x:dns/txt;"), "pass", ""},
		{"q= unknown", with("q=http/x;"), "permerror", "q="},
		{"v=2", strings.Replace(usualTags, "v=1", "v=2", 1), "permerror", "v="},
		{"rsa-sha1", strings.Replace(usualTags, "rsa-sha256", "rsa-sha1", 1), "fail", "sha1"},
		{"unknown algorithm", strings.Replace(usualTags, "rsa-sha256", "rsa-md5", 1), "permerror", "algorithm"},
		{"other key type", strings.Replace(usualTags, "rsa-sha256", "ed25519-sha256", 1), "permerror", ""},
		{"From unsigned", strings.Replace(usualTags, "h=from:", "h=", 1), "permerror", "From"},
		{"c= unknown", strings.Replace(usualTags, "relaxed/relaxed", "nowsp", 1), "permerror", "canonicalization"},
		{"d= in other case", strings.Replace(usualTags, "d=example.com", "d=Example.COM", 1), "pass", ""},
		{"many names", strings.Replace(usualTags, "h=from", "h="+strings.Repeat("x:", 199)+"from", 1), "permerror", "h="},
	} {
		got := dkimOf(t, z, pen{k, c.tags}.sign(t, letter("a@example.com")))
		if got.Result != c.want || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: %s (%s), want %s (%s)", c.name, got.Result, got.Reason, c.want, c.reason)
		}
	}
}

// D-23, L-05: what the key record says decides whether a correct signature counts.
func TestKeysDecideWhetherASignatureCounts(t *testing.T) {
	k, record := testKey(t, 1024)
	_, other := testKey(t, 1024)
	p := strings.TrimPrefix(record, "v=DKIM1; k=rsa; ")
	bare := "p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&k.PublicKey))
	weak := rsa.PublicKey{N: new(big.Int).Rsh(k.N, 256), E: 65537}
	weakDER, _ := x509.MarshalPKIXPublicKey(&weak)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	ed := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(edKey.Public().(ed25519.PublicKey))
	tags := usualTags + " i=@news.example.com;"
	for _, c := range []struct {
		name    string
		records []string
		want    string
	}{
		{"usual", []string{record}, "pass"},
		{"only p=", []string{p}, "pass"},
		{"bare RSA key", []string{bare}, "pass"},
		{"spaces", []string{"v = DKIM1 ; k = rsa ; " + strings.Replace(p, "p=", "p = ", 1)}, "pass"},
		{"unknown tags", []string{record + "; g=*; zz=1"}, "pass"},
		{"for mail", []string{record + "; s=tlsrpt:email"}, "pass"},
		{"not for mail", []string{record + "; s=tlsrpt"}, "permerror"},
		{"hash allowed", []string{record + "; h=sha1:sha256"}, "pass"},
		{"hash not allowed", []string{record + "; h=sha1"}, "permerror"},
		{"strict", []string{record + "; t=s"}, "permerror"},
		{"testing", []string{record + "; t=y"}, "pass"},
		{"beside a key of another type", []string{ed, record}, "pass"},
		{"beside other text", []string{"v=spf1 -all", record}, "pass"},
		{"two of one type", []string{record, other}, "permerror"},
		{"revoked", []string{"v=DKIM1; k=rsa; p="}, "permerror"},
		{"no p=", []string{"v=DKIM1; k=rsa"}, "permerror"},
		{"other version", []string{"v=DKIM2; " + p}, "permerror"},
		{"v= last", []string{p + "; v=DKIM1"}, "permerror"},
		{"broken base64", []string{"v=DKIM1; p=%%%"}, "permerror"},
		{"not a key", []string{"v=DKIM1; p=AAAA"}, "permerror"},
		{"unknown type", []string{"v=DKIM1; k=dsa; " + p}, "permerror"},
		{"too long", []string{record + "; n=" + strings.Repeat("x", maxRecord)}, "permerror"},
		{"768 bits", []string{"p=" + base64.StdEncoding.EncodeToString(weakDER)}, "fail"},
		{"other key", []string{other}, "fail"},
		{"other key, testing", []string{other + "; t=y"}, "neutral"},
		{"nothing there", nil, "permerror"},
		{"no answer", []string{"TEMP"}, "temperror"},
	} {
		got := dkimOf(t, table{"s._domainkey.example.com TXT": c.records}, pen{k, tags}.sign(t, letter("a@example.com")))
		if got.Result != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, got.Result, got.Reason, c.want)
		}
	}
}

// RFC 8463: Ed25519 signs the digest; a key of another length is none.
func TestEd25519SignaturesVerify(t *testing.T) {
	pub, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tags := strings.Replace(usualTags, "rsa-", "ed25519-", 1)
	for p, want := range map[string]string{string(pub): "pass", string(pub[:31]): "permerror", string(append(bytes.Clone(pub[:31]), pub[31]^1)): "fail"} {
		z := table{"s._domainkey.example.com TXT": {"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString([]byte(p))}}
		if got := dkimOf(t, z, pen{k, tags}.sign(t, letter("a@example.com"))); got.Result != want {
			t.Errorf("%s (%s), want %s", got.Result, got.Reason, want)
		}
	}
}

// D-04, D-05: names that a resolver could read in two ways never become a question.
func TestOddNamesAreNeverAsked(t *testing.T) {
	for _, tags := range []string{
		"d=legit.example; s=selector._domainkey.attack.example.\x00.any;", "d=legit.example(.attack.example; s=s;", "d=legit.example'a.attack.example; s=s;",
		"d=\"; s=s;", "d=a..b; s=s;", "d=; s=s;", "d=x; s=;", "d=legit.example; s=a b;", "d=legit.example; s=a@b;", "d=legit.example; s=" + strings.Repeat("a", 64) + ";",
		"d=" + strings.Repeat("a.", 126) + "a; s=selector;", "d=legit\u200b.example; s=s;", "d=legit.example; s=s\r\n\t.x;",
	} {
		z := &asked{table: table{}}
		msg := "DKIM-Signature: v=1; a=rsa-sha256; c=simple/relaxed; " + tags + " h=from; bh=AAAA; b=AAAA\r\n" + letter("admin@legit.example")
		a := session{zone: z, message: msg}.facts(t).Auth
		if len(a.DKIM) != 1 || a.DKIM[0].Result != "permerror" {
			t.Errorf("%q: %+v", tags, a.DKIM)
		}
		for _, q := range z.list {
			if strings.Contains(q, "_domainkey") {
				t.Errorf("%q: asked for %q", tags, q)
			}
		}
	}
}

// RFC 8616: a signing domain in Unicode is looked up by its A-labels.
func TestInternationalSigningDomains(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.xn--bcher-kva.example TXT": {record}}
	tags := strings.Replace(usualTags, "d=example.com", "d=bücher.example; i=é@bücher.example", 1)
	if got := dkimOf(t, z, pen{k, tags}.sign(t, letter("a@xn--bcher-kva.example"))); got.Result != "pass" || !got.Aligned {
		t.Errorf("%+v", got)
	}
}

// D-20: a valid signature that others can add to is weak, and says where.
func TestOpenSignaturesAreWeak(t *testing.T) {
	k, record := testKey(t, 2048)
	z := table{"s._domainkey.example.com TXT": {record}, "_dmarc.example.com TXT": {"v=DMARC1; p=reject"}}
	m := letter("a@example.com")
	for _, c := range []struct {
		name, h, add, open string
	}{
		{"usual", "from:to:subject:date", "", ""},
		{"from only", "from", "", "subject, to, date"},
		{"subject added", "from:to:subject:date", "Subject: Another\r\n", "subject"},
		{"subject added to an oversigned one", "from:to:subject:subject:date", "", ""},
		{"content type added", "from:to:subject:date", "Content-Type: text/html\r\n", "content-type"},
		{"second From", "from:to:subject:date", "From: x@example.com\r\n", "from"},
	} {
		tags := strings.Replace(usualTags, "h=from:to:subject:date:message-id", "h="+c.h, 1)
		msg := c.add + pen{k, tags}.sign(t, m)
		f := session{zone: z, message: msg}.facts(t)
		d := f.Auth.DKIM[0]
		if d.Result != "pass" || d.Weak != (c.open != "") || has(f, "dkim.weak") != d.Weak {
			t.Errorf("%s: %+v", c.name, d)
		}
		for _, x := range f.Findings {
			if x.Code == "dkim.weak" && !strings.Contains(x.Text, c.open+".") {
				t.Errorf("%s: %s, want %s", c.name, x.Text, c.open)
			}
		}
	}
}

// D-24, D-25: a thousand signatures, ten thousand tags, a megabyte of b=: eight verifications and eight questions, with
// those that could prove the author first.
func TestManySignaturesCostLittle(t *testing.T) {
	k, record := testKey(t, 1024)
	z := &asked{table: table{"s._domainkey.example.com TXT": {record}}}
	var b strings.Builder
	for i := range 900 {
		fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d%d.attack.example; s=s; h=from; bh=AAAA; b=AAAA\r\n", i)
	}
	msg := b.String() + pen{k, usualTags}.sign(t, letter("a@example.com"))
	f := session{zone: z, message: msg}.facts(t)
	keys := 0
	for _, q := range z.list {
		if strings.Contains(q, "_domainkey") {
			keys++
		}
	}
	if a := f.Auth; len(a.DKIM) != maxSignatures || a.DKIM[0].Result != "pass" || a.Domain != "example.com" || keys != maxSignatures || !has(f, "dkim.limit") {
		t.Errorf("%d signatures, first %+v, %d keys asked for, domain %q", len(a.DKIM), a.DKIM[0], keys, a.Domain)
	}
	for name, v := range map[string]string{
		"tags": strings.Repeat("x=1; ", 10000), "same tag": "v=1; v=1; a=rsa-sha256", "long b=": "v=1; b=" + strings.Repeat("A", 100<<10),
		"many tags": func() string {
			s := "v=1"
			for i := range maxTags {
				s += fmt.Sprintf("; t%d=1", i)
			}
			return s
		}(),
	} {
		if got := dkimOf(t, table{}, "DKIM-Signature: "+v+"\r\n"+letter("a@example.com")); got.Result != "permerror" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Header blocks beyond the limits are told, not verified and not fatal.
func TestHugeHeadersAreTold(t *testing.T) {
	for name, head := range map[string]string{"bytes": "X: " + strings.Repeat("y", maxHeader) + "\r\n", "fields": strings.Repeat("X: y\r\n", maxFields+1)} {
		f := session{message: head + letter("a@example.com")}.facts(t)
		if len(f.Auth.DKIM) != 1 || f.Auth.DKIM[0].Result != "permerror" || !has(f, "dkim.permerror") {
			t.Errorf("%s: %+v", name, f.Auth.DKIM)
		}
	}
}

// Signatures of the library verify here, and what it calls changed is changed here, wherever the change is made.
func TestVerdictsAgreeWithGoMsgauth(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.example.com TXT": {record}}
	msg := signed(t, k, "example.com", plainMessage(600), "From", "Subject", "To", "Date", "MIME-Version")
	theirs := func(m string) bool {
		v, err := dkim.VerifyWithOptions(strings.NewReader(m), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{record}, nil }})
		return err == nil && len(v) == 1 && v[0].Err == nil
	}
	differ := 0
	for i := range msg {
		for _, c := range []byte{' ', 'x', '\t'} {
			if msg[i] == '\r' || msg[i] == '\n' || msg[i] == c {
				continue
			}
			if msg[i] == '=' && (msg[i+1] == ';' || msg[i+1] == '\r') {
				continue // padding, which RFC 6376 section 2.10 makes optional and the library asks for
			}
			m := msg[:i] + string(c) + msg[i+1:]
			a := session{zone: z, message: m}.facts(t).Auth
			ours := len(a.DKIM) == 1 && a.DKIM[0].Result == "pass"
			if ours != theirs(m) {
				differ++
				t.Errorf("byte %d (%q for %q): here %v, there %v: %q", i, c, msg[i], ours, !ours, m[max(0, i-20):min(len(m), i+20)])
			}
		}
		if differ > 5 {
			return
		}
	}
}

// A file on disk with bare LF line ends verifies like the message that it was; in a message with CRLF a bare LF is content.
func TestLineEnds(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.example.com TXT": {record}}
	for _, c := range []string{"relaxed/relaxed", "simple/simple"} {
		tags := strings.Replace(usualTags, "relaxed/relaxed", c, 1)
		msg := pen{k, tags}.sign(t, letter("a@example.com"))
		if got := dkimOf(t, z, strings.ReplaceAll(msg, "\r\n", "\n")); got.Result != "pass" {
			t.Errorf("%s, bare LF throughout: %s (%s)", c, got.Result, got.Reason)
		}
		if got := dkimOf(t, z, strings.Replace(msg, "Some text.\r\n", "Some text.\n", 1)); got.Result != "fail" {
			t.Errorf("%s, one bare LF: %s", c, got.Result)
		}
		odd := strings.Replace(letter("a@example.com"), "Some text.\r\n", "A\rB\nC\r\r\n \t\r\n.\r\n\r\n", 1)
		if got := dkimOf(t, z, pen{k, tags}.sign(t, odd)); got.Result != "pass" {
			t.Errorf("%s, odd line ends signed as such: %s (%s)", c, got.Result, got.Reason)
		}
	}
}

// The canonical body does not depend on the chunks in which it is read.
func FuzzBodyCanon(f *testing.F) {
	for _, s := range []string{
		"", "\r\n", "a \t b\r\n\r\n", " \r\n \r\n", "a\rb\nc\r\r\n", "a  b", "x\r\n\t\r\n", "a\r\n\r\n\r\nb\r\n\r\n", "x \r\r\ny\r\n",
		" a  b\tc \r\nplain line\r\n\r\n", "one\r\ntwo\r\n  three\r\nfour \t\r\n\r\nfive", "one two\r\n\r\n \r\nthree\r\n\r\n\r\n", "a\r\n\r",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, chunk int) {
		if chunk < 1 || chunk > 1<<16 {
			chunk = 1
		}
		for i, limit := range []int64{-1, -1, int64(len(body) / 2), int64(len(body) / 2)} {
			relaxed := i%2 == 1
			whole := &block{whole: body}
			want, wantLen, err := whole.bodyHash(relaxed, limit, &scratch{})
			if err != nil {
				t.Fatal(err)
			}
			for _, chunk := range []int{1, chunk} { // byte by byte no line is ever seen whole
				parts := &block{src: bytes.NewReader(body)}
				got, gotLen, err := parts.bodyHash(relaxed, limit, &scratch{read: make([]byte, chunk)})
				if err != nil || !bytes.Equal(got, want) || gotLen != wantLen {
					t.Errorf("relaxed %v, limit %d, chunks of %d: %d bytes, want %d (%v)", relaxed, limit, chunk, gotLen, wantLen, err)
				}
			}
		}
	})
}

func FuzzSignature(f *testing.F) {
	f.Add(" v=1; a=rsa-sha256; d=example.com; s=s; h=from:to; bh=AAAA; b=AAAA", "v=DKIM1; p=AAAA")
	f.Add(" v=1;a=ed25519-sha256;c=relaxed/simple;d=e.example;s=a.b;h=from;l=0;t=1;x=2;i=@e.example;bh=AA==;b=AA==;", "k=ed25519; p=;")
	f.Fuzz(func(t *testing.T, value, record string) {
		s, err := parseSignature(&field{name: "DKIM-Signature", raw: "DKIM-Signature:" + value})
		if s == nil {
			t.Fatal("no signature, not even a broken one")
		}
		if s.domain != "" && !isDomain(s.domain) || s.selector != "" && !isDomain(s.selector) {
			t.Errorf("names %q, %q", s.domain, s.selector)
		}
		if err == nil && (s.bStart > s.bEnd || s.bEnd > len(s.field.raw) || s.bStart < len("DKIM-Signature:")) {
			t.Errorf("b= stands at %d to %d of %d", s.bStart, s.bEnd, len(s.field.raw))
		}
		if k, err := parseKey(record); err == nil && k.rsa == nil && k.ed25519 == nil {
			t.Errorf("record %q gives neither key nor error", record)
		}
	})
}

func TestWhatWasReadIsKeptAndBounded(t *testing.T) {
	var r recent[int]
	asked := 0
	length := func(s string) (int, error) {
		asked++
		if s == "" {
			return 0, errors.New("empty")
		}
		return len(s), nil
	}
	for range 3 {
		if n, err := r.of("abc", length); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := r.of("", length); err == nil {
			t.Fatal("an error was lost")
		}
	}
	if asked != 4 {
		t.Errorf("read %d times, want once for the record and each time for what cannot be read", asked)
	}
	for i := range 3 * maxRecent {
		if _, err := r.of(strconv.Itoa(i+1), length); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.read) > maxRecent {
		t.Errorf("keeps %d records", len(r.read))
	}
}
