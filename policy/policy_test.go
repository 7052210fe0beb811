package policy

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// parse compiles a policy of a test.
func parse(t testing.TB, yaml string) *Policy {
	t.Helper()
	p, problems := Parse("policy.yaml", []byte(yaml), Options{})
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
	r.Message = &filters.MessageFacts{From: "a@b.example", FromDomain: "b.example", Subject: "Hello", Size: 1000, Header: filters.Header{{Name: "X-Mailer", Value: "m"}}}
	r.Auth = &filters.Auth{SPF: filters.SPF{Result: "none"}, SPFHelo: filters.SPF{Result: "none"}, DMARC: filters.DMARC{Result: "none"}, ARC: filters.ARC{Result: "none"}}
	r.Attachments, r.URLs, r.Text = []filters.Attachment{}, []filters.URL{}, &filters.Text{Language: "en", Words: 20}
	return r
}

func TestThePeopleOfListsAreTold(t *testing.T) {
	p, problems := Parse("policy.yaml", []byte("version: 1\nlists:\n  vips: {people: [{name: Erika Muster, addresses: [Erika@Example.com, e@home.example]}]}\n  board: {people: [{name: Bo Ek, addresses: [bo@example.com]}]}\n"), Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := fmt.Sprint(p.People()); got != "[{Bo Ek [bo@example.com]} {Erika Muster [e@home.example erika@example.com]}]" {
		t.Error(got)
	}
}
