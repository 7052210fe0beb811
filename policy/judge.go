package policy

import (
	"slices"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A judge weighs one message. It is made for one Decide and asked once per group of recipients, and again, with
// parts of the facts put aside, to find out what decided.
type judge struct {
	p      *Policy
	env    *mail.Envelope
	rep    *filters.Report
	open   bool // more findings may come: what is not there yet is unknown
	sender string
	author string
	facts  facts
	aside  aside

	weighed []weighed
	memo    []memo    // by rule; rules that read the score are asked again
	hits    []*rule   // that matched and were acted on, while telling
	again   []outcome // the last of act
}

// aside is what a judge is to pass over, to see what would be without it.
type aside struct {
	codes    []string
	rules    []*rule
	entries  []*entry
	failures []string
	relief   Points // taken off the score
}

// weighed is one finding with what it adds; a code counts once.
type weighed struct {
	code, text, at string
	points         Points
	class          Class
}

// A memo remembers whether a rule matched.
type memo struct {
	known   bool
	matched bool
	unknown string
}

// An outcome is the judgment for one group of recipients.
type outcome struct {
	action    Action
	class     Class
	score     Points
	entry     *entry     // that decided
	rule      *rule      // that decided
	floor     *rule      // the strictest that says at_least
	threshold *threshold // that decided
	failed    []string   // filters whose failure decided
	because   []Reason
	monitored []Reason
	unknown   []Reason
	route     string
	bcc       []string
	headers   []HeaderField
	strip     []string
	grey      bool // doubtful: an unknown sender is to come again
	malware   bool // a rule of class malware says at_least, whoever decides in the end
}

// newJudge prepares the judging of one message.
func newJudge(p *Policy, env *mail.Envelope, rep *filters.Report) *judge {
	j := &judge{p: p, env: env, rep: rep, sender: env.From.Canonical()}
	if rep.Message != nil {
		j.author = strings.ToLower(rep.Message.From)
	}
	j.memo = make([]memo, len(p.rules))
	j.weighed = make([]weighed, 0, len(rep.Findings))
	for i := range rep.Findings {
		f := &rep.Findings[i]
		if j.isWeighed(f.Code) {
			continue
		}
		w := p.weightOf(f.Code)
		j.weighed = append(j.weighed, weighed{f.Code, f.Text, w.at, w.points, p.classOf(f.Code)})
	}
	j.facts = facts{env: env, rep: rep}
	return j
}

func (j *judge) isWeighed(code string) bool {
	for i := range j.weighed {
		if j.weighed[i].code == code {
			return true
		}
	}
	return false
}

// reset forgets what was remembered and passes over what is put aside. What rules say that look at no findings is kept: to put
// aside findings, entries or failures changes nothing that they see, and expressions are what judging costs.
func (j *judge) reset(a aside) {
	for i, r := range j.p.rules {
		if r.hasFindings() || r.when != nil && r.when.found {
			j.memo[i] = memo{}
		}
	}
	j.aside = a
	j.facts.gone = a.codes
}

// found reports whether a finding that r asks for is there.
func (j *judge) found(r *rule) bool {
	for i := range j.weighed {
		w := &j.weighed[i]
		if slices.Contains(j.aside.codes, w.code) {
			continue
		}
		for _, pattern := range r.finding {
			if covers(pattern, w.code) {
				return true
			}
		}
		if slices.Contains(r.classes, w.class) {
			return true
		}
		if r.severities == nil {
			continue
		}
		if defect, ok := strings.CutPrefix(w.code, "defect."); ok && slices.Contains(r.severities, mail.SeverityOf(defect)) {
			return true
		}
	}
	return false
}

// malware reports whether a finding is of class malware.
func (j *judge) malware() bool {
	for i := range j.weighed {
		if j.weighed[i].class == Malware && !slices.Contains(j.aside.codes, j.weighed[i].code) {
			return true
		}
	}
	return false
}

// base is the sum of the findings.
func (j *judge) base() (sum Points) {
	for i := range j.weighed {
		if w := &j.weighed[i]; w.points != 0 && !slices.Contains(j.aside.codes, w.code) {
			sum += w.points
		}
	}
	return sum - j.aside.relief
}

// ask tells whether a rule matches, now that the score is what it is.
func (j *judge) ask(r *rule) (matched bool, unknown string) {
	if slices.Contains(j.aside.rules, r) {
		return false, ""
	}
	m := &j.memo[r.order]
	if !m.known || r.when != nil && r.when.score {
		m.matched, m.unknown = r.matches(j)
		m.known = true
	}
	return m.matched, m.unknown
}

// judge gives the outcome for one recipient. tell collects reasons; without it only action and class are of use.
func (j *judge) judge(rcpt string, tell bool) outcome {
	o := outcome{score: j.base()}
	if tell {
		o.because = j.reasons()
	}
	q := question{at: atEnd, env: j.env, now: j.env.Time, sender: j.sender, rcpt: rcpt, author: j.author, auth: j.rep.Auth, skip: j.aside.entries}
	o.entry = j.p.access.first(&q)
	if o.entry != nil && !o.entry.allow {
		o.action = Reject
	} else {
		j.rules(&o, rcpt, tell)
	}
	if o.action == "" {
		j.scored(&o)
	}
	j.guard(&o, tell)
	j.failed(&o, tell)
	j.classify(&o)
	if tell {
		j.conclude(&o)
	}
	j.doubt(&o, tell)
	return o
}

// reasons are the findings that have a weight.
func (j *judge) reasons() []Reason {
	out := make([]Reason, 0, len(j.weighed)+1)
	for i := range j.weighed {
		if w := &j.weighed[i]; w.points != 0 {
			out = append(out, Reason{Code: w.code, At: w.at, Weight: w.points, Text: w.text})
		}
	}
	return out
}

// rules asks the rules in order until one decides. An allowed message is asked about malware only.
func (j *judge) rules(o *outcome, rcpt string, tell bool) {
	for _, r := range j.p.rules {
		if o.entry != nil && r.class != Malware || r.rcpts != nil && !r.rcpts.has(rcpt, j.env.Time) {
			continue
		}
		if r.when != nil && r.when.score {
			j.facts.score = o.score
		}
		matched, unknown := j.ask(r)
		switch {
		case unknown != "" && tell:
			o.unknown = append(o.unknown, Reason{Rule: r.name, At: r.at, Text: "Not decided: " + unknown + " is not known."})
		case !matched:
		case r.monitor:
			if tell {
				o.monitored = append(o.monitored, r.because())
			}
		default:
			if j.apply(o, r, tell) {
				return
			}
		}
	}
}

// apply does what a rule that matched says and reports whether it decided.
func (j *judge) apply(o *outcome, r *rule, tell bool) bool {
	t := &r.then
	o.score += t.score
	if t.route != "" {
		o.route = t.route
	}
	o.bcc = append(o.bcc, t.bcc...)
	o.headers = append(o.headers, t.headers...)
	if t.strip != nil {
		o.strip = append(o.strip[:len(o.strip):len(o.strip)], t.strip...)
	}
	o.grey = o.grey || t.grey
	if t.floor != "" && (o.floor == nil || severity(t.floor) > severity(o.floor.then.floor)) {
		o.floor = r
	}
	o.malware = o.malware || t.floor != "" && r.class == Malware
	if tell {
		o.because = append(o.because, r.because())
		if !slices.Contains(j.hits, r) {
			j.hits = append(j.hits, r)
		}
	}
	if t.action == "" {
		return false
	}
	o.action, o.rule = t.action, r
	return true
}

// scored lets the entry or, without one, the thresholds decide.
func (j *judge) scored(o *outcome) {
	o.action = Accept
	if o.entry != nil {
		return
	}
	for i := range j.p.thresholds {
		if t := &j.p.thresholds[i]; !t.off && t.action != "" && o.score >= t.points {
			o.action, o.threshold = t.action, t
		}
	}
	if o.floor != nil && severity(o.floor.then.floor) > severity(o.action) {
		o.action, o.rule, o.threshold = o.floor.then.floor, o.floor, nil
	}
}

// guard holds malware that something else would let pass (BETS 8: no allow entry or rule delivers it).
func (j *judge) guard(o *outcome, tell bool) {
	if o.action != Accept && o.action != Tag || !j.malware() {
		return
	}
	o.action, o.rule, o.threshold = Quarantine, nil, nil
	if tell {
		o.because = append(o.because, Reason{At: "shipped", Text: "Malware is never delivered, whatever allows it."})
	}
}

// severity orders actions; what fails can only make an outcome more severe.
func severity(a Action) int {
	switch a {
	case Accept:
		return 0
	case Tag:
		return 1
	case Quarantine:
		return 2
	case Defer:
		return 3
	case Reject:
		return 4
	}
	return 5
}

// failed applies what is stated for filters that could not look.
func (j *judge) failed(o *outcome, tell bool) {
	before := severity(o.action)
	for i := range j.rep.Failures {
		f := &j.rep.Failures[i]
		if slices.Contains(j.aside.failures, f.Filter) {
			continue
		}
		stated, ok := j.p.failures[f.Filter]
		if !ok {
			stated = failure{Defer, "shipped"} // law 6: what nobody classified is temporary
		}
		if severity(stated.action) <= before {
			continue
		}
		if severity(stated.action) > severity(o.action) {
			o.action, o.failed = stated.action, o.failed[:0]
			o.rule, o.threshold = nil, nil
		}
		if stated.action == o.action {
			o.failed = append(o.failed, f.Filter)
		}
		if tell {
			o.because = append(o.because, Reason{Code: notRun + f.Filter, At: stated.at, Text: "Filter " + f.Filter + " could not look: " + f.Error + "."})
		}
	}
}

// notRun begins the code by which a failure is named among reasons.
const notRun = "not_run."

// classify says what kind of trouble the message is.
func (j *judge) classify(o *outcome) {
	switch {
	case j.malware() || o.malware || o.rule != nil && o.rule.class == Malware:
		o.class = Malware
	case o.action == Accept:
		o.class = Clean
	case o.rule != nil && o.rule.class != Clean:
		o.class = o.rule.class
	case o.threshold != nil:
		o.class = j.heaviest(Spam)
	case o.entry != nil, o.failed != nil:
		o.class = ByRule
	default:
		o.class = j.heaviest(ByRule)
	}
}

// heaviest is the class that the largest part of the score comes from.
func (j *judge) heaviest(otherwise Class) Class {
	var spam, phish, policy Points
	for i := range j.weighed {
		w := &j.weighed[i]
		if w.points <= 0 || slices.Contains(j.aside.codes, w.code) {
			continue
		}
		switch w.class {
		case Phish:
			phish += w.points
		case ByRule:
			policy += w.points
		default:
			spam += w.points
		}
	}
	switch {
	case phish > 0 && phish >= spam && phish >= policy:
		return Phish
	case policy > spam:
		return ByRule
	case spam > 0:
		return Spam
	}
	return otherwise
}

// conclude adds the reason that decided where it is not among them yet.
func (j *judge) conclude(o *outcome) {
	switch {
	case o.threshold != nil:
		o.because = append(o.because, Reason{At: o.threshold.at, Text: "The score " + o.score.String() + " reaches the " +
			string(o.threshold.action) + " threshold of " + o.threshold.points.String() + "."})
	case o.entry != nil && o.rule == nil:
		o.because = append(o.because, o.entry.because())
	}
}
