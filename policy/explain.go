package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// maxCauses bounds how many reasons an explanation tries one by one; the heaviest come first.
const maxCauses = 48

// A cause is one thing that could be put aside.
type cause struct {
	name   string
	weight Points
	rule   *rule
	entry  *entry
	filter string
	code   string
}

// with is a with one more cause put aside.
func (a aside) with(c cause) aside {
	switch {
	case c.rule != nil:
		a.rules = append(slices.Clip(a.rules), c.rule)
	case c.entry != nil:
		a.entry = c.entry
	case c.filter != "":
		a.failures = append(slices.Clip(a.failures), c.filter)
	default:
		a.codes = append(slices.Clip(a.codes), c.code)
	}
	return a
}

// act is the action of the one reply with some things put aside.
func (j *judge) act(groups []group, a aside) Action {
	j.reset(a)
	var room [4]Action
	actions := room[:0]
	for i := range groups {
		actions = append(actions, j.judge(groups[i].rcpt, false).action)
	}
	if len(actions) == 1 {
		return actions[0]
	}
	_, reply := foldActions(actions)
	return reply
}

// explain finds what decided, and what would have let the message pass. What decided is the smallest set of causes
// without which the action would be another: those of which each alone is needed, or where none is, the heaviest
// that together are.
func (j *judge) explain(groups []group, was Action) (decided, wouldPass []string) {
	if !j.needsExplaining(groups, was) {
		return nil, nil
	}
	causes := j.causes(groups)
	var set []cause
	var rest []cause
	for _, c := range causes {
		if j.act(groups, aside{}.with(c)) != was {
			set = append(set, c)
		} else {
			rest = append(rest, c)
		}
	}
	needed := len(set)
	put := func(skip int) aside {
		var a aside
		for i, c := range set {
			if i != skip {
				a = a.with(c)
			}
		}
		return a
	}
	for len(rest) > 0 && (len(set) == 0 || j.act(groups, put(-1)) == was) {
		set, rest = append(set, rest[0]), rest[1:]
	}
	for i := len(set) - 1; i >= needed; i-- {
		if len(set) > 1 && j.act(groups, put(i)) != was {
			set = slices.Delete(set, i, i+1)
		}
	}
	for _, c := range set {
		decided = append(decided, c.name)
	}
	return decided, j.wouldPass(groups, was, set)
}

// needsExplaining leaves out the many messages that pass because nothing speaks against them.
func (j *judge) needsExplaining(groups []group, was Action) bool {
	if was != Accept {
		return true
	}
	for i := range groups {
		if o := &groups[i].outcome; o.entry != nil || o.rule != nil || o.action != Accept {
			return true
		}
	}
	var against Points
	for i := range j.weighed {
		against += max(j.weighed[i].points, 0)
	}
	for _, t := range j.p.thresholds {
		if !t.off && t.action != "" && against >= t.points {
			return true
		}
	}
	return false
}

// causes lists what can be put aside, heaviest first: entries and rules before failures before findings.
func (j *judge) causes(groups []group) []cause {
	var out []cause
	for _, r := range j.p.rules {
		if m := j.memo[r.order]; r.monitor || m.known && !m.matched && (r.when == nil || !r.when.score) {
			continue
		}
		if matched, _ := j.ask(r); matched {
			out = append(out, cause{name: r.name, rule: r, weight: maxPoints * 1000})
		}
	}
	for i := range groups {
		if e := groups[i].outcome.entry; e != nil && !slices.ContainsFunc(out, func(c cause) bool { return c.entry == e }) {
			out = append(out, cause{name: e.name(), entry: e, weight: maxPoints * 1000})
		}
	}
	for _, f := range j.rep.Failures {
		out = append(out, cause{name: notRun + f.Filter, filter: f.Filter, weight: maxPoints})
	}
	for i := range j.weighed {
		out = append(out, cause{name: j.weighed[i].code, code: j.weighed[i].code, weight: j.weighed[i].points})
	}
	slices.SortStableFunc(out, func(a, b cause) int { return cmp.Compare(magnitude(b.weight), magnitude(a.weight)) })
	return out[:min(len(out), maxCauses)]
}

func magnitude(p Points) Points { return max(p, -p) }

// wouldPass lists single changes with which the message would be delivered; each was tried.
func (j *judge) wouldPass(groups []group, was Action, decided []cause) []string {
	if was == Accept || was == Tag {
		return nil
	}
	var out []string
	if domain, rep, ok := authenticated(j.env, j.rep); ok && j.p.passes(j.env, rep, groups) {
		out = append(out, "DKIM for "+domain+" verified")
	}
	passes := func(a aside) bool {
		act := j.act(groups, a)
		return act == Accept || act == Tag
	}
	if passes(aside{scoring: true}) {
		if least, ok := j.p.leastHeld(); ok {
			out = append(out, "score below "+least.String())
		}
	}
	for _, c := range decided {
		if !passes(aside{}.with(c)) {
			continue
		}
		switch {
		case c.filter != "":
			out = append(out, c.filter+" had answered")
		case c.rule != nil:
			out = append(out, "rule "+c.name+" had not matched")
		case c.entry != nil:
			out = append(out, "without the access entry at "+c.entry.at)
		default:
			out = append(out, "without "+c.name)
		}
	}
	if len(j.rep.Attachments) > 0 && j.p.passes(j.env, unattached(j.rep), groups) {
		out = append(out, "without "+countOf(len(j.rep.Attachments), "attachment"))
	}
	return out
}

// leastHeld is the lowest threshold that keeps a message from being delivered.
func (p *Policy) leastHeld() (Points, bool) {
	for _, t := range p.thresholds[1:] {
		if !t.off && t.action != "" {
			return t.points, true
		}
	}
	return 0, false
}

// passes reports whether a report, with the same recipients, would be delivered.
func (p *Policy) passes(env *mail.Envelope, rep *filters.Report, groups []group) bool {
	act := newJudge(p, env, rep).act(groups, aside{})
	return act == Accept || act == Tag
}

// authenticated is the report as if the author's domain had signed. ok is false if that changes nothing.
func authenticated(env *mail.Envelope, rep *filters.Report) (domain string, edited *filters.Report, ok bool) {
	if rep.Auth == nil || rep.Message == nil || rep.Message.FromDomain == "" || rep.Auth.DMARC.Result == "pass" {
		return "", nil, false
	}
	domain = rep.Message.FromDomain
	r, a := *rep, *rep.Auth
	a.DKIM = append([]filters.DKIM{{Result: "pass", Domain: domain, Aligned: true}}, a.DKIM...)
	a.Domain, a.By = domain, "dkim"
	a.DMARC.Disposition = ""
	a.DMARC.Result = "pass"
	r.Auth = &a
	r.Findings = slices.DeleteFunc(slices.Clone(rep.Findings), func(f filters.Finding) bool {
		return covers("dmarc.*", f.Code) || covers("dkim.*", f.Code)
	})
	return domain, &r, true
}

// unattached is the report as if the message had no attachments.
func unattached(rep *filters.Report) *filters.Report {
	r := *rep
	r.Attachments = []filters.Attachment{}
	r.Findings = slices.DeleteFunc(slices.Clone(rep.Findings), func(f filters.Finding) bool { return strings.HasPrefix(f.Code, "attach.") })
	return &r
}

// countOf is "1 attachment" or "3 attachments".
func countOf(n int, noun string) string {
	if n == 1 {
		return "the " + noun
	}
	return "the " + strconv.Itoa(n) + " " + noun + "s"
}
