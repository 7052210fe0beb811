package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// parse compiles a policy of a test.
func parse(t testing.TB, yaml string) *Policy {
	t.Helper()
	p, problems := Parse("policy.yaml", []byte(yaml), Options{ReadFile: func(string) ([]byte, error) { return []byte(yaml), nil }})
	for _, problem := range problems {
		t.Error(problem)
	}
	if p == nil {
		t.FailNow()
	}
	return p
}

// envelope is a message from a stranger to some recipients.
func envelope(rcpts ...string) *mail.Envelope {
	e := &mail.Envelope{ID: "01TEST", Time: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Remote: netip.MustParseAddr("198.51.100.7"), Helo: "h.example"}
	e.From, _ = mail.ParseAddress("a@b.example")
	for _, r := range rcpts {
		a, err := mail.ParseAddress(r)
		if err != nil {
			panic(err)
		}
		e.Rcpts = append(e.Rcpts, a)
	}
	return e
}

// report is an examined message with findings and nothing else remarkable.
func report(codes ...string) *filters.Report {
	r := &filters.Report{}
	for _, c := range codes {
		r.Findings = append(r.Findings, filters.Finding{Filter: "test", Code: c, Text: "Found " + c + ".", Proof: []filters.Evidence{{Where: "envelope", What: c}}})
	}
	r.Message = &filters.MessageFacts{From: "a@b.example", FromDomain: "b.example", Subject: "Hello", Size: 1000, Header: map[string][]string{"x-mailer": {"m"}}}
	r.Auth = &filters.Auth{SPF: filters.SPF{Result: "none"}, SPFHelo: filters.SPF{Result: "none"}, DMARC: filters.DMARC{Result: "none"}, ARC: filters.ARC{Result: "none"}}
	r.Attachments, r.URLs, r.Text = []filters.Attachment{}, []filters.URL{}, &filters.Text{Language: "en", Words: 20}
	return r
}

func TestShippedPolicyCompiles(t *testing.T) {
	p, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	d := p.Decide(envelope("c@example.com"), report())
	if d.Action != Accept {
		t.Errorf("a clean message: %+v", d)
	}
	fmt.Printf("%+v\n", p.Decide(envelope("c@example.com"), report("dmarc.fail", "attach.executable", "headers.no-date")))
}

const dozen = `
lists: {partners: {domains: [partner.example]}}
rules:
  - {name: macro-from-stranger, when: 'attachments.exists(a, a.macro) && auth.dmarc != "pass"', then: quarantine, class: malware}
  - {name: r2, when: 'envelope.mail_from_domain == "x.example" && envelope.rcpt_count > 10', then: tag}
  - {name: r3, when: 'has("links.listed") && score > 4', then: quarantine}
  - {name: r4, when: 'message.subject.contains("Invoice") && !in_list(message.from_domain, "partners")', then: {score: 1.5}}
  - {name: r5, when: 'urls.exists(u, u.host.endsWith(".zip"))', then: {score: 3}}
  - {name: r6, when: 'text.language == "ru" && auth.spf != "pass"', then: {score: 2}}
  - {name: r7, when: 'message.size > 10000000', then: tag}
  - {name: r8, when: 'message.header("x-mailer").startsWith("Bad")', then: tag}
  - {name: r9, when: 'now - message.date > duration("720h")', then: {score: 1}}
  - {name: r10, from: ["@bad.example"], then: reject}
  - {name: r11, attachment: ["*.exe", "*.scr"], then: reject}
  - {name: r12, client: [203.0.113.0/24], subject: "*lottery*", then: reject}
`

func BenchmarkDecideDozen(b *testing.B) {
	p := parse(b, dozen)
	env, rep := envelope("c@example.com"), report("spf.pass", "dkim.pass", "headers.no-date")
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(env, rep)
	}
}

func BenchmarkDecideRefused(b *testing.B) {
	p := parse(b, dozen)
	env, rep := envelope("c@example.com"), report("spf.fail", "dmarc.fail", "headers.no-date", "links.listed", "bayes.spam-99")
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(env, rep)
	}
}

func BenchmarkDecide200Rules(b *testing.B) {
	var s strings.Builder
	s.WriteString("rules:\n")
	for i := range 200 {
		fmt.Fprintf(&s, "  - {name: r%d, when: 'message.from_domain == \"d%d.example\" && auth.dmarc != \"pass\" && attachments.exists(a, a.macro)', then: {score: 1}}\n", i, i)
	}
	p := parse(b, s.String())
	env, rep := envelope("c@example.com"), report("spf.pass")
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(env, rep)
	}
}
