package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// A testDoc is one test of the policy.
type testDoc struct {
	Pos    conf.Pos  `yaml:",pos"`
	Name   string    `yaml:"name" doc:"The sentence that the test proves."`
	Given  givenDoc  `yaml:"given" doc:"The message: an envelope with a file, or with facts. A file goes through the filters, all but those that ask a program or a service beside the gateway (clamd, icap, milter, rspamd, spamd, hook)."`
	Expect expectDoc `yaml:"expect" doc:"What must come of it."`

	given Given
}

// A givenDoc is the message of a test. Without message, facts that are not given are those of an examined message in
// which nothing was found.
type givenDoc struct {
	Pos         conf.Pos          `yaml:",pos"`
	Client      item              `yaml:"client" doc:"The client's address." default:"192.0.2.1"`
	ClientName  string            `yaml:"client_name" doc:"Its confirmed reverse name."`
	Helo        string            `yaml:"helo" doc:"The HELO name."`
	MailFrom    item              `yaml:"mail_from" doc:"The reverse-path; empty for none."`
	Rcpt        items             `yaml:"rcpt" doc:"The recipients."`
	TLS         bool              `yaml:"tls" doc:"Whether the session is protected."`
	Trusted     bool              `yaml:"trusted" doc:"Whether the client is in trusted_networks."`
	Country     string            `yaml:"country" doc:"The client's country."`
	ASN         uint32            `yaml:"asn" doc:"The number of the client's network."`
	Time        item              `yaml:"time" doc:"When, RFC 3339; the day the policy is tested by default."`
	Message     item              `yaml:"message" doc:"A message file, relative to this file; it goes through all filters."`
	DNS         map[string]items  `yaml:"dns" doc:"DNS answers: 'b.example TXT': 'v=spf1 -all'."`
	Findings    items             `yaml:"findings" doc:"Codes of findings."`
	Auth        authDoc           `yaml:"auth" doc:"Results of authentication, words of RFC 8601."`
	From        string            `yaml:"from" doc:"The author's address."`
	FromName    string            `yaml:"from_name" doc:"The author's display name."`
	To          items             `yaml:"to" doc:"The addresses in To."`
	ReplyTo     items             `yaml:"reply_to" doc:"The addresses in Reply-To."`
	Subject     string            `yaml:"subject" doc:"The subject."`
	Date        string            `yaml:"date" doc:"The Date field, RFC 3339."`
	MessageID   string            `yaml:"message_id" doc:"The Message-ID."`
	Size        conf.Size         `yaml:"size" doc:"The message's size."`
	Header      map[string]string `yaml:"header" doc:"Other header fields by name."`
	Attachments []attachmentDoc   `yaml:"attachments" doc:"Attachments."`
	URLs        items             `yaml:"urls" doc:"Links."`
	Text        textDoc           `yaml:"text" doc:"What the text is like."`
	Sender      *senderDoc        `yaml:"sender" doc:"What is remembered of the author; absent by default."`
	NotRun      items             `yaml:"not_run" doc:"Filters that could not look."`
	Absent      items             `yaml:"absent" doc:"Facts that could not be had: auth, message, attachments, urls, text."`
}

type authDoc struct {
	SPF         string `yaml:"spf"`
	DKIM        string `yaml:"dkim"`
	DMARC       string `yaml:"dmarc"`
	ARC         string `yaml:"arc"`
	Policy      string `yaml:"dmarc_policy"`
	Disposition string `yaml:"dmarc_disposition"`
	Domain      string `yaml:"domain" doc:"The authenticated domain."`
}

type attachmentDoc struct {
	Name       string    `yaml:"name"`
	Names      items     `yaml:"names"`
	Type       string    `yaml:"type" default:"application/octet-stream"`
	Declared   string    `yaml:"declared"`
	Size       conf.Size `yaml:"size" default:"1000"`
	SHA256     string    `yaml:"sha256"`
	Path       items     `yaml:"path"`
	Macro      bool      `yaml:"macro"`
	Encrypted  bool      `yaml:"encrypted"`
	Executable bool      `yaml:"executable"`
}

