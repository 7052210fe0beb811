package policy

import (
	"slices"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Decide judges a report. It is pure: the same envelope, report and policy give the same decision, today and in a replay.
func (p *Policy) Decide(env *mail.Envelope, rep *filters.Report) Decision {
	j := newJudge(p, env, rep)
	groups := j.groups()
	for i := range groups {
		groups[i].outcome = j.judge(groups[i].rcpt, true)
	}
	d := foldGroups(env, groups)
	d.Decided, d.WouldPass = j.explain(groups, d.Action)
	d.Reply = replyFor(env.ID, &d, groups)
	return d
}

// A group is recipients whom the policy cannot tell apart.
type group struct {
	rcpt    string // one of them, canonical
	members []int  // indexes into the envelope's recipients
	outcome outcome
}

// groups parts the recipients by the rules and entries that are about recipients. A message that has none yet is one group.
func (j *judge) groups() []group {
	rcpts := j.env.Rcpts
	switch len(rcpts) {
	case 0:
		return []group{{}}
	case 1:
		return []group{{rcpt: rcpts[0].Canonical(), members: []int{0}}}
	}
	var about []func(rcpt string) bool
	for _, r := range j.p.rules {
		if r.rcpts != nil {
			about = append(about, func(rcpt string) bool { return r.rcpts.has(rcpt, j.env.Time) })
		}
	}
	for _, e := range j.p.access.entries {
		if e.rcpt != nil {
			about = append(about, func(rcpt string) bool { return e.rcpt.has(rcpt, j.env.Time) })
		}
	}
	if len(about) == 0 {
		g := group{rcpt: rcpts[0].Canonical(), members: make([]int, len(rcpts))}
		for i := range g.members {
			g.members[i] = i
		}
		return []group{g}
	}
	return part(rcpts, about)
}

// part puts recipients together for which every question has the same answer, in order of first appearance.
func part(rcpts []mail.Address, about []func(string) bool) []group {
	var groups []group
	index := map[string]int{}
	key := make([]byte, len(about))
	for i, r := range rcpts {
		rcpt := r.Canonical()
		for k, has := range about {
			key[k] = '0'
			if has(rcpt) {
				key[k] = '1'
			}
		}
		g, ok := index[string(key)]
		if !ok {
			g = len(groups)
			index[string(key)] = g
			groups = append(groups, group{rcpt: rcpt})
		}
		groups[g].members = append(groups[g].members, i)
	}
	return groups
}

// foldGroups makes one decision of what the recipients deserve (ARCHITECTURE 5): any defer defers all, for nothing has
// left yet; reject only if unanimous; else the rejected copies are quarantined. Never a bounce, never a silent drop.
func foldGroups(env *mail.Envelope, groups []group) Decision {
	actions := make([]Action, len(groups))
	for i := range groups {
		actions[i] = groups[i].outcome.action
	}
	all, reply := foldActions(actions)
	d := Decision{Action: reply, Recipients: make([]Verdict, len(env.Rcpts))}
	for i := range groups {
		g := &groups[i]
		o := &g.outcome
		because := o.because
		switch {
		case all[i] == o.action:
		case all[i] == Defer:
			because = append(slices.Clip(because), Reason{Text: "Another recipient's copy must wait, so all wait."})
		default:
			because = append(slices.Clip(because), Reason{Text: "Recipients disagree: this copy would be refused, others are taken."})
		}
		if i == 0 || o.score > d.Score {
			d.Score = o.score
		}
		if o.class.weighsMore(d.Class) {
			d.Class = o.class
		}
		for _, m := range g.members {
			d.Recipients[m] = Verdict{Address: env.Rcpts[m].String(), Action: all[i], Wanted: o.action, Score: o.score, Because: because, Redirect: o.route, Bcc: o.bcc, Greylist: o.grey && all[i] == o.action}
		}
		d.Monitored = merge(d.Monitored, o.monitored)
		d.Unknown = merge(d.Unknown, o.unknown)
	}
	d.modify(groups)
	return d
}

// foldActions gives each group's action after the fold and the action of the one reply.
func foldActions(actions []Action) (all []Action, reply Action) {
	all = slices.Clone(actions)
	if slices.Contains(actions, Defer) {
		for i := range all {
			all[i] = Defer
		}
		return all, Defer
	}
	if !slices.ContainsFunc(actions, func(a Action) bool { return a != Reject }) {
		return all, Reject
	}
	reply = Discard
	for i := range all {
		if all[i] == Reject {
			all[i] = Quarantine
		}
		if severity(all[i]) < severity(reply) {
			reply = all[i]
		}
	}
	return all, reply
}

// weighsMore orders classes for a message whose recipients differ.
func (c Class) weighsMore(than Class) bool {
	order := []Class{Clean, ByRule, Spam, Phish, Malware}
	return slices.Index(order, c) > slices.Index(order, than)
}

// merge adds reasons that are not there yet.
func merge(have, more []Reason) []Reason {
	for _, m := range more {
		if !slices.Contains(have, m) {
			have = append(have, m)
		}
	}
	return have
}

// modify says what to add and strip: for all copies in the decision, for some in their verdicts.
func (d *Decision) modify(groups []group) {
	d.AddHeaders = slices.Clone(groups[0].outcome.headers)
	d.Strip = groups[0].outcome.strip
	for i := range groups[1:] {
		o := &groups[i+1].outcome
		d.AddHeaders = slices.DeleteFunc(d.AddHeaders, func(h HeaderField) bool { return !slices.Contains(o.headers, h) })
		if !slices.Equal(o.strip, d.Strip) {
			d.Strip = nil
		}
	}
	for i := range groups {
		o := &groups[i].outcome
		for _, m := range groups[i].members {
			v := &d.Recipients[m]
			for _, h := range o.headers {
				if !slices.Contains(d.AddHeaders, h) {
					v.AddHeaders = append(v.AddHeaders, h)
				}
			}
			if d.Strip == nil {
				v.Strip = o.strip
			}
		}
	}
	if len(d.AddHeaders) == 0 {
		d.AddHeaders = nil
	}
}

// Settled reports whether no further finding could change what is to be done: every recipient's copy is refused, or
// one of them is deferred, by something that is certain already. Costly filters need not run then.
func (p *Policy) Settled(env *mail.Envelope, rep *filters.Report) bool {
	if !p.mayRefuse(env, rep) {
		return false
	}
	j := newJudge(p, env, rep)
	j.open = true
	j.facts.open = true
	groups := j.groups()
	refused := 0
	for i := range groups {
		switch j.certain(groups[i].rcpt) {
		case Defer:
			return true
		case Reject:
			refused++
		}
	}
	return refused == len(groups)
}

// mayRefuse is a quick no for the many messages that nothing speaks against.
func (p *Policy) mayRefuse(env *mail.Envelope, rep *filters.Report) bool {
	if len(rep.Findings) > 0 || len(p.access.entries) > 0 {
		return true
	}
	for _, r := range p.rules {
		if !r.monitor && (r.then.action == Reject || r.then.action == Defer) && !r.hasFindings() {
			return true
		}
	}
	return false
}

// certain is Reject or Defer where that is certain for one recipient, else "".
func (j *judge) certain(rcpt string) Action {
	q := question{at: Rcpt, env: j.env, now: j.env.Time, sender: j.sender, rcpt: rcpt}
	if j.rep.Auth != nil && j.rep.Message != nil {
		q.at, q.author, q.auth = atEnd, j.author, j.rep.Auth
	}
	switch e := j.p.access.first(&q); {
	case e != nil && !e.allow:
		return Reject
	case e != nil || j.p.access.mayAllow(&q, int32(len(j.p.access.entries))):
		return ""
	}
	for _, r := range j.p.rules {
		if r.monitor || r.then.action == "" || r.rcpts != nil && !r.rcpts.has(rcpt, j.env.Time) {
			continue
		}
		matched, unknown := r.matches(j)
		switch {
		case matched && (r.then.action == Reject || r.then.action == Defer):
			return r.then.action
		case matched || unknown != "" && r.then.action != Reject:
			return ""
		}
	}
	least := j.base() + j.p.relief
	if t := &j.p.thresholds[2]; !t.off && t.action == Reject && least >= t.points {
		return Reject
	}
	return ""
}
