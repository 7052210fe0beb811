package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A world is a random policy with a random message, from which parts can be taken away by hand: by leaving them out
// of the file or of the report, not by the means that explanations use themselves.
type world struct {
	entries  []string
	rules    []string // names; "name: …" lines by name
	rule     map[string]string
	weights  string
	shipped  []string // names of the shipped rules
	env      *mail.Envelope
	rep      *filters.Report
	failures string
}

// codes are what random messages have.
var codes = []string{"dmarc.fail", "links.listed", "links.mismatch", "bayes.ham", "bayes.spam-99", "dkim.pass", "attach.macro", "attach.eicar",
	"defect.mime.qp-malformed", "defect.mime.boundary-twice", "defect.from.split", "headers.no-date", "spoof.person", "content.price"}

// newWorld makes a world from a seed.
func newWorld(seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 7))
	pick := func(l []string) string { return l[r.IntN(len(l))] }
	shipped, err := Shipped()
	if err != nil {
		panic(err)
	}
	w := &world{shipped: shipped.Rules(), rule: map[string]string{}, weights: "weights: {", failures: "failures: {clamd: " + pick([]string{"accept", "quarantine", "defer"}) + "}\n"}
	for i, c := range codes {
		if r.IntN(3) == 0 {
			w.weights += fmt.Sprintf("%s: %.1f, ", codes[i], float64(r.IntN(140)-40)/10)
			_ = c
		}
	}
	w.weights += "}\n"
	matchers := []string{`when: 'score > 6'`, `when: 'auth.dmarc == "fail"'`, `when: 'message.size > 500'`, `when: 'has("links.*")'`, `finding: bayes.spam-99`,
		`when: '!has("dkim.pass") && score >= 3'`, `from: "@b.example"`, `when: 'attachments.exists(a, a.macro)'`, `when: 'attachments.exists(a, a.macro && has("attach.*"))'`,
		`finding: class:phish`, `for: "*@one.example"`}
	thens := []string{"tag", "quarantine", "reject", "accept", "defer", "{score: 2.5}", "{score: -3}", "{at_least: quarantine}", "{score: 6}", "{at_least: reject}"}
	for i := range r.IntN(6) {
		name := fmt.Sprintf("r%d", i)
		w.rules = append(w.rules, name)
		w.rule[name] = fmt.Sprintf("  - {name: %s, %s, then: %s}\n", name, pick(matchers), pick(thens))
		if r.IntN(3) == 0 {
			w.rule[name] = strings.Replace(w.rule[name], "then:", `for: "*@two.example", then:`, 1)
			if strings.Count(w.rule[name], "for:") > 1 {
				w.rule[name] = strings.Replace(w.rule[name], `for: "*@two.example", `, "", 1)
			}
		}
	}
	for range r.IntN(3) {
		w.entries = append(w.entries, pick([]string{"deny: {sender: \"@b.example\"}", "allow: {client: 198.51.100.7}", "deny: {recipient: \"@two.example\"}",
			"allow: {sender: \"@b.example\"}", "deny: {client: 203.0.113.1}"}))
	}
	w.env = envelope("c@one.example")
	if r.IntN(3) == 0 {
		w.env = envelope("c@one.example", "d@two.example")
	}
	var found []string
	for range r.IntN(7) {
		if c := pick(codes); !slices.Contains(found, c) {
			found = append(found, c)
		}
	}
	w.rep = report(found...)
	w.rep.Auth.DMARC = filters.DMARC{Result: pick([]string{"none", "fail", "pass"}), Disposition: pick([]string{"", "none", "quarantine", "reject"})}
	if r.IntN(4) == 0 {
		w.rep.Failures = []filters.Failure{{Filter: "clamd", Error: "timeout"}}
	}
	if r.IntN(2) == 0 {
		w.rep.Attachments = []filters.Attachment{{Name: "a.docm", Macro: true}}
	}
	return w
}

// yaml is the policy file, with rules and entries replaced where they are taken away, so that lines stay where they are.
func (w *world) yaml(gone []string) string {
	s := w.weights + w.failures + "access:\n"
	for i, e := range w.entries {
		at := fmt.Sprintf("access.%s policy.yaml:%d", e[:strings.Index(e, ":")], i+4)
		if slices.Contains(gone, at) {
			e = "deny: {client: 192.0.2.99}"
		}
		s += "  - " + e + "\n"
	}
	s += "rules:\n"
	for _, name := range w.rules {
		if !slices.Contains(gone, name) {
			s += w.rule[name]
		}
	}
	for _, name := range gone {
		if slices.Contains(w.shipped, name) {
			s += "  - {name: " + name + ", mode: off}\n"
		}
	}
	return s
}

// judge judges the world with some causes taken away.
func (w *world) judge(t *testing.T, gone ...string) Decision {
	t.Helper()
	rep := *w.rep
	rep.Findings = slices.DeleteFunc(slices.Clone(rep.Findings), func(f filters.Finding) bool { return slices.Contains(gone, f.Code) })
	rep.Failures = slices.DeleteFunc(slices.Clone(rep.Failures), func(f filters.Failure) bool { return slices.Contains(gone, "not_run."+f.Filter) })
	return parse(t, w.yaml(gone)).Decide(w.env, &rep)
}

const worlds = 500

