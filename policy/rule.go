package policy

import (
	"slices"
	"strings"

	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// A rule is one compiled rule. All of its matchers must match.
type rule struct {
	order  int
	name   string
	at     string
	source string // what it says, for comparing and for people

	when       *expression
	from       *addressSet
	sender     *addressSet
	client     *hostSet
	helo       *domainSet
	subject    []string
	attachment []string
	finding    []string
	classes    []Class         // finding: class:malware
	severities []mail.Severity // finding: severity:refuse

	then    thenDoc
	class   Class
	rcpts   *addressSet // nil: all
	off     bool
	monitor bool
	reason  string
	reply   *Reply
	expires dateDoc
}

// maxRules bounds the rules of one policy.
const maxRules = 2000

// compileRules compiles rules in order. A rule with the name of one in base says only what is to be different.
func (c *compiler) compileRules(docs, base []ruleDoc) []*rule {
	var out []*rule
	seen := map[string]bool{}
	if len(docs) > maxRules {
		c.problem(docs[maxRules].Pos, "", "more than %d rules", maxRules)
		return nil
	}
	for _, d := range docs {
		for i := range base {
			if base[i].Name.Value == d.Name.Value {
				d.inherit(&base[i])
			}
		}
		switch {
		case d.Name.Value == "":
			c.problem(d.Pos, "", "a rule needs a name")
		case !isName(d.Name.Value):
			c.problem(d.Name.Pos, "", "the rule name %s must be lower-case letters, digits, hyphens and underscores", quoted(d.Name.Value))
		case seen[d.Name.Value]:
			c.problem(d.Name.Pos, "", "there are two rules named %s", d.Name.Value)
		}
		seen[d.Name.Value] = true
		out = append(out, c.rule(&d))
	}
	return out
}

// inherit takes over what d leaves out: matchers only if it has none, class and reply only if it does the same.
func (d *ruleDoc) inherit(b *ruleDoc) {
	if d.When.Pos.Line == 0 && d.From == nil && d.Sender == nil && d.Client == nil && d.Helo == nil && d.Subject == nil && d.Attachment == nil && d.Finding == nil {
		d.When, d.From, d.Sender, d.Client, d.Helo, d.Subject, d.Attachment, d.Finding = b.When, b.From, b.Sender, b.Client, b.Helo, b.Subject, b.Attachment, b.Finding
	}
	if d.Reason == "" {
		d.Reason = b.Reason
	}
	if d.Then.pos.Line != 0 {
		return
	}
	d.Then = b.Then
	if d.Reply == nil {
		d.Reply = b.Reply
	}
	if d.Class.Pos.Line == 0 {
		d.Class = b.Class
	}
}

// rule compiles one rule.
func (c *compiler) rule(d *ruleDoc) *rule {
	r := &rule{name: d.Name.Value, at: c.at(d.Pos), then: d.Then, reason: d.Reason, expires: d.Expires}
	r.source = describe("when", d.When.Value, "from", d.From.joined(), "sender", d.Sender.joined(), "client", d.Client.joined(), "helo", d.Helo.joined(),
		"subject", d.Subject.joined(), "attachment", d.Attachment.joined(), "finding", d.Finding.joined(), "for", d.For.joined(),
		"then", d.Then.String(), "class", d.Class.Value, "mode", d.Mode.Value)
	c.ruleMode(d, r)
	matchers := c.matchers(d, r)
	if d.When.Pos.Line > 0 {
		matchers++
		r.when = c.expression(d.When)
	}
	if matchers == 0 && d.For == nil && !r.off {
		c.problem(d.Pos, "", "rule %s matches everything: say when, from, sender, client, helo, subject, attachment, finding or for", r.name)
	}
	if d.For != nil {
		s := c.address(d.For)
		r.rcpts = &s
	}
	if d.Class.Pos.Line > 0 {
		r.class, _ = c.class(d.Class)
	}
	c.ruleThen(d, r)
	if d.Reply != nil {
		r.reply = c.reply(d.Reply, r)
	}
	return r
}

// ruleMode reads enforce, monitor or off.
func (c *compiler) ruleMode(d *ruleDoc, r *rule) {
	modes := []string{"enforce", "monitor", "off"}
	switch d.Mode.Value {
	case "", "enforce":
	case "monitor":
		r.monitor = true
	case "off", "false":
		r.off = true
	default:
		c.problem(d.Mode.Pos, conf.Suggest(d.Mode.Value, modes), "unknown mode %s", quoted(d.Mode.Value))
	}
}

// ruleThen checks what a rule does for contradictions.
func (c *compiler) ruleThen(d *ruleDoc, r *rule) {
	t := d.Then
	switch {
	case t.pos.Line == 0 && !r.off:
		c.problem(d.Pos, "", "rule %s says nothing under then", r.name)
	case t.route != "" && (t.action == Reject || t.action == Defer || t.action == Discard):
		c.problem(t.pos, "", "rule %s cannot both %s and redirect", r.name, t.action)
	case t.action == Accept && r.class != Clean:
		c.problem(orPos(d.Class.Pos, d.Pos), "", "rule %s accepts, so it has no class", r.name)
	}
}

// matchers compiles the matchers that need no expression and counts them.
func (c *compiler) matchers(d *ruleDoc, r *rule) (n int) {
	if d.From != nil {
		s := c.address(d.From)
		r.from, n = &s, n+1
	}
	if d.Sender != nil {
		s := c.address(d.Sender)
		r.sender, n = &s, n+1
	}
	if d.Client != nil {
		s := c.host(d.Client)
		r.client, n = &s, n+1
	}
	if d.Helo != nil {
		r.helo, n = c.names(d.Helo), n+1
	}
	if d.Subject != nil {
		r.subject, n = lowered(d.Subject), n+1
	}
	if d.Attachment != nil {
		r.attachment, n = lowered(d.Attachment), n+1
	}
	for _, i := range d.Finding {
		c.findingPattern(r, i)
	}
	if d.Finding != nil {
		n++
	}
	return n
}

// findingPattern compiles a finding code, a family, class:NAME or severity:NAME.
func (c *compiler) findingPattern(r *rule, i item) {
	kind, name, _ := strings.Cut(i.Value, ":")
	switch kind {
	case "class":
		class, _ := c.class(item{name, i.Pos})
		r.classes = append(r.classes, class)
	case "severity":
		for _, s := range []mail.Severity{mail.Note, mail.Ambiguous, mail.Refuse} {
			if s.String() == name {
				r.severities = append(r.severities, s)
				return
			}
		}
		c.problem(i.Pos, conf.Suggest(name, []string{"note", "ambiguous", "refuse"}), "defects have no severity %s", quoted(name))
	default:
		if c.checkCode(i) {
			r.finding = append(r.finding, i.Value)
		}
	}
}

// hasFindings reports whether r asks for findings.
func (r *rule) hasFindings() bool { return r.finding != nil || r.classes != nil || r.severities != nil }

func lowered(l items) []string {
	out := l.strings()
	for i := range out {
		out[i] = strings.ToLower(out[i])
	}
	return out
}

// reply checks what a rule tells the client.
func (c *compiler) reply(d *replyDoc, r *rule) *Reply {
	bad := func(format string, args ...any) *Reply {
		c.problem(d.Pos, "", "rule "+r.name+": "+format, args...)
		return nil
	}
	want := 5
	switch r.then.action {
	case Defer:
		want = 4
	case Reject:
	default:
		return bad("a reply belongs to reject or defer")
	}
	switch {
	case d.Code/100 != want || d.Code%100 > 59:
		return bad("the reply code to %s must begin with %d, and %d does not", r.then.action, want, d.Code)
	case !isEnhanced(d.Enhanced, want):
		return bad("the enhanced code %s must have the form %d.x.y", quoted(d.Enhanced), want)
	case d.Text == "" || len(d.Text) > 160 || strings.ContainsFunc(d.Text, func(c rune) bool { return c < ' ' || c > '~' }):
		return bad("the reply text must be one line of at most 160 ASCII characters")
	}
	return &Reply{d.Code, d.Enhanced, d.Text}
}

// isEnhanced reports whether s is an enhanced status code of a class (RFC 3463 section 2).
func isEnhanced(s string, class int) bool {
	parts := strings.Split(s, ".")
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return len(parts) == 3 && parts[0] == string(rune('0'+class))
}

// matches compares a rule with the facts. unknown is the fact that would have to be known to tell.
func (r *rule) matches(j *judge) (matched bool, unknown string) {
	e := j.env
	if r.expires.over(e.Time) || r.sender != nil && !r.sender.has(j.sender, e.Time) ||
		r.client != nil && !r.client.has(e.Remote, e.RemoteName, e.Time) ||
		r.helo != nil && !r.helo.has(canonicalDomain(e.Helo)) {
		return false, ""
	}
	if r.hasFindings() {
		if !j.found(r) {
			if !j.open {
				return false, ""
			}
			unknown = "has"
		}
	}
	if r.from != nil || r.subject != nil {
		switch m := j.rep.Message; {
		case m == nil:
			unknown = "message"
		case r.from != nil && !r.fromMatches(j), r.subject != nil && !anyGlob(r.subject, strings.ToLower(m.Subject)):
			return false, ""
		}
	}
	if r.attachment != nil {
		switch {
		case j.rep.Attachments == nil:
			unknown = "attachments"
		case !r.attachmentMatches(j):
			return false, ""
		}
	}
	if r.when == nil {
		return unknown == "", unknown
	}
	ok, why := r.when.eval(&j.facts)
	switch {
	case why != "":
		return false, why
	case !ok:
		return false, ""
	}
	return unknown == "", unknown
}

// fromMatches compares every address that a reader could be shown as author.
func (r *rule) fromMatches(j *judge) bool {
	m, now := j.rep.Message, j.env.Time
	return r.from.has(strings.ToLower(m.From), now) ||
		slices.ContainsFunc(m.Froms, func(a string) bool { return r.from.has(strings.ToLower(a), now) })
}

// attachmentMatches compares every name and the type of every attachment.
func (r *rule) attachmentMatches(j *judge) bool {
	for i := range j.rep.Attachments {
		a := &j.rep.Attachments[i]
		if anyGlob(r.attachment, strings.ToLower(a.Name)) || anyGlob(r.attachment, a.Type) {
			return true
		}
		for _, n := range a.Names {
			if anyGlob(r.attachment, strings.ToLower(n)) {
				return true
			}
		}
	}
	return false
}

func anyGlob(patterns []string, s string) bool {
	for _, p := range patterns {
		if glob(p, s) {
			return true
		}
	}
	return false
}

// because is the reason for a match of r.
func (r *rule) because() Reason {
	text := r.reason
	if text == "" {
		text = "Rule " + r.name + " matched."
	}
	return Reason{Rule: r.name, At: r.at, Weight: r.then.score, Text: text}
}
