package auth

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// The field is that of RFC 8601, folded, and the library reads back what was found.
func TestResultsAreReadBack(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.example.com TXT": {record}, "_dmarc.example.com TXT": {"v=DMARC1; p=reject"}, "example.com TXT": {"v=spf1 -all"}}
	s := session{ip: "192.0.2.1", name: "h.example", helo: "h.example", from: "a@example.com", zone: z, message: pen{k, usualTags}.sign(t, letter("a@example.com"))}
	f := s.facts(t)
	from, _ := mail.ParseAddress("a@example.com")
	env := &mail.Envelope{Remote: netip.MustParseAddr("192.0.2.1"), Helo: "h.example", From: from}
	got := Results(env, &filters.Report{Facts: f}, "mx.example.net")
	if !strings.HasPrefix(got, "Authentication-Results: mx.example.net;\r\n\tdmarc=pass header.from=example.com;\r\n\tdkim=pass header.a=rsa-sha256 header.b=") || !strings.HasSuffix(got, "\r\n") {
		t.Errorf("%q", got)
	}
	for line := range strings.SplitSeq(got, "\r\n") {
		if len(line) > 998 || strings.TrimRight(line, " \t") != line {
			t.Errorf("line %q", line)
		}
	}
	id, list, err := authres.Parse(strings.TrimPrefix(got, "Authentication-Results: "))
	if err != nil || id != "mx.example.net" || len(list) != 6 {
		t.Errorf("%q, %d results, %v", id, len(list), err)
	}
	if got := Results(env, &filters.Report{}, "mx.example.net"); got != "Authentication-Results: mx.example.net;\r\n\tnone\r\n" {
		t.Errorf("without facts: %q", got)
	}
}

// D-05, D-06: nothing that a sender writes gets out of its place in the field.
func TestResultsCannotBeInjected(t *testing.T) {
	bad := "x\r\nX-Evil: 1; dmarc=pass (\"\\\x00\xff; dkim=pass"
	from, err := mail.ParseAddress(`"a;b dmarc=pass"@example.com`)
	if err != nil {
		t.Fatal(err)
	}
	env := &mail.Envelope{Remote: netip.MustParseAddr("192.0.2.1"), Helo: bad, From: from}
	a := &filters.Auth{SPF: filters.SPF{Result: "fail", Reason: bad}, SPFHelo: filters.SPF{Result: "none"}, DMARC: filters.DMARC{Result: "fail", From: bad, Reason: bad},
		DKIM: []filters.DKIM{{Result: "fail", Domain: bad, Selector: bad, Algorithm: bad, Signature: bad, Reason: bad}}, ARC: filters.ARC{Result: "fail", Sealer: bad, Reason: bad}, IPRev: "pass"}
	got := Results(env, &filters.Report{Facts: filters.Facts{Auth: a}}, "mx.example.net")
	field := strings.TrimSuffix(got, "\r\n")
	for i := 0; i < len(field); i++ {
		if c := field[i]; (c < ' ' || c > '~') && !strings.HasPrefix(field[i:], "\r\n\t") && (i < 1 || !strings.HasPrefix(field[i-1:], "\r\n\t")) && (i < 2 || !strings.HasPrefix(field[i-2:], "\r\n\t")) {
			t.Errorf("byte %#x at %d of %q", c, i, field)
		}
	}
	_, rest, _ := strings.Cut(field, ";")
	methods := map[string]int{}
	for _, s := range readStatements(rest) {
		methods[s.method+"="+s.result]++
	}
	if methods["dmarc=pass"]+methods["dkim=pass"] > 0 || methods["dmarc=fail"] != 1 || methods["dkim=fail"] != 1 || methods["spf=fail"] != 1 || methods["arc=fail"] != 1 {
		t.Errorf("%v in %q", methods, field)
	}
}

// D-26, D-27: fields that speak in our name go, in whatever spelling; those of others stay.
func TestForgedFieldsAreFound(t *testing.T) {
	for field, forged := range map[string]bool{
		"Authentication-Results: mx.example.net; dmarc=pass":                       true,
		"authentication-RESULTS: MX.Example.NET; dmarc=pass":                       true,
		"Authentication-Results:\r\n mx.example.net;\r\n dmarc=pass":               true,
		"Authentication-Results: mx.example.net/1; dmarc=pass":                     true,
		"Authentication-Results: mx.example.net 1; dmarc=pass":                     true,
		"Authentication-Results: (c (d) \\) ) mx.example.net (e); dmarc=pass":      true,
		"Authentication-Results: mx.example.net.; dmarc=pass":                      true,
		"Authentication-Results: \"mx.example.net\"; dmarc=pass":                   true,
		"Authentication-Results: \"mx\\.example.net\"; dmarc=pass":                 true,
		"Authentication-Results: mx.example.net":                                   true,
		"Authentication-Results : mx.example.net; dmarc=pass":                      true,
		"Authentication-Results: (unclosed mx.example.net; dmarc=pass":             true,
		"Authentication-Results: ; dmarc=pass":                                     true,
		"Authentication-Results:":                                                  true,
		"Authentication-Results: dmarc=pass":                                       true,
		"Authentication-Results: mx.example.net dmarc=pass":                        true,
		"X-Gatepost-Score: 0":                                                      true,
		"x-GATEPOST-action: accept":                                                true,
		"X-Spam-Flag: NO":                                                          true,
		"Authentication-Results: other.example; dmarc=pass (mx.example.net; none)": false,
		"Authentication-Results: mx.example.net.evil.example; dmarc=pass":          false,
		"ARC-Authentication-Results: i=1; mx.example.net; dmarc=pass":              false,
		"X-Spam-Status: Yes":                                                       false,
		"Received-SPF: pass":                                                       false,
	} {
		m := mail.Parse(mail.Memory("Received: by a\r\n" + field + "\r\n" + letter("a@example.com")))
		spans := Forged(m, "mx.example.net")
		if (len(spans) == 1) != forged {
			t.Errorf("%q: %v, want forged %v", field, spans, forged)
		}
		if len(spans) == 1 {
			if got := string(m.Bytes(spans[0])); got != field+"\r\n" {
				t.Errorf("%q: the span holds %q", field, got)
			}
		}
	}
}

func FuzzReadResults(f *testing.F) {
	for _, s := range []string{" mx.example.net; dmarc=pass header.from=a.b", ` (c) "q\"x" 1; spf=pass reason="a;b"; dkim = pass`, "i=1; a; none", "a/1;;=;x="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if id, ok := readAuthservID(v); ok && id == "" {
			t.Errorf("%q: empty id", v)
		}
		list := readStatements(v)
		if len(list) > maxResults {
			t.Errorf("%d statements", len(list))
		}
		for _, s := range list {
			if s.method == "" || s.result == "" || strings.ContainsAny(s.result, ";") && !strings.Contains(v, `"`) {
				t.Errorf("%q: %+v", v, s)
			}
		}
	})
}