// TestExplanationsAreTrue proves BETS 1: (a) the weights add up to the score, (b) without what decided the action is
// another, (c) without any one other thing it is the same, (d) with any one change of would-pass the message passes.
func TestExplanationsAreTrue(t *testing.T) {
	n := map[string]int{}
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		d := w.judge(t)
		n[string(d.Action)]++
		sumsUp(t, seed, w, d)
		if len(d.Decided) > 0 {
			if slices.Contains(d.Decided, andMore) {
				n["incomplete"]++
				continue
			}
			if got := w.judge(t, d.Decided...); got.Action == d.Action {
				t.Errorf("seed %d: (b) without %v it is still %s\n%s", seed, d.Decided, got.Action, w.yaml(nil))
			}
		}
		var others []string
		others = append(others, w.rules...)
		for _, f := range w.rep.Findings {
			others = append(others, f.Code)
		}
		for _, f := range w.rep.Failures {
			others = append(others, "not_run."+f.Filter)
		}
		for _, o := range others {
			if slices.Contains(d.Decided, o) || d.Action == Accept && len(d.Decided) == 0 {
				continue
			}
			if got := w.judge(t, o); got.Action != d.Action {
				t.Errorf("seed %d: (c) %s decided by %v, yet without %s it is %s\n%s%v", seed, d.Action, d.Decided, o, got.Action, w.yaml(nil), d)
			}
		}
		passesWith(t, seed, w, d)
	}
	t.Log(n)
	if n["incomplete"] > worlds/100 {
		t.Errorf("%d explanations are incomplete", n["incomplete"])
	}
}

// sumsUp is (a), for every recipient and for the findings of the result.
func sumsUp(t *testing.T, seed uint64, w *world, d Decision) {
	t.Helper()
	for _, v := range d.Recipients {
		var sum Points
		for _, r := range v.Because {
			sum += r.Weight
		}
		if sum != v.Score {
			t.Errorf("seed %d: (a) the reasons of %s add up to %s, not %s: %v", seed, v.Address, sum, v.Score, v.Because)
		}
	}
	var sum Points
	for _, f := range NewResult(w.env, w.rep, d).Findings {
		sum += f.Weight
	}
	if sum != d.Score {
		t.Errorf("seed %d: (a) the findings add up to %s, not %s", seed, sum, d.Score)
	}
}

// passesWith is (d): each promise, carried out on the facts, lets the message pass.
func passesWith(t *testing.T, seed uint64, w *world, d Decision) {
	t.Helper()
	for _, promise := range d.WouldPass {
		got := w.fulfil(t, promise, d)
		if got.Action != Accept && got.Action != Tag {
			t.Errorf("seed %d: (d) %s: promised %q, yet it is %s\n%s", seed, d.Action, promise, got.Action, w.yaml(nil))
		}
	}
}

// fulfil carries out one line of would-pass.
func (w *world) fulfil(t *testing.T, promise string, d Decision) Decision {
	t.Helper()
	changed := *w
	rep := *w.rep
	changed.rep = &rep
	what := strings.Fields(promise)
	switch {
	case strings.HasPrefix(promise, "DKIM for "):
		auth := *rep.Auth
		auth.DMARC = filters.DMARC{Result: "pass"}
		auth.Domain = what[2]
		rep.Auth = &auth
		rep.Findings = append(slices.DeleteFunc(slices.Clone(rep.Findings), func(f filters.Finding) bool {
			return strings.HasPrefix(f.Code, "dkim.")
		}), filters.Finding{Code: "dkim.pass"})
		return changed.judge(t, "dmarc.fail")
	case strings.HasPrefix(promise, "score below "):
		rep.Findings = append(slices.Clone(rep.Findings), filters.Finding{Code: "x.relief"})
		changed.weights = strings.Replace(w.weights, "}", fmt.Sprintf("x.relief: -%s}", d.Score-8000+1), 1)
		return changed.judge(t)
	case strings.HasPrefix(promise, "without the access entry at "):
		return changed.judge(t, "access.deny "+what[5])
	case promise == "without the attachment":
		rep.Attachments = []filters.Attachment{}
		return changed.judge(t, "attach.macro", "attach.eicar")
	case strings.HasPrefix(promise, "without "):
		return changed.judge(t, what[1])
	case strings.HasPrefix(promise, "rule "):
		return changed.judge(t, what[1])
	case strings.HasSuffix(promise, " had answered"):
		return changed.judge(t, "not_run."+what[0])
	}
	t.Fatalf("nobody knows how to fulfil %q", promise)
	return Decision{}
}

// TestSettledIsNeverWrong adds more findings to worlds that are settled: the action stays.
func TestSettledIsNeverWrong(t *testing.T) {
	settled := 0
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		p := parse(t, w.yaml(nil))
		early := *w.rep
		early.Attachments, early.Text, early.URLs = nil, nil, nil
		if seed%2 == 0 {
			early.Auth = nil
		}
		early.Failures = nil
		if !p.Settled(w.env, &early) {
			continue
		}
		settled++
		for _, more := range codes {
			late := early
			late.Auth, late.Attachments, late.URLs, late.Text = w.rep.Auth, w.rep.Attachments, []filters.URL{}, &filters.Text{}
			late.Findings = append(slices.Clone(early.Findings), report(more).Findings...)
			late.Failures = w.rep.Failures
			if d := p.Decide(w.env, &late); d.Action != Reject && d.Action != Defer {
				t.Errorf("seed %d: settled, and with %s it is %s\n%s", seed, more, d.Action, w.yaml(nil))
			}
		}
	}
	t.Logf("%d of %d were settled", settled, worlds)
	if settled < worlds/20 {
		t.Errorf("only %d of %d were settled: the test proves little", settled, worlds)
	}
}
