package conformance

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/filters"
	"gatepost/filters/auth"
	"gatepost/filters/mail"
	"gatepost/gateway/dns"
)

// check runs the auth filter over a message.
func check(t testing.TB, zone string, env mail.Envelope, message []byte) filters.Facts {
	t.Helper()
	r, err := dns.FromZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := auth.New(auth.Config{}, r, nil).Check(t.Context(), &mail.Mail{Envelope: &env, Message: mail.Parse(mail.Memory(message))})
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// results joins the words and reasons of all signatures.
func results(a *filters.Auth) string {
	var out []string
	for _, d := range a.DKIM {
		s := d.Result
		if d.Reason != "" {
			s += " (" + d.Reason + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// words joins the words alone.
func words(a *filters.Auth) string {
	var out []string
	for _, d := range a.DKIM {
		out = append(out, d.Result)
	}
	return strings.Join(out, " ")
}

const (
	rsaKey     = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
	ed25519Key = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	football   = "brisbane._domainkey.football.example.com TXT " + ed25519Key + "\ntest._domainkey.football.example.com TXT " + rsaKey + "\n"
)

// chasquidZone turns "name: value \\" lines into the text of a zone.
func chasquidZone(s string) string {
	s = strings.ReplaceAll(s, "\\\n", " ")
	var b strings.Builder
	for line := range strings.SplitSeq(s, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		switch value = strings.Join(strings.Fields(value), " "); {
		case strings.Contains(value, "TEMPERROR"):
			fmt.Fprintf(&b, "%s TXT SERVFAIL\n", name)
		case strings.Contains(value, "PERMERROR"):
		default:
			fmt.Fprintf(&b, "%s TXT %s\n", name, value)
		}
	}
	return b.String()
}

func TestDKIMVectorsOfChasquid(t *testing.T) {
	want := map[string]string{
		"01-rfc8463":                   "pass pass",
		"02-too_many_headers":          "pass pass pass pass pass pass pass", // it stops at 5, we at 8
		"03-bad_message":               "",                                   // it refuses the header block; there is no signature to be found in it
		"04-bad_dkim_signature_header": "permerror",
		"05-dns_temp_error":            "temperror pass",
		"06-dns_perm_error":            "permerror pass",
		"08-our_signature":             "pass pass pass",
		"09-limited_body":              "policy pass pass", // it accepts l=; HOSTILE D-21 does not
		"11-strict_domain_check_fail":  "permerror",
	}
	dir := corpus(t, "dkim-basic/chasquid/internal/dkim/testdata")
	files, _ := filepath.Glob(filepath.Join(dir, "*.msg"))
	if len(files) != len(want) {
		t.Errorf("%d messages, want %d", len(files), len(want))
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".msg")
		zone := ""
		if dnsFile := "dkim-basic/chasquid/internal/dkim/testdata/" + name + ".dns"; exists(dir, name+".dns") {
			zone = chasquidZone(string(read(t, dnsFile)))
		} else {
			zone = chasquidZone(string(read(t, "dkim-basic/chasquid/internal/dkim/testdata/08-our_signature.dns")))
		}
		msg := read(t, "dkim-basic/chasquid/internal/dkim/testdata/"+name+".msg")
		facts := check(t, zone, mail.Envelope{Time: time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC)}, msg)
		if got := words(facts.Auth); got != want[name] {
			t.Errorf("%s: %s, want %s", name, results(facts.Auth), want[name])
		}
	}
}

func exists(dir, name string) bool {
	m, _ := filepath.Glob(filepath.Join(dir, name))
	return len(m) == 1
}

func TestDKIMVectorsOfStalwart(t *testing.T) {
	dir := corpus(t, "dkim-basic/stalwart/resources/dkim")
	files, _ := filepath.Glob(filepath.Join(dir, "*.txt"))
	for _, f := range files {
		rel, _ := filepath.Rel(corpus(t, "."), f)
		zone, msg := stalwart(string(read(t, rel)))
		facts := check(t, zone, mail.Envelope{Time: signedAt(msg)}, []byte(msg))
		t.Logf("%s: %s", filepath.Base(f), results(facts.Auth))
		if w := words(facts.Auth); strings.Trim(strings.ReplaceAll(w, "pass", ""), " ") != "" || w == "" {
			t.Errorf("%s: %s", filepath.Base(f), results(facts.Auth))
		}
	}
}

// stalwart splits a file into DNS lines and message.
func stalwart(s string) (zone, msg string) {
	head, msg, _ := strings.Cut(s, "\n\n")
	var b strings.Builder
	for line := range strings.SplitSeq(head, "\n") {
		name, value, _ := strings.Cut(line, " ")
		fmt.Fprintf(&b, "%s TXT %s\n", strings.TrimSuffix(name, "."), value)
	}
	return b.String(), msg
}

// signedAt is the newest t= of a message, or a fixed day.
func signedAt(msg string) time.Time {
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, m := range regexp.MustCompile(`\bt=(\d{9,11})\b`).FindAllStringSubmatch(msg, -1) {
		var n int64
		fmt.Sscan(m[1], &n)
		if u := time.Unix(n, 0); u.After(at) {
			at = u
		}
	}
	return at
}

func TestDKIMVectorsOfOthers(t *testing.T) {
	const base = "dkim-basic/"
	block, _ := pem.Decode(read(t, base+"mimekit/UnitTests/TestData/dkim/gmail.pub"))
	gmail := fmt.Sprintf("20120113._domainkey.gmail.com TXT v=DKIM1; k=rsa; p=%s\n", base64Std(block.Bytes))
	var fixture map[string]map[string][][]any
	if err := json.Unmarshal(read(t, base+"mailauth/test/dkim/ec/fixtures/dns.json"), &fixture); err != nil {
		t.Logf("dns.json holds more than TXT: %v", err)
	}
	for _, c := range []struct{ file, zone, want string }{
		{"mailauth/test/dkim/ec/fixtures/signed.eml", football, "pass pass"},
		{"mimekit/UnitTests/TestData/dkim/gmail.msg", gmail, "pass"},
		{"mimekit/UnitTests/TestData/dkim/related.msg", gmail, "pass"},
		{"mimekit/UnitTests/TestData/dkim/multipart-no-end-boundary.msg", gmail, "pass"},
		{"dkimpy/dkim/tests/data/test2.message", gmail, "pass"},
		{"mimekit/UnitTests/TestData/dkim/rfc8463-example.msg", football, "pass pass"},
		{"dkimpy/dkim/tests/data/rfc6376.signed.msg", football, "pass pass"},
		{"dkimpy/dkim/tests/data/ed25519test2.msg", "sed._domainkey.test.ex TXT v=DKIM1; k=ed25519; p=sPs07Vu29FpHT/80UXUcYHFOHifD4o2ZlP2+XUh9g6E=", "pass"},
	} {
		msg := read(t, base+c.file)
		facts := check(t, c.zone, mail.Envelope{Time: signedAt(string(msg)), Remote: netip.Addr{}}, msg)
		if got := words(facts.Auth); got != c.want {
			t.Errorf("%s: %s, want %s", c.file, results(facts.Auth), c.want)
		}
	}
}

// TestDKIMKeysAndMessagesOfDkimpy signs dkimpy's messages with its keys, as its own tests do (they publish no signed
// form of them), in all four canonicalisations and with repeated fields, and verifies by each of its key records.
func TestDKIMKeysAndMessagesOfDkimpy(t *testing.T) {
	const dir = "dkim-basic/dkimpy/dkim/tests/data/"
	block, _ := pem.Decode(read(t, dir+"test.private"))
	rsaPrivate, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(read(t, dir+"ed25519test.key"))))
	if err != nil {
		t.Fatal(err)
	}
	record := func(file string) string { return strings.TrimSpace(string(read(t, dir+file))) }
	for _, c := range []struct {
		message, record, want string
		key                   crypto.Signer
		headers               []string
	}{
		{"test.message", record("test.txt"), "pass", rsaPrivate, nil},
		{"test.message", record("test2.txt"), "pass", rsaPrivate, nil}, // k= is rsa by default
		{"test.message", record("badk.txt"), "permerror", rsaPrivate, nil},
		{"test.message", record("badversion.txt"), "permerror", rsaPrivate, nil},
		{"test.message", record("test_bad.txt"), "permerror", rsaPrivate, nil},
		{"test.message", record("test_tlsrpt.txt"), "permerror", rsaPrivate, nil}, // s= does not name e-mail
		{"test_extra.message", record("test.txt"), "pass", rsaPrivate, []string{"From", "Received", "Received"}},
		{"message.mbox", record("test.txt"), "pass", rsaPrivate, []string{"From", "Received", "Received", "Received", "Received", "Delivered-To"}},
		{"ed25519test.msg", record("ed25519test.dns"), "pass", ed25519.NewKeyFromSeed(seed), nil},
		{"rfc6376.msg", record("ed25519test.dns"), "pass", ed25519.NewKeyFromSeed(seed), nil},
	} {
		for _, head := range []dkim.Canonicalization{dkim.CanonicalizationSimple, dkim.CanonicalizationRelaxed} {
			for _, body := range []dkim.Canonicalization{dkim.CanonicalizationSimple, dkim.CanonicalizationRelaxed} {
				message := strings.ReplaceAll(strings.ReplaceAll(string(read(t, dir+c.message)), "\r\n", "\n"), "\n", "\r\n")
				var signed bytes.Buffer
				err := dkim.Sign(&signed, strings.NewReader(message), &dkim.SignOptions{Domain: "example.com", Selector: "test", Signer: c.key,
					HeaderKeys: c.headers, HeaderCanonicalization: head, BodyCanonicalization: body})
				if err != nil {
					t.Fatal(err)
				}
				facts := check(t, "test._domainkey.example.com TXT "+c.record, mail.Envelope{Time: time.Now()}, signed.Bytes())
				at := slices.IndexFunc(facts.Auth.DKIM, func(d filters.DKIM) bool { return d.Domain == "example.com" })
				if at < 0 || facts.Auth.DKIM[at].Result != c.want {
					t.Errorf("%s, %s/%s, %.60s: %s, want %s", c.message, head, body, c.record, results(facts.Auth), c.want)
				}
			}
		}
	}
}
