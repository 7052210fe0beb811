package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost/filters"
	"gatepost/filters/bayes"
	"gatepost/filters/content"
	"gatepost/filters/mail"
	"gatepost/gateway/trial"
	"gatepost/policy"
	"gatepost/rules"
)

// parts is in how many the mail to learn from is cut, each judged by what was learnt from the others.
const parts = 5

// key is the site's secret of trials.
const key bayes.Seed = 1

// A trained is mail that was judged untrained, with its tokens: what a model says of it can be added without looking at
// it again.
type trained struct {
	trial.Case
	fold   int
	mail   *mail.Message
	lesson bayes.Lesson
}

// folds tells how the halves that are learnt from fare among themselves: untrained; each fifth judged by what was learnt
// from the others; and each source by what was learnt without it. What is decided by these figures, the other halves may
// judge.
func (b *bench) folds() error {
	p, err := shipped()
	if err != nil {
		return err
	}
	list, err := b.facts(func(m sample) bool { return m.half == 0 })
	if err != nil {
		return err
	}
	fmt.Fprintln(b.out, "Within the halves that are learnt from, held or worse:")
	t := b.table("")
	if err := b.told(t, "untrained", casesOf(list)); err != nil {
		return err
	}
	var all []trial.Case
	for k := range parts {
		some, err := judged(p, list, func(c *trained) bool { return c.fold != k }, func(c *trained) bool { return c.fold == k })
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	slices.SortStableFunc(all, func(a, c trial.Case) int { return strings.Compare(a.Set+a.Name, c.Set+c.Name) })
	if err := b.told(t, "each fifth by the others", all); err != nil {
		return err
	}
	for _, s := range strange() {
		all = all[:0]
		for k := range parts {
			some, err := judged(p, list,
				func(c *trained) bool { return c.fold != k && !slices.Contains(s.without, c.Set) },
				func(c *trained) bool { return c.fold == k })
			if err != nil {
				return err
			}
			all = append(all, some...)
		}
		if err := b.told(t, s.title, all); err != nil {
			return err
		}
	}
	t.flush()
	return nil
}

// shipped is the policy as a site has it that changed nothing, with the points that rules bring along.
func shipped() (*policy.Policy, error) {
	set, problems := rules.Load(nil, nil)
	if len(problems) > 0 {
		return nil, errors.New(problems[0].Error())
	}
	p, problems := policy.Parse("", nil, policy.Options{Weights: content.Weights(set)})
	if len(problems) > 0 {
		return nil, errors.New(problems[0].Error())
	}
	return p, nil
}

// told adds a row and keeps the report.
func (b *bench) told(t *sheet, title string, cases []trial.Case) error {
	r := trial.New(cases)
	t.row(title, "", held(r))
	return b.keep("folds "+title, r)
}

func casesOf(list []*trained) (cases []trial.Case) {
	for _, c := range list {
		cases = append(cases, c.Case)
	}
	return cases
}

// facts judges mail untrained and reads its tokens. What was found is kept beside the mail, for as long as the program is
// the same.
func (b *bench) facts(want func(sample) bool) ([]*trained, error) {
	mails := b.pick(want)
	cases, err := b.scanned(mails)
	if err != nil {
		return nil, err
	}
	list := make([]*trained, len(mails))
	for i, m := range mails {
		content, err := os.ReadFile(m.path)
		if err != nil {
			return nil, err
		}
		c := &trained{Case: cases[i], fold: int(crc32.ChecksumIEEE([]byte(m.name))>>9) % parts, mail: mail.Parse(mail.Memory(content))}
		if c.lesson.Tokens, err = bayes.Unpack(bayes.Pack(key.Tokens(c.mail))); err != nil {
			return nil, err
		}
		c.lesson.Spam = m.spam
		list[i] = c
	}
	return list, nil
}

// scanned judges mail untrained, or reads what was kept.
func (b *bench) scanned(mails []sample) ([]trial.Case, error) {
	kept := filepath.Join(b.work, "untrained.json")
	program, err := os.Stat(b.binary)
	if err != nil {
		return nil, err
	}
	var cases []trial.Case
	if info, err := os.Stat(kept); err == nil && info.ModTime().After(program.ModTime()) {
		text, err := os.ReadFile(kept)
		if err == nil && json.Unmarshal(text, &cases) == nil && len(cases) == len(mails) {
			return cases, nil
		}
	}
	g, err := newGatepost(b.binary, filepath.Join(b.work, "gatepost"), b.names)
	if err != nil {
		return nil, err
	}
	if cases, err = g.judge(mails); err != nil {
		return nil, err
	}
	text, err := json.Marshal(cases)
	if err != nil {
		return nil, err
	}
	return cases, os.WriteFile(kept, text, 0o600)
}

// A fixed model is the source of a filter.
type fixed struct{ model *bayes.Model }

func (f fixed) Model() (*bayes.Model, error) { return f.model, nil }

// judged adds to the mail for which judge says so what a model finds that learnt from the mail for which teach says so.
func judged(p *policy.Policy, list []*trained, teach, judge func(*trained) bool) ([]trial.Case, error) {
	var lessons []bayes.Lesson
	for _, c := range list {
		if teach(c) {
			lessons = append(lessons, c.lesson)
		}
	}
	m, err := bayes.Fit(context.Background(), key, lessons)
	if err != nil {
		return nil, err
	}
	f := bayes.New(bayes.Config{MinSpam: 20, MinHam: 20}, fixed{m})
	to, err := mail.ParseRecipient(rcpt)
	if err != nil {
		return nil, err
	}
	env := &mail.Envelope{Remote: netip.MustParseAddr(client), RemoteName: helo, Helo: helo, Rcpts: []mail.Address{to}}
	var cases []trial.Case
	for _, c := range list {
		if !judge(c) {
			continue
		}
		facts, err := f.Check(context.Background(), &mail.Mail{Envelope: env, Message: c.mail})
		if err != nil {
			return nil, err
		}
		cases = append(cases, with(p, c.Case, env, facts.Findings))
	}
	return cases, nil
}

// with is a case as it would have been judged with more findings.
func with(p *policy.Policy, c trial.Case, env *mail.Envelope, more []filters.Finding) trial.Case {
	rep := &filters.Report{Facts: filters.Facts{Message: c.Result.Message, Auth: c.Result.Auth, Attachments: c.Result.Attachments, Findings: more}}
	for _, f := range c.Result.Findings {
		if f.Filter != "policy" {
			rep.Findings = append(rep.Findings, f.Finding)
		}
	}
	r := policy.NewResult(env, rep, p.Decide(env, rep))
	c.Result = &r
	return c
}
