package policy

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A Past is one judgment of before: what was known, and what came of it.
type Past struct {
	Envelope *mail.Envelope
	Report   *filters.Report
	Was      *Decision
}

// Differences is what a draft policy would have done otherwise.
type Differences struct {
	Judged      int          `json:"judged"`
	Unknown     int          `json:"unknown"` // messages for which the recorded facts do not tell
	Differences []Difference `json:"differences"`
	Untold      []Untold     `json:"untold,omitempty"` // the first of those that are unknown, at most 20
}

// An Untold is a message for which the recorded facts do not tell what a draft would do, and what they lack.
type Untold struct {
	ID    string `json:"id"`
	Lacks string `json:"lacks"`
}

const maxUntold = 20

// miss notes a message for which the facts do not tell.
func (d *Differences) miss(e *mail.Envelope, lacks string) {
	d.Unknown++
	if len(d.Untold) < maxUntold && e != nil {
		d.Untold = append(d.Untold, Untold{e.ID, lacks})
	}
}

// A Difference is one message that would have been treated otherwise.
type Difference struct {
	ID      string   `json:"id"`
	Was     Action   `json:"was"`
	Now     Action   `json:"now"`
	Because []Reason `json:"because"` // the reasons of the recipient who fares worst
	From    string   `json:"from"`
	Rcpt    string   `json:"rcpt"` // the recipient that the reasons are about
	Subject string   `json:"subject,omitempty"`
}

// Replay judges past messages under a draft. It needs no network. A message is unknown if a rule of the draft asks
// for a fact that was not recorded and that rule could make a difference; a policy replayed over what it judged
// itself gives no differences. Newly refused messages come first.
func Replay(past iter.Seq[Past], draft *Policy) Differences {
	out := Differences{Differences: []Difference{}}
	for p := range past {
		if p.Envelope == nil || p.Report == nil || p.Was == nil {
			out.miss(p.Envelope, "no judgment was recorded")
			continue
		}
		out.Judged++
		now := draft.Decide(p.Envelope, p.Report)
		worst, differs := compareVerdicts(p.Was, &now)
		if what := lacks(p.Was, &now); what != "" {
			out.miss(p.Envelope, what)
			continue
		}
		if !differs {
			continue
		}
		d := Difference{ID: p.Envelope.ID, Was: p.Was.Action, Now: now.Action, Because: []Reason{}, From: p.Envelope.From.String()}
		if worst >= 0 {
			v := &now.Recipients[worst]
			d.Rcpt, d.Because = v.Address, some(v.Because)
			if worst < len(p.Was.Recipients) && p.Was.Action == now.Action {
				d.Was, d.Now = p.Was.Recipients[worst].Action, v.Action
			}
		}
		if p.Report.Message != nil {
			d.Subject = p.Report.Message.Subject
		}
		out.Differences = append(out.Differences, d)
	}
	SortDifferences(out.Differences)
	return out
}

// SortDifferences puts newly refused messages first.
func SortDifferences(list []Difference) {
	slices.SortStableFunc(list, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(severity(b.Now)-severity(b.Was), severity(a.Now)-severity(a.Was)),
			cmp.Compare(severity(b.Now), severity(a.Now)), strings.Compare(a.ID, b.ID))
	})
}

// lacks says which rule a draft could not decide for want of a fact that the judgment of then did have; empty if it could.
func lacks(was, now *Decision) string {
	for _, u := range now.Unknown {
		known := slices.ContainsFunc(was.Unknown, func(w Reason) bool { return w.Text == u.Text })
		if !known {
			return strings.Join([]string{u.Rule, u.At, u.Text}, " ")
		}
	}
	return ""
}

// compareVerdicts reports whether any recipient's copy is treated otherwise, and which one changes most.
func compareVerdicts(was, now *Decision) (worst int, differs bool) {
	worst = -1
	change := 0
	for i := range now.Recipients {
		n := &now.Recipients[i]
		if i >= len(was.Recipients) {
			return worst, true
		}
		w := &was.Recipients[i]
		if w.Action == n.Action && w.Redirect == n.Redirect {
			continue
		}
		differs = true
		if by := severity(n.Action) - severity(w.Action); worst < 0 || by > change {
			worst, change = i, by
		}
	}
	return worst, differs || was.Action != now.Action
}

