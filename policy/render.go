package policy

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"gatepost/filters/mail"
)

// Explain writes a result as a tree for people: what was done, why, what would have changed it, and what was found.
func (r *Result) Explain(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", strings.ToUpper(string(r.Action)), r.subject())
	fmt.Fprintf(&b, "\n├─ score %s", r.Score)
	if r.Class != Clean {
		fmt.Fprintf(&b, ", class %s", r.Class)
	}
	fmt.Fprintf(&b, "\n├─ reply %d %s %s\n", r.Reply.Code, r.Reply.Enhanced, r.Reply.Text)
	r.explainEnvelope(&b)
	r.explainRecipients(&b)
	branch(&b, "decided by", r.Decided)
	branch(&b, "would pass", r.WouldPass)
	r.explainFindings(&b)
	r.explainAuth(&b)
	for _, f := range r.NotRun {
		fmt.Fprintf(&b, "├─ not run: %s (%s)\n", f.Filter, f.Error)
	}
	for _, m := range r.Monitored {
		fmt.Fprintf(&b, "├─ monitored: %s (%s) %s\n", m.Rule, m.At, m.Text)
	}
	for _, u := range r.Unknown {
		fmt.Fprintf(&b, "├─ unknown: %s (%s) %s\n", u.Rule, u.At, u.Text)
	}
	fmt.Fprintf(&b, "└─ %s, %s\n", r.ID, r.Time.UTC().Format(time.RFC3339))
	_, err := io.WriteString(w, b.String())
	return err
}

// subject is what people know a message by.
func (r *Result) subject() string {
	if r.Message == nil {
		return "<" + r.Envelope.MailFrom + ">"
	}
	s := mail.Printable(r.Message.Subject, 70)
	if s == "" {
		s = "(no subject)"
	}
	return s + ", from " + mail.Printable(r.Message.From, 70)
}

func (r *Result) explainEnvelope(b *strings.Builder) {
	e := &r.Envelope
	fmt.Fprintf(b, "├─ client %s", cmp.Or(e.Client, "unknown"))
	if e.Name != "" {
		fmt.Fprintf(b, " (%s)", e.Name)
	}
	fmt.Fprintf(b, ", HELO %s, MAIL FROM <%s>\n", cmp.Or(mail.Printable(e.Helo, 70), "unknown"), e.MailFrom)
}

// explainRecipients shows each recipient with its reasons; equal ones are shown together.
func (r *Result) explainRecipients(b *strings.Builder) {
	for i := 0; i < len(r.Recipients); {
		v := &r.Recipients[i]
		names := []string{v.Address}
		for i++; i < len(r.Recipients) && sameReasons(v, &r.Recipients[i]); i++ {
			names = append(names, r.Recipients[i].Address)
		}
		if n := len(names); n > 3 {
			names = append(names[:2], fmt.Sprintf("%d more", n-2))
		}
		fmt.Fprintf(b, "├─ %s: %s", strings.Join(names, ", "), v.Action)
		if v.Wanted != "" && v.Wanted != v.Action {
			fmt.Fprintf(b, " (alone: %s)", v.Wanted)
		}
		if v.Redirect != "" {
			fmt.Fprintf(b, ", redirected to %s", v.Redirect)
		}
		b.WriteByte('\n')
		width := 0
		for i := range v.Because {
			width = min(max(width, len(v.Because[i].name())), widestName)
		}
		for _, reason := range v.Because {
			b.WriteString("│    " + reason.line(width) + "\n")
		}
	}
}

func sameReasons(a, b *Verdict) bool {
	if a.Action != b.Action || a.Wanted != b.Wanted || len(a.Because) != len(b.Because) || a.Redirect != b.Redirect {
		return false
	}
	for i := range a.Because {
		if a.Because[i] != b.Because[i] {
			return false
		}
	}
	return true
}

// widestName bounds the column of names; a longer name moves its own line alone.
const widestName = 40

// name is the code or the rule that speaks.
func (r *Reason) name() string { return cmp.Or(r.Code, r.Rule) }

// line is a reason in one line, its name in a column of a width.
func (r *Reason) line(width int) string {
	weight := ""
	if r.Weight != 0 {
		weight = r.Weight.String()
		if r.Weight > 0 {
			weight = "+" + weight
		}
	}
	s := fmt.Sprintf("%7s  %-*s  %s", weight, width, r.name(), r.Text)
	if r.At != "" {
		s += "  [" + r.At + "]"
	}
	return s
}

func branch(b *strings.Builder, title string, list []string) {
	if len(list) > 0 {
		fmt.Fprintf(b, "├─ %s: %s\n", title, strings.Join(list, ", "))
	}
}

// explainFindings shows the proof of each finding.
func (r *Result) explainFindings(b *strings.Builder) {
	for _, f := range r.Findings {
		fmt.Fprintf(b, "├─ %s  %s\n", f.Code, f.Text)
		said := make(map[string]bool) // places that prove the same in the same words are one line
		for _, p := range f.Proof {
			where := p.Where
			if p.At != nil {
				where += fmt.Sprintf(" at %d", p.At[0])
			}
			if line := fmt.Sprintf("│    %s: %s\n", where, p.What); !said[line] {
				said[line] = true
				b.WriteString(line)
			}
		}
	}
}

func (r *Result) explainAuth(b *strings.Builder) {
	a := r.Auth
	if a == nil {
		return
	}
	fmt.Fprintf(b, "├─ spf=%s dkim=%s dmarc=%s arc=%s", orNone(a.SPF.Result), bestDKIM(a.DKIM), orNone(a.DMARC.Result), orNone(a.ARC.Result))
	if a.Domain != "" {
		fmt.Fprintf(b, "; %s vouches (%s)", a.Domain, a.By)
	}
	b.WriteByte('\n')
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
