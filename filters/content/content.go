package content

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules"
)

// Config is the filter's section. It has no settings but being switched off: which rules there are is the business of the
// configuration's rules key, what they weigh that of policy.
type Config struct{}

// A Filter is the content filter. It keeps no state but memory for the next message.
type Filter struct {
	set     *rules.Set
	rules   []rules.Rule
	says    []string // by rule: the text of its finding
	headers []field
	scratch sync.Pool // *gathered
}

// New makes the filter that applies a set of rules.
func New(_ Config, set *rules.Set) *Filter {
	f := &Filter{set: set, rules: set.Rules()}
	f.scratch.New = func() any { return &gathered{seen: map[string]bool{}} }
	for _, r := range f.rules {
		f.says = append(f.says, mail.Printable(r.English, 300))
	}
	for _, p := range set.Places() {
		if name, ok := strings.CutPrefix(p, "header:"); ok {
			f.headers = append(f.headers, field{name, p})
		}
	}
	return f
}

// Check implements filters.Filter. It always sets Facts.Text.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	g := f.scratch.Get().(*gathered)
	defer func() {
		g.forget()
		f.scratch.Put(g)
	}()
	g.gather(m, f.headers)
	facts := filters.Facts{Text: &filters.Text{Language: g.language, Words: g.words}}
	hits, complete := f.set.Match(ctx, g.texts)
	for _, h := range hits {
		facts.Findings = append(facts.Findings, f.finding(g, h))
	}
	if err := ctx.Err(); err != nil {
		return facts, fmt.Errorf("apply rules: %w", err)
	}
	if !complete {
		facts.Findings = append(facts.Findings, filters.Finding{
			Code: "content.limit", Text: "The message asks for more work than rules may do; some were not applied to all of it.",
			Proof: []filters.Evidence{{Where: "message", What: fmt.Sprintf("%d octets", m.Size())}},
		})
	}
	if g.more != "" {
		facts.Findings = append(facts.Findings, filters.Finding{
			Code: "content.long", Text: "The message is longer than rules look at; they were applied to its beginning.",
			Proof: []filters.Evidence{{Where: "message", What: g.more}},
		})
	}
	return facts, nil
}

// finding tells of a rule that holds.
func (f *Filter) finding(g *gathered, h rules.Hit) filters.Finding {
	out := filters.Finding{Code: Prefix + f.rules[h.Rule].Name, Text: f.says[h.Rule]}
	for _, p := range h.Proof {
		e := g.from[p.Text].evidence()
		if e.What == "" {
			e.What = mail.Printable(p.Quote(g.texts), 200)
		}
		if e.What == "" {
			e.What = "(nothing)"
		}
		out.Proof = append(out.Proof, e)
	}
	return out
}