type senderDoc struct {
	Remembered    bool `yaml:"remembered" default:"true" doc:"Whether enough is remembered for the rest to be known."`
	Messages      int  `yaml:"messages" doc:"How many of the author's messages were accepted."`
	FirstSeen     item `yaml:"first_seen" doc:"When the first came, RFC 3339."`
	Authenticated bool `yaml:"authenticated" doc:"Whether most of them were authenticated."`
	FirstContact  bool `yaml:"first_contact" doc:"Whether none was to one of the recipients."`
	FreeMail      bool `yaml:"free_mail" doc:"Whether anybody can open a mailbox there."`
}

type textDoc struct {
	Language string `yaml:"language"`
	Words    int    `yaml:"words" default:"50"`
}

// An expectDoc is what a test demands; what is not given is not looked at.
type expectDoc struct {
	Pos        conf.Pos        `yaml:",pos"`
	Action     item            `yaml:"action" doc:"accept, tag, quarantine, defer, reject or discard."`
	Class      *item           `yaml:"class" doc:"spam, phish, malware, policy or none."`
	Rule       item            `yaml:"rule" doc:"A rule that must have matched; none for no rule."`
	Reply      int             `yaml:"reply" doc:"The reply code."`
	Enhanced   string          `yaml:"enhanced" doc:"The enhanced status code."`
	Score      *item           `yaml:"score" doc:"The exact score."`
	Decided    items           `yaml:"decided" doc:"Codes and rules that must be among what decided."`
	Recipients map[string]item `yaml:"recipients" doc:"Actions by recipient."`
	Redirect   string          `yaml:"redirect" doc:"Where the mail must go instead."`
}

// Given is the message of a test for whoever runs the filters.
type Given struct {
	Envelope *mail.Envelope      // complete but for the ID
	Message  string              // the file's path; empty for a test of facts alone
	DNS      map[string][]string // answers by "name TYPE"
	report   *filters.Report     // of a test of facts alone
}

// compileTests checks the tests and prepares their facts.
func (c *compiler) compileTests(docs []testDoc) {
	seen := map[string]bool{}
	for i := range docs {
		d := &docs[i]
		if d.Name == "" {
			c.problem(d.Pos, "", "a test needs a name")
		} else if seen[d.Name] {
			c.problem(d.Pos, "", "there are two tests named %s", quoted(d.Name))
		}
		seen[d.Name] = true
		c.given(d)
		c.expect(d)
	}
	c.p.tests = docs
}