// A Change is one difference between two policies.
type Change struct {
	What string `json:"what"`          // "rule macro-from-stranger", "weight dmarc.fail"
	Was  string `json:"was,omitempty"` // empty: it is new
	Now  string `json:"now,omitempty"` // empty: it is gone
	At   string `json:"at"`
}

// String is the change in one line.
func (c Change) String() string {
	at := ""
	if c.At != "" {
		at = " (" + c.At + ")"
	}
	switch {
	case c.Was == "":
		return "+ " + c.What + ": " + c.Now + at
	case c.Now == "":
		return "- " + c.What + ": " + c.Was
	}
	return "~ " + c.What + ": " + c.Was + " -> " + c.Now + at
}

// Diff lists what b has otherwise than a: thresholds, weights, failures, classes, lists, access, limits and rules.
func Diff(a, b *Policy) []Change {
	was, now := a.inventory(), b.inventory()
	var out []Change
	for _, k := range slices.Sorted(maps.Keys(now)) {
		if w, ok := was[k]; !ok || w.text != now[k].text {
			out = append(out, Change{What: k, Was: w.text, Now: now[k].text, At: now[k].at})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(was)) {
		if _, ok := now[k]; !ok {
			out = append(out, Change{What: k, Was: was[k].text, At: was[k].at})
		}
	}
	if order(a) != order(b) && !slices.ContainsFunc(out, func(c Change) bool { return strings.HasPrefix(c.What, "rule ") }) {
		out = append(out, Change{What: "order of rules", Was: order(a), Now: order(b)})
	}
	return out
}

func order(p *Policy) string { return strings.Join(p.Rules(), ", ") }

// A thing is one part of a policy in words.
type thing struct{ text, at string }

// inventory is every part of a policy under its name.
func (p *Policy) inventory() map[string]thing {
	m := map[string]thing{}
	for _, t := range p.thresholds {
		text := t.points.String()
		if t.off {
			text = "off"
		}
		m["threshold "+string(t.action)] = thing{text, t.at}
	}
	if g := p.greylist; g.points > 0 && !g.off {
		m["threshold greylist"] = thing{g.points.String(), g.at}
	}
	for code, w := range p.weights {
		m["weight "+family(code)] = thing{w.points.String(), w.at}
	}
	for code, c := range p.classes {
		m["class of "+family(code)] = thing{string(c), ""}
	}
	for f, a := range p.failures {
		m["failure of "+f] = thing{string(a.action), a.at}
	}
	for _, l := range p.limits {
		m["limit "+l.Name] = thing{fmt.Sprintf("%s by %s, %d in %s", l.Count, l.Key, l.Most, l.Window), l.At}
	}
	for name, l := range p.lists {
		m["list "+name] = thing{l.summary(), ""}
	}
	seen := map[string]int{}
	for _, e := range p.access.entries {
		k := e.name() + " " + e.source
		if seen[k]++; seen[k] > 1 {
			k = fmt.Sprintf("%s (%d)", k, seen[k])
		}
		m[k] = thing{e.standing(), e.at}
	}
	for _, r := range p.rules {
		m["rule "+r.name] = thing{r.source, r.at}
	}
	return m
}

// family writes a code's family with its star.
func family(code string) string {
	if strings.HasSuffix(code, ".") {
		return code + "*"
	}
	return code
}

// standing is how an entry counts, beside whom it is about.
func (e *entry) standing() string {
	s := "in force"
	if !e.expires.end.IsZero() {
		s = "until " + e.expires.end.Format("2006-01-02")
	}
	if e.unsafe {
		s += ", unsafe"
	}
	return s
}

// summary is a list's contents in a form that is equal for equal lists.
func (l *list) summary() string {
	var all []string
	all = slices.AppendSeq(all, maps.Keys(l.domains.exact))
	for d := range l.domains.below {
		all = append(all, "*."+d)
	}
	all = slices.AppendSeq(all, maps.Keys(l.addresses))
	for n := range l.networks.nets {
		all = append(all, n.String())
	}
	all = slices.AppendSeq(all, maps.Keys(l.people))
	all = slices.AppendSeq(all, maps.Keys(l.words))
	slices.Sort(all)
	if len(all) > 20 {
		sum := fmt.Sprintf("%d entries, checksum %08x", len(all), checksum(all))
		return sum
	}
	return strings.Join(all, ", ")
}
