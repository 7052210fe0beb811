package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"gatepost/filters"
)

func TestOnlyMailThatWouldBeTakenIsDoubted(t *testing.T) {
	const base = "weights: {links.listed: 4.5}\n"
	for name, c := range map[string]struct {
		yaml string
		want bool
	}{
		"no threshold":             {base, false},
		"off":                      {base + "thresholds: {greylist: off}", false},
		"below the threshold":      {base + "thresholds: {greylist: 4.6}", false},
		"at the threshold":         {base + "thresholds: {greylist: 4.5}", true},
		"tagged as well":           {base + "thresholds: {greylist: 4, tag: 4.2}", true},
		"held anyway":              {base + "thresholds: {greylist: 4, tag: 4, quarantine: 4.5}", false},
		"a rule says so":           {base + "rules: [{name: r, from: '@b.example', then: greylist}]", true},
		"a rule for another":       {base + "rules: [{name: r, from: '@b.example', for: 'x@example.com', then: greylist}]", false},
		"a rule that only watches": {base + "rules: [{name: r, from: '@b.example', mode: monitor, then: greylist}]", false},
		"a rule that adds to it":   {base + "thresholds: {greylist: 5}\nrules: [{name: r, from: '@b.example', then: [greylist, {score: 1}]}]", true},
		"and one that holds":       {base + "rules: [{name: r, from: '@b.example', then: greylist}, {name: q, from: '@b.example', then: quarantine}]", false},
		"an allow entry":           {base + "thresholds: {greylist: 4}\naccess: [{allow: {sender: '@b.example', unsafe: true}}]", false},
	} {
		rep := report("links.listed")
		rep.Message = &filters.MessageFacts{From: "a@b.example"}
		d := decide(t, "version: 1\n"+c.yaml, rep)
		if d.Doubtful() != c.want {
			t.Errorf("%s: doubtful %v, %s", name, d.Doubtful(), d.Action)
		}
		because := d.Recipients[0].Because
		if told := strings.Contains(because[len(because)-1].Text, "greylist threshold"); told && !c.want {
			t.Errorf("%s: %v", name, because)
		}
		text, err := json.Marshal(d)
		if err != nil || strings.Contains(string(text), `"greylist":true`) != c.want {
			t.Errorf("%s: written as %s %v", name, text, err)
		}
	}
}

func TestDoubtIsEachRecipientsOwnAndNeverForRefusedMail(t *testing.T) {
	const rules = "version: 1\nrules:\n  - {name: doubt, for: 'a@example.com', then: greylist}\n  - {name: hold, for: 'b@example.com', then: quarantine}\n"
	d := decide(t, rules, report(), "a@example.com", "b@example.com", "c@example.com")
	for i, want := range []bool{true, false, false} {
		if d.Recipients[i].Greylist != want {
			t.Errorf("%s: %v", d.Recipients[i].Address, !want)
		}
	}
	d = decide(t, rules+"  - {name: later, for: 'c@example.com', then: defer}\n", report(), "a@example.com", "c@example.com")
	if d.Action != Defer || d.Doubtful() {
		t.Errorf("%s, doubtful %v: nothing leaves, so nobody is asked to wait", d.Action, d.Doubtful())
	}
}
