package policy

import (
	"slices"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A Result is one judgment as scan, explain, the journal and the API give it.
type Result struct {
	ID          string               `json:"id"`
	Time        time.Time            `json:"time,omitzero"`
	Action      Action               `json:"action"`
	Class       Class                `json:"class"`
	Score       Points               `json:"score"`
	Reply       Reply                `json:"reply"`
	Recipients  []Verdict            `json:"recipients"`
	Decided     []string             `json:"decided"`
	WouldPass   []string             `json:"would_pass_if"`
	Findings    []ResultFinding      `json:"findings"`
	NotRun      []filters.Failure    `json:"not_run"`
	Auth        *filters.Auth        `json:"auth,omitempty"`
	Attachments []filters.Attachment `json:"attachments"`
	URLs        []string             `json:"urls"`
	Defects     []string             `json:"defects"`
	Monitored   []Reason             `json:"monitored,omitempty"`
	Unknown     []Reason             `json:"unknown,omitempty"`
	Timings     map[string]int64     `json:"timings_us,omitempty"` // by filter, and "total"; left out where results are compared

	Envelope ResultEnvelope        `json:"envelope"`
	Message  *filters.MessageFacts `json:"message,omitempty"`
}

// A ResultEnvelope is what the client said.
type ResultEnvelope struct {
	Client   string   `json:"client,omitempty"`
	Name     string   `json:"client_name,omitempty"`
	Helo     string   `json:"helo,omitempty"`
	TLS      mail.TLS `json:"tls,omitzero"`
	MailFrom string   `json:"mail_from"`
	Rcpt     []string `json:"rcpt"`
}

// A ResultFinding is a finding with what it added to the score. A rule that adds points is shown as a finding of
// the filter "policy", so that the weights add up to the score.
type ResultFinding struct {
	filters.Finding
	Weight Points `json:"weight"`
}

// NewResult puts a judgment into the form that people and programs read. The weights of its findings add up to its
// score, to the last digit; where recipients differ, to that of the recipient with the highest.
func NewResult(env *mail.Envelope, rep *filters.Report, d Decision) Result {
	r := Result{
		ID: env.ID, Time: env.Time, Action: d.Action, Class: d.Class, Score: d.Score, Reply: d.Reply,
		Recipients: some(d.Recipients), Decided: some(d.Decided), WouldPass: some(d.WouldPass), NotRun: some(rep.Failures),
		Auth: rep.Auth, Attachments: some(rep.Attachments), URLs: []string{}, Defects: []string{},
		Monitored: d.Monitored, Unknown: d.Unknown, Message: rep.Message,
		Envelope: ResultEnvelope{Name: env.RemoteName, Helo: env.Helo, TLS: env.TLS, MailFrom: env.From.String(), Rcpt: []string{}},
	}
	if env.Remote.IsValid() {
		r.Envelope.Client = env.Remote.String()
	}
	for _, a := range env.Rcpts {
		r.Envelope.Rcpt = append(r.Envelope.Rcpt, a.String())
	}
	r.Findings = resultFindings(rep.Findings, &d)
	for _, u := range rep.URLs {
		r.URLs = append(r.URLs, u.URL)
	}
	for _, f := range rep.Findings {
		if code, ok := cutFamily(f.Code, "defect."); ok && !slices.Contains(r.Defects, code) {
			r.Defects = append(r.Defects, code)
		}
	}
	if len(rep.Timings) > 0 {
		r.Timings = map[string]int64{}
		for _, t := range rep.Timings {
			r.Timings[t.Filter] += t.Micros
		}
	}
	return r
}

// some is never nil, so that JSON has a list.
func some[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// cutFamily is what follows a family's prefix.
func cutFamily(code, family string) (string, bool) {
	if len(code) > len(family) && code[:len(family)] == family {
		return code[len(family):], true
	}
	return "", false
}

// resultFindings gives every finding its weight: a code counts once, at its first finding.
func resultFindings(findings []filters.Finding, d *Decision) []ResultFinding {
	reasons := d.heaviest()
	out := make([]ResultFinding, 0, len(findings)+1)
	seen := map[string]bool{}
	for _, f := range findings {
		rf := ResultFinding{Finding: f}
		for _, r := range reasons {
			if r.Code == f.Code && r.Rule == "" && !seen[f.Code] {
				rf.Weight = r.Weight
			}
		}
		seen[f.Code] = true
		out = append(out, rf)
	}
	for _, r := range reasons {
		if r.Rule != "" && r.Weight != 0 {
			out = append(out, ResultFinding{Weight: r.Weight, Finding: filters.Finding{Filter: "policy", Code: "rule." + r.Rule, Text: r.Text,
				Proof: []filters.Evidence{{Where: r.At, What: "rule " + r.Rule}}}})
		}
	}
	return out
}

// heaviest is the reasons of the recipient with the highest score.
func (d *Decision) heaviest() []Reason {
	for i := range d.Recipients {
		if d.Recipients[i].Score == d.Score {
			return d.Recipients[i].Because
		}
	}
	return nil
}
