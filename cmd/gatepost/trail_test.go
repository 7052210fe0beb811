package main

import (
	"net/netip"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/traffic"
	"gatepost/gateway/journal"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// came is a record of a message with findings, judged by p.
func came(t *testing.T, p *policy.Policy, fate string, codes ...string) *journal.Record {
	t.Helper()
	rec := &journal.Record{V: journal.Version, Kind: journal.Message, ID: "x", Time: time.Unix(1e9, 0), Client: netip.MustParseAddr("198.51.100.7"), From: "a@b.example", Rcpts: []string{"c@d.example"}}
	rec.Report = &filters.Report{Facts: filters.Facts{Message: &filters.MessageFacts{}, Auth: &filters.Auth{}}}
	for _, c := range codes {
		f := filters.Finding{Filter: "content", Code: c, Text: c, Proof: []filters.Evidence{{Where: "x", What: "x"}}}
		if len(c) > 8 && c[:8] == "traffic." {
			f.Filter = "traffic"
		}
		rec.Report.Findings = append(rec.Report.Findings, f)
	}
	env, err := rec.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	d := p.Decide(env, rec.Report)
	rec.Decision, rec.Fates = &d, []journal.Fate{{Rcpt: "c@d.example", Fate: fate}}
	return rec
}

func TestAReputationDoesNotFeedOnItself(t *testing.T) {
	p, problems := policy.Parse("", []byte(`version: 1
weights: {traffic.domain-bad: 4, traffic.domain-good: -7, content.weak: 5, content.junk: 10, content.drop: 30}
rules:
  - {name: no, finding: content.rule, then: quarantine, class: policy, reason: r}
  - {name: later, finding: content.later, then: defer, class: policy, reason: r}
`), policy.Options{Filters: []string{"content", "traffic"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		fate             string
		codes            []string
		wanted, unwanted float64
	}{
		{"delivered", nil, 1, 0},
		{"held", nil, 1, 0},
		{"refused", nil, 0, 0},  // by the next hop, which may have its reasons
		{"deferred", nil, 0, 0}, // it comes again
		{"quarantined", []string{"content.junk"}, 0, 1},
		{"refused", []string{"content.drop"}, 0, 1},
		{"quarantined", []string{"content.rule"}, 0, 0},
		{"quarantined", []string{"content.weak", "traffic.domain-bad"}, 0, 0}, // tagged without the bad name
		{"quarantined", []string{"content.junk", "traffic.domain-bad"}, 0, 1},
		{"delivered", []string{"content.junk", "traffic.domain-good"}, 0, 0}, // held without the good name
		{"delivered", []string{"traffic.domain-good"}, 1, 0},
	} {
		rec := came(t, p, c.fate, c.codes...)
		if got := weightOf(rec, p); got.Wanted != c.wanted || got.Unwanted != c.unwanted {
			t.Errorf("%v, %s (%s %s): %+v", c.codes, c.fate, rec.Decision.Action, rec.Decision.Class, got)
		}
	}
}

func TestATrailLearnsOnlyWhereTheFilterRuns(t *testing.T) {
	p, problems := policy.Parse("", []byte("version: 1\n"), policy.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	tr := newTrail()
	if tr.Key() != nil {
		t.Error("a key, though nobody remembers yet")
	}
	tr.came(came(t, p, "delivered"), p)
	tr.follow(state.NewLocal(10, time.Now), traffic.Key{1, 2})
	tr.came(came(t, p, "delivered"), p)
	if len(tr.queue) != 0 {
		t.Error("learnt, though nobody asks")
	}
	if _, err := tr.Ask(t.Context(), traffic.Question{HalfLife: time.Hour}); err != nil {
		t.Fatal(err)
	}
	tr.came(came(t, p, "delivered"), p)
	tr.judged("id", true)
	if len(tr.queue) != 2 {
		t.Fatalf("%d lessons", len(tr.queue))
	}
	if l := <-tr.queue; len(l.senders) != 1 || l.weight.Wanted != 1 || l.weight.Messages != 1 {
		t.Errorf("%+v", l)
	}
	if l := <-tr.queue; l.id != "id" || l.weight.Wanted != byPerson || l.weight.Messages != 0 {
		t.Errorf("%+v", l)
	}
	for range 2 * maxLessons { // mail never waits for it
		tr.judged("id", false)
	}
	(*trail)(nil).judged("id", true)
}
