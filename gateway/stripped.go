package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
	"gatepost/gateway/strip"
	"gatepost/policy"
)

// A lighter is a message for a group of recipients without what policy takes out of their copies.
type lighter struct {
	*strip.Stripped
	sum [32]byte
	err error
}

// words are what policy says to take out of one recipient's copy.
func (j *job) words(v *policy.Verdict) []string {
	words := append(slices.Clone(j.in.Decision.Strip), v.Strip...)
	slices.Sort(words)
	return slices.Compact(words)
}

// strips reports whether anything is taken out of the recipient's copy.
func (j *job) strips(rcpt mail.Address) bool { return len(j.words(j.verdict(rcpt))) > 0 }

// stripped is the message as the verdict wants it, made once for all that want the same. nil: as it came.
func (j *job) stripped(v *policy.Verdict) *lighter {
	words := j.words(v)
	if len(words) == 0 {
		return nil
	}
	key := strings.Join(words, " ")
	if l, ok := j.light[key]; ok {
		return l
	}
	l := &lighter{}
	if l.Stripped, l.err = strip.New(j.in.Message, j.order(v, words)); l.err == nil {
		l.sum, l.err = l.Sum()
	}
	if j.light == nil {
		j.light = map[string]*lighter{}
	}
	j.light[key] = l
	return l
}

// order says in the words of package strip what policy asks for.
func (j *job) order(v *policy.Verdict, words []string) strip.Order {
	o := strip.Order{ID: j.env.ID, Contact: "postmaster@" + j.env.Rcpts[0].Domain(), Parts: map[string]string{}}
	for _, w := range words {
		switch w {
		case policy.StripAttachments:
			o.Attachments = true
		case policy.StripLinks:
			o.Links = true
		case policy.StripDangerous:
			j.dangerous(v, &o)
		}
	}
	return o
}

// dangerous names the parts that something was found in which counts against the message. What was found in the message as a
// whole may be in any of them.
func (j *job) dangerous(v *policy.Verdict, o *strip.Order) {
	against := map[string]bool{}
	for _, r := range v.Because {
		if r.Weight > 0 {
			against[r.Code] = true
		}
	}
	for _, f := range j.in.Report.Findings {
		if !against[f.Code] || !slices.Contains([]string{"attach", "clamd", "icap", "yara", "milter", "hashes"}, f.Filter) {
			continue
		}
		for _, e := range f.Proof {
			if path, ok := strings.CutPrefix(e.Where, "part "); ok {
				o.Parts[path] = f.Text
			} else {
				o.Attachments = true
			}
		}
	}
}

// keepWhole puts a message of which recipients get a lighter copy where people can ask for the original.
func (j *job) keepWhole(ctx context.Context, passed []mail.Address) *smtp.Reply {
	var copies []held
	for _, r := range passed {
		if l := j.stripped(j.verdict(r)); l != nil && l.Changed() {
			copies = append(copies, held{r, "delivered without " + mail.Printable(l.removed(), 300)})
		}
	}
	if len(copies) == 0 {
		return nil
	}
	id := j.env.ID
	if len(j.entries) > 0 { // under which other copies are kept
		id = mail.NewID(j.env.Time)
	}
	return j.keep(ctx, id, copies)
}

// removed names what is missing.
func (l *lighter) removed() string {
	if len(l.Names) == 0 {
		return "live links"
	}
	return strings.Join(l.Names, ", ")
}

// consequence says for the record what a change does to signatures that were good when the message came (DKIM, and with it
// DMARC and ARC, cover the body).
func (j *job) consequence() string {
	var domains []string
	for _, l := range j.light {
		if l.err != nil || !l.Changed() || j.in.Report.Auth == nil {
			continue
		}
		for _, d := range j.in.Report.Auth.DKIM {
			if d.Result == "pass" && !slices.Contains(domains, d.Domain) {
				domains = append(domains, d.Domain)
			}
		}
	}
	if domains == nil {
		return ""
	}
	return fmt.Sprintf("the DKIM signature of %s, good on arrival, does not verify behind this gateway", strings.Join(domains, ", "))
}
