package policy

import (
	"slices"
	"strings"
	"testing"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// pastOf is a message from a sender to a recipient as it was judged under p.
func pastOf(t *testing.T, p *Policy, from, rcpt string, rep *filters.Report) Past {
	t.Helper()
	env := envelope(rcpt)
	a, err := mail.ParseAddress(from)
	if err != nil {
		t.Fatal(err)
	}
	env.From = a
	if rep == nil {
		return Past{Envelope: env}
	}
	was := p.Decide(env, rep)
	return Past{Envelope: env, Report: rep, Was: &was}
}

func TestAPreviewTellsWhatANewEntryWouldHaveDecided(t *testing.T) {
	p, problems := Parse("policy.yaml", []byte("version: 1\naccess:\n  - allow: {sender: [good@x.example], unsafe: true}\n"), Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	clean := &filters.Report{}
	past := []Past{
		pastOf(t, p, "a@x.example", "c@example.com", clean),
		pastOf(t, p, "good@x.example", "c@example.com", clean),
		pastOf(t, p, "a@y.example", "c@example.com", clean),
		pastOf(t, p, "a@x.example", "c@example.com", nil),
		pastOf(t, p, "a@x.example", "d@example.com", report("links.listed")),
	}
	for text, want := range map[string]struct{ messages, attempts, differ int }{
		"deny sender_domain x.example":                         {3, 1, 3}, // before every other entry
		`deny: {sender: ["a@x.example"]}`:                      {2, 1, 2},
		`- deny: {sender: "@x.example", reason: "spam"}`:       {3, 1, 3},
		"deny sender_domain x.example recipient d@example.com": {1, 0, 1},
		"allow sender a@x.example":                             {0, 0, 0}, // nothing proves it
		"allow sender a@x.example unsafe":                      {2, 1, 1}, // the one that was marked would not be
		"deny country kp,ir":                                   {0, 0, 0},
	} {
		got, problems := p.Preview(slices.Values(past), text)
		if len(problems) > 0 || got.Messages != want.messages || got.Attempts != want.attempts || len(got.Differences) != want.differ || got.Seen != 5 {
			t.Errorf("%s: %+v %v, want %+v", text, got, problems, want)
		}
	}
	if n := len(p.Entries()); n != 1 || p.EntryFor(past[0].Envelope, clean) != "" {
		t.Errorf("the policy itself changed: %d entries", n)
	}
}

func TestAnEntryThatCannotBeReadIsNotTried(t *testing.T) {
	p, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                                       "begins with allow or deny",
		"refuse sender x":                        "begins with allow or deny",
		"deny sendre x.example":                  `did you mean "sender"?`,
		"deny sender":                            "needs a value",
		"deny client 10.0.0.1/8":                 "bits set beyond its prefix",
		"deny: {sender: [\"not an address @\"]}": "not an address",
		"deny sender list:none":                  "there is no list",
		"deny: {}":                               "needs client",
		"deny client 192.0.2.1 unsafe":           "unsafe belongs",
	} {
		if _, problems := p.Preview(slices.Values([]Past{}), text); len(problems) == 0 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%q: %v, want %q", text, problems, want)
		}
	}
}