// given compiles a test's message.
func (c *compiler) given(d *testDoc) {
	g := &d.Given
	env := &mail.Envelope{ID: "TEST", RemoteName: strings.ToLower(g.ClientName), Helo: g.Helo, ESMTP: true, Trusted: g.Trusted,
		Country: strings.ToUpper(g.Country), ASN: g.ASN}
	d.given = Given{Envelope: env, DNS: map[string][]string{}}
	var err error
	if env.Remote, err = netip.ParseAddr(g.Client.Value); err != nil {
		c.problem(orPos(g.Client.Pos, d.Pos), "", "test %s: client %s is not an address", d.Name, quoted(g.Client.Value))
	}
	env.Remote = env.Remote.Unmap()
	if g.TLS {
		env.TLS = mail.TLS{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256"}
	}
	if v := strings.Trim(g.MailFrom.Value, "<>"); v != "" {
		if env.From, err = mail.ParseAddress(v); err != nil {
			c.problem(g.MailFrom.Pos, "", "test %s: mail_from %s is not an address", d.Name, quoted(v))
		}
	}
	for _, r := range g.Rcpt {
		a, err := mail.ParseAddress(r.Value)
		if err != nil {
			c.problem(r.Pos, "", "test %s: rcpt %s is not an address", d.Name, quoted(r.Value))
		}
		env.Rcpts = append(env.Rcpts, a)
	}
	if len(g.Rcpt) == 0 {
		c.problem(orPos(g.Pos, d.Pos), "", "test %s: given has no rcpt", d.Name)
	}
	if g.Time.Value != "" {
		if env.Time, err = time.Parse(time.RFC3339, g.Time.Value); err != nil {
			c.problem(g.Time.Pos, "", "test %s: time %s is not in the form of RFC 3339", d.Name, quoted(g.Time.Value))
		}
	}
	if s := g.Sender; s != nil && s.FirstSeen.Value != "" {
		if _, err := time.Parse(time.RFC3339, s.FirstSeen.Value); err != nil {
			c.problem(s.FirstSeen.Pos, "", "test %s: first_seen %s is not in the form of RFC 3339", d.Name, quoted(s.FirstSeen.Value))
		}
	}
	for q, answers := range g.DNS {
		d.given.DNS[q] = answers.strings()
	}
	for _, f := range g.Findings {
		c.checkCode(f)
	}
	if g.Message.Value != "" {
		d.given.Message = c.path(g.Message.Value)
		if _, err := c.opts.ReadFile(d.given.Message); err != nil {
			c.problem(g.Message.Pos, "", "test %s: cannot read the message: %v", d.Name, err)
		}
		return
	}
	d.given.report = g.facts(env)
	for _, a := range g.Absent {
		if !d.given.absent(a.Value) {
			c.problem(a.Pos, conf.Suggest(a.Value, absentable), "test %s: %s cannot be absent", d.Name, quoted(a.Value))
		}
	}
}

// absentable are the facts that a test can take away.
var absentable = []string{"auth", "message", "attachments", "urls", "text"}

// absent takes a fact away.
func (g *Given) absent(fact string) bool {
	switch fact {
	case "auth":
		g.report.Auth = nil
	case "message":
		g.report.Message = nil
	case "attachments":
		g.report.Attachments = nil
	case "urls":
		g.report.URLs = nil
	case "text":
		g.report.Text = nil
	default:
		return false
	}
	return true
}

// facts is the report of a test without a message.
func (g *givenDoc) facts(env *mail.Envelope) *filters.Report {
	r := &filters.Report{}
	for _, f := range g.Findings {
		r.Findings = append(r.Findings, filters.Finding{Filter: "test", Code: f.Value, Text: "Given by the test.",
			Proof: []filters.Evidence{{Where: "test", What: f.Value}}})
	}
	for _, f := range g.NotRun {
		r.Failures = append(r.Failures, filters.Failure{Filter: f.Value, Error: "as the test says"})
	}
	m := &filters.MessageFacts{From: g.From, FromName: g.FromName, To: g.To.strings(), ReplyTo: g.ReplyTo.strings(), Subject: g.Subject,
		Date: g.Date, MessageID: g.MessageID, Size: int64(g.Size), Header: filters.Header{}}
	if m.From == "" {
		m.From = env.From.Canonical()
	}
	if strings.Contains(m.From, "@") {
		m.FromDomain = strings.ToLower(domainOf(m.From))
	}
	for name, v := range g.Header {
		m.Header = append(m.Header, mail.Field{Name: name, Value: v})
	}
	r.Message = m
	a := &g.Auth
	r.Auth = &filters.Auth{SPF: filters.SPF{Result: orNone(a.SPF)}, SPFHelo: filters.SPF{Result: "none"}, ARC: filters.ARC{Result: orNone(a.ARC)},
		DMARC:  filters.DMARC{Result: orNone(a.DMARC), Policy: a.Policy, Disposition: a.Disposition, From: m.FromDomain},
		Domain: a.Domain}
	if a.DKIM != "" && a.DKIM != "none" {
		r.Auth.DKIM = []filters.DKIM{{Result: a.DKIM, Domain: a.Domain}}
	}
	r.Attachments = []filters.Attachment{}
	for i := range g.Attachments {
		r.Attachments = append(r.Attachments, g.Attachments[i].fact())
	}
	r.URLs = []filters.URL{}
	for _, u := range g.URLs {
		r.URLs = append(r.URLs, urlFact(u.Value))
	}
	r.Text = &filters.Text{Language: g.Text.Language, Words: g.Text.Words}
	if s := g.Sender; s != nil {
		r.Sender = &filters.Sender{Remembered: s.Remembered, Messages: s.Messages, Authenticated: s.Authenticated, FirstContact: s.FirstContact, FreeMail: s.FreeMail}
		r.Sender.FirstSeen, _ = time.Parse(time.RFC3339, s.FirstSeen.Value) // checked when the test was read
	}
	return r
}

func (d *attachmentDoc) fact() filters.Attachment {
	a := filters.Attachment{Name: d.Name, Names: d.Names.strings(), Type: d.Type, Declared: d.Declared, Size: int64(d.Size), SHA256: d.SHA256,
		Path: d.Path.strings(), Macro: d.Macro, Encrypted: d.Encrypted, Executable: d.Executable}
	if len(a.Names) == 0 {
		a.Names = []string{a.Name}
	}
	return a
}

// urlFact reads a link well enough for a test: its host, and the last two labels as its domain.
func urlFact(u string) filters.URL {
	_, host, found := strings.Cut(u, "://")
	if !found {
		host = u
	}
	host, _, _ = strings.Cut(host, "/")
	labels := strings.Split(host, ".")
	return filters.URL{URL: u, Host: host, Domain: strings.Join(labels[max(0, len(labels)-2):], ".")}
}

// expect checks what a test demands.
func (c *compiler) expect(d *testDoc) {
	e := &d.Expect
	if a := e.Action; a.Value != "" && !slices.Contains(decidingActions, a.Value) {
		c.problem(a.Pos, conf.Suggest(a.Value, decidingActions), "test %s: unknown action %s", d.Name, quoted(a.Value))
	}
	for rcpt, a := range e.Recipients {
		if !slices.Contains(decidingActions, a.Value) {
			c.problem(a.Pos, conf.Suggest(a.Value, decidingActions), "test %s: unknown action %s for %s", d.Name, quoted(a.Value), rcpt)
		}
	}
	if e.Class != nil && e.Class.Value != "none" {
		c.class(*e.Class)
	}
	if r := e.Rule; r.Value != "" && r.Value != "none" && !slices.Contains(c.p.Rules(), r.Value) && !strings.HasPrefix(r.Value, "access.") {
		c.problem(r.Pos, conf.Suggest(r.Value, c.p.Rules()), "test %s: there is no rule %s", d.Name, quoted(r.Value))
	}
	if e.Action.Value == "" && e.Class == nil && e.Rule.Value == "" && e.Reply == 0 && e.Enhanced == "" && e.Score == nil &&
		e.Decided == nil && e.Recipients == nil && e.Redirect == "" {
		c.problem(d.Pos, "", "test %s expects nothing", quoted(d.Name))
	}
}

// A Judge runs the filters over a test's message and says what they found.
type Judge func(ctx context.Context, given Given) (*mail.Envelope, *filters.Report, error)

// A TestResult is what came of one test.
type TestResult struct {
	Name     string   `json:"name"`
	At       string   `json:"at"`
	Pos      conf.Pos `json:"-"`
	Passed   bool     `json:"passed"`
	Problems []string `json:"problems,omitempty"` // what was expected and what came
	Result   *Result  `json:"result,omitempty"`
}

// A TestReport is what came of all tests.
type TestReport struct {
	Results   []TestResult `json:"results"`
	Covered   []string     `json:"covered"`   // rules of the file that a test matched
	Uncovered []string     `json:"uncovered"` // rules of the file that none did
}

// Failed counts the tests that did not pass.
func (r *TestReport) Failed() (n int) {
	for _, t := range r.Results {
		if !t.Passed {
			n++
		}
	}
	return n
}

// errNoJudge is the problem of a test with a message where no filters can be run.
var errNoJudge = errors.New("the test has a message, and no filters can be run here")

// RunTests runs the policy's tests with the evaluator that judges mail. judge may be nil where no test has a
// message; now is the time of tests that give none.
func (p *Policy) RunTests(ctx context.Context, now time.Time, judge Judge) TestReport {
	out := TestReport{Results: make([]TestResult, len(p.tests)), Covered: []string{}, Uncovered: []string{}}
	matched := map[string]bool{}
	for i := range p.tests {
		out.Results[i] = p.runTest(ctx, &p.tests[i], now, judge, matched)
	}
	for _, r := range p.rules {
		switch {
		case r.at == "shipped":
		case matched[r.name]:
			out.Covered = append(out.Covered, r.name)
		default:
			out.Uncovered = append(out.Uncovered, r.name)
		}
	}
	return out
}

// runTest runs one test.
func (p *Policy) runTest(ctx context.Context, d *testDoc, now time.Time, judge Judge, matched map[string]bool) TestResult {
	res := TestResult{Name: d.Name, At: fmt.Sprintf("%s:%d", d.Pos.File, d.Pos.Line), Pos: d.Pos}
	given := d.given
	env := *given.Envelope
	if given.Envelope = &env; env.Time.IsZero() {
		env.Time = now
	}
	rep := given.report
	if given.Message != "" {
		if judge == nil {
			res.Problems = []string{errNoJudge.Error()}
			return res
		}
		judged, found, err := judge(ctx, given)
		if err != nil {
			res.Problems = []string{"cannot judge the message: " + err.Error()}
			return res
		}
		given.Envelope, rep = judged, found
	}
	dec := p.Decide(given.Envelope, rep)
	r := NewResult(given.Envelope, rep, dec)
	res.Result = &r
	names := dec.ruleNames()
	for _, n := range names {
		matched[n] = true
	}
	res.Problems = d.Expect.compare(&dec, names)
	res.Passed = len(res.Problems) == 0
	return res
}

// ruleNames are all rules and entries that matched, monitored ones included.
func (d *Decision) ruleNames() []string {
	var names []string
	note := func(reasons []Reason) {
		for _, r := range reasons {
			if r.Rule != "" && !slices.Contains(names, r.Rule) {
				names = append(names, r.Rule)
			}
		}
	}
	for i := range d.Recipients {
		note(d.Recipients[i].Because)
	}
	note(d.Monitored)
	return names
}

// compare says where a decision is not what was expected.
func (e *expectDoc) compare(d *Decision, rules []string) (problems []string) {
	differ := func(what string, want, got any) {
		if w, g := fmt.Sprint(want), fmt.Sprint(got); w != g {
			problems = append(problems, fmt.Sprintf("%s: expected %s, got %s", what, w, g))
		}
	}
	if e.Action.Value != "" {
		differ("action", e.Action.Value, d.Action)
	}
	if e.Class != nil {
		class := string(d.Class)
		if class == "" {
			class = "none"
		}
		differ("class", e.Class.Value, class)
	}
	switch {
	case e.Rule.Value == "none" && len(rules) > 0:
		problems = append(problems, "rule: expected none, got "+strings.Join(rules, ", "))
	case e.Rule.Value != "" && e.Rule.Value != "none" && !slices.Contains(rules, e.Rule.Value):
		problems = append(problems, fmt.Sprintf("rule: expected %s, got %s", e.Rule.Value, orNone(strings.Join(rules, ", "))))
	}
	if e.Reply != 0 {
		differ("reply", e.Reply, d.Reply.Code)
	}
	if e.Enhanced != "" {
		differ("enhanced", e.Enhanced, d.Reply.Enhanced)
	}
	if e.Score != nil {
		differ("score", e.Score.Value, d.Score)
	}
	for _, c := range e.Decided {
		if !slices.Contains(d.Decided, c.Value) {
			problems = append(problems, fmt.Sprintf("decided: expected %s, got %s", c.Value, orNone(strings.Join(d.Decided, ", "))))
		}
	}
	for _, v := range d.Recipients {
		if want, ok := e.Recipients[v.Address]; ok {
			differ("recipient "+v.Address, want.Value, v.Action)
		}
		if e.Redirect != "" {
			differ("redirect", e.Redirect, v.Redirect)
		}
	}
	return problems
}
