package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// maxCauses bounds how many things an explanation puts aside one by one; the heaviest come first.
const maxCauses = 48

// andMore ends a list of causes that is not complete.
const andMore = "and more"

// A cause is one thing that could be put aside: a rule, an entry, a failure or a finding.
type cause struct {
	weight Points
	rule   *rule
	entry  *entry
	filter string
	code   string
}

// name is what an explanation calls a cause.
func (c cause) name() string {
	switch {
	case c.rule != nil:
		return c.rule.name
	case c.entry != nil:
		return c.entry.name() + " " + c.entry.at
	case c.filter != "":
		return notRun + c.filter
	}
	return c.code
}

// with is a with one more cause put aside.
func (a aside) with(c cause) aside {
	switch {
	case c.rule != nil:
		a.rules = append(slices.Clip(a.rules), c.rule)
	case c.entry != nil:
		a.entries = append(slices.Clip(a.entries), c.entry)
	case c.filter != "":
		a.failures = append(slices.Clip(a.failures), c.filter)
	default:
		a.codes = append(slices.Clip(a.codes), c.code)
	}
	return a
}

// act is the action of the one reply with some things put aside. The outcomes stay in again for a closer look.
func (j *judge) act(groups []group, a aside) Action {
	j.reset(a)
	var room [4]Action
	actions := room[:0]
	j.again = j.again[:0]
	for i := range groups {
		o := j.judge(groups[i].rcpt, false)
		j.again = append(j.again, o)
		actions = append(actions, o.action)
	}
	if len(actions) == 1 {
		return actions[0]
	}
	_, reply := foldActions(actions)
	return reply
}

// explain finds what decided, and what would have let the message pass. What decided is a smallest set of causes
// without which the action would be another: all of which each alone is needed, or, where that is not enough, the
// heaviest that together are.
func (j *judge) explain(groups []group, was Action) (decided, wouldPass []string) {
	if !j.needsExplaining(groups, was) {
		return nil, nil
	}
	var set []cause
	for _, c := range j.causes(groups) {
		if j.act(groups, aside{}.with(c)) != was {
			set = append(set, c)
		}
	}
	needed := len(set)
	complete := true
	for len(set) == 0 || j.act(groups, without(set, -1)) == was {
		c, ok := j.next(groups, was, without(set, -1))
		if !ok || len(set) == maxCauses {
			complete = false
			break
		}
		set = append(set, c)
	}
	for i := len(set) - 1; i >= needed && complete; i-- {
		if len(set) > 1 && j.act(groups, without(set, i)) != was {
			set = slices.Delete(set, i, i+1)
		}
	}
	if !complete && was == Accept { // what allowed it made no difference: it would have been accepted anyway
		set, complete = set[:needed], true
	}
	for _, c := range set {
		decided = append(decided, c.name())
	}
	if !complete && len(set) > 0 {
		decided = append(decided, andMore)
	}
	return decided, j.wouldPass(groups, was, set)
}

// without puts a set of causes aside, except the one numbered keep.
func without(set []cause, keep int) (a aside) {
	for i, c := range set {
		if i != keep {
			a = a.with(c)
		}
	}
	return a
}

// next is what decides once a is put aside: the rule, the entry, a failure, or the heaviest finding of the score.
func (j *judge) next(groups []group, was Action, a aside) (cause, bool) {
	j.act(groups, a)
	actions := make([]Action, len(j.again))
	for i := range j.again {
		actions[i] = j.again[i].action
	}
	all, _ := foldActions(actions)
	for i := range j.again {
		if o := &j.again[i]; all[i] == was && (was != Defer || o.action == Defer) {
			return j.decider(o, a)
		}
	}
	return cause{}, false
}

// decider is the cause behind one outcome.
func (j *judge) decider(o *outcome, a aside) (cause, bool) {
	switch {
	case len(o.failed) > 0:
		return cause{filter: o.failed[0]}, true
	case o.rule != nil:
		return cause{rule: o.rule}, true
	case o.entry != nil:
		return cause{entry: o.entry}, true
	}
	best := cause{}
	for i := range j.weighed {
		w := &j.weighed[i]
		points := w.points
		if o.action == Accept {
			points = -points
		}
		if o.threshold == nil && o.action == Quarantine && w.class == Malware { // the guard
			points = maxPoints
		}
		if points > best.weight && !slices.Contains(a.codes, w.code) {
			best = cause{code: w.code, weight: points}
		}
	}
	for _, r := range j.p.rules {
		points := r.then.score
		if o.action == Accept {
			points = -points
		}
		if r.monitor || points <= best.weight || slices.Contains(a.rules, r) {
			continue
		}
		if matched, _ := j.ask(r); matched {
			best = cause{rule: r, weight: points}
		}
	}
	return best, best.weight > 0
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

// causes lists what could be put aside by itself: the rules that matched, the entries that counted, failures and findings.
func (j *judge) causes(groups []group) []cause {
	var out []cause
	for _, r := range j.hits {
		out = append(out, cause{rule: r, weight: maxPoints * 1000})
	}
	for i := range groups {
		if e := groups[i].outcome.entry; e != nil && !slices.ContainsFunc(out, func(c cause) bool { return c.entry == e }) {
			out = append(out, cause{entry: e, weight: maxPoints * 1000})
		}
	}
	for _, f := range j.rep.Failures {
		out = append(out, cause{filter: f.Filter, weight: maxPoints})
	}
	for i := range j.weighed {
		out = append(out, cause{code: j.weighed[i].code, weight: j.weighed[i].points})
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
	if least, ok := j.p.leastHeld(); ok {
		var most Points
		for i := range groups {
			most = max(most, groups[i].outcome.score)
		}
		if most >= least && passes(aside{relief: most - least + 1}) {
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
			out = append(out, "rule "+c.rule.name+" had not matched")
		case c.entry != nil:
			out = append(out, "without the access entry at "+c.entry.at)
		default:
			out = append(out, "without "+c.code)
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
	r.Findings = append(r.Findings, filters.Finding{Filter: "auth", Code: "dkim.pass"})
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
