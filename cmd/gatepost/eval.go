package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"gatepost/filters/bayes"
	"gatepost/filters/mail"
	"gatepost/gateway/mailbox"
	"gatepost/gateway/trial"
	"gatepost/policy"
)

// evalCmd is `gatepost eval`.
type evalCmd struct {
	Ham      []string `sep:"none" placeholder:"[NAME=]PATH" help:"Wanted mail: a file, directory, Maildir or mbox; may be repeated."`
	Spam     []string `sep:"none" placeholder:"[NAME=]PATH" help:"Mail that should be held; may be repeated."`
	Train    []string `sep:"none" placeholder:"half|KIND=PATH" help:"Learn for this trial alone: from one half of the mail (half), the other being judged; or from other mail (ham=PATH, spam=PATH). Without it, what the site was taught counts."`
	ClientIP string   `name:"client-ip" placeholder:"IP" help:"Address of the client, for every message."`
	Helo     string   `help:"Name given in EHLO."`
	MailFrom string   `help:"Reverse-path."`
	Rcpt     []string `sep:"none" placeholder:"ADDRESS" help:"Recipient; may be repeated."`
	Worst    int      `default:"10" help:"How much wronged ham is shown."`
	JSON     bool     `name:"json" help:"Print one JSON object."`
}

// A knownSet is mail of which people know what it is.
type knownSet struct {
	name, path string
	spam       bool
}

// Run judges the mail and prints the report.
func (c *evalCmd) Run(a *app) error {
	sets := append(knownSets(c.Ham, false), knownSets(c.Spam, true)...)
	if len(sets) == 0 {
		return a.misused("eval", "give mail of which you know what it is: --ham PATH, --spam PATH")
	}
	if _, err := c.errand().envelope(nil); err != nil {
		return a.misused("eval", err.Error())
	}
	s, err := openSite(a, siteOptions{offline: true})
	if err != nil {
		return err
	}
	half, err := c.learn(a, s, sets)
	if err != nil {
		return err
	}
	var cases []trial.Case
	failed := 0
	for _, set := range sets {
		list, n := c.judge(a, s, set, half)
		cases, failed = append(cases, list...), failed+n
		if err := a.ctx.Err(); err != nil {
			return err // a report of what was judged so far would not say that it is one
		}
	}
	report := trial.New(cases)
	if c.JSON {
		err = writeLine(a.out, report)
	} else {
		err = report.Print(a.out, c.Worst)
	}
	if err == nil && failed > 0 {
		return exit(2)
	}
	return err
}

// errand is what the flags say of every message's envelope.
func (c *evalCmd) errand() errand {
	return errand{ClientIP: c.ClientIP, Helo: c.Helo, MailFrom: c.MailFrom, Rcpt: c.Rcpt}
}

// knownSets reads [NAME=]PATH; a path without name is known by its last part.
func knownSets(args []string, spam bool) []knownSet {
	var sets []knownSet
	for _, arg := range args {
		name, path, ok := strings.Cut(arg, "=")
		if !ok || strings.Contains(name, "/") {
			name, path = filepath.Base(arg), arg
		}
		sets = append(sets, knownSet{name, path, spam})
	}
	return sets
}

// learn teaches the site for this trial; half says that only one half of the mail is to be judged.
func (c *evalCmd) learn(a *app, s *site, sets []knownSet) (half bool, err error) {
	var from []knownSet
	for _, arg := range c.Train {
		kind, path, ok := strings.Cut(arg, "=")
		switch {
		case arg == "half":
			half, from = true, append(from, sets...)
		case ok && (kind == "ham" || kind == "spam"):
			from = append(from, knownSet{path: path, spam: kind == "spam"})
		default:
			return false, fmt.Errorf("--train %q: want half, ham=PATH or spam=PATH", arg)
		}
	}
	if len(from) == 0 {
		return false, nil
	}
	const seed bayes.Seed = 1
	var lessons []bayes.Lesson
	for _, set := range from {
		for letter, err := range mailbox.All(set.path) {
			if err != nil {
				return false, err
			}
			if set.name != "" && !toLearn(letter.Name) {
				continue
			}
			tokens, err := bayes.Unpack(bayes.Pack(seed.Tokens(mail.Parse(mail.Memory(letter.Content)))))
			if err != nil {
				return false, err
			}
			lessons = append(lessons, bayes.Lesson{Spam: set.spam, Tokens: tokens})
		}
	}
	m, err := bayes.Fit(a.ctx, seed, lessons)
	if err == nil {
		s.learned.Show(m)
	}
	return half, err
}

// toLearn parts mail in two halves by the names of its files.
func toLearn(name string) bool { return mailbox.Half(filepath.Base(name)) == 0 }

// judge judges the messages of one set, in order; what cannot be read is told and counted.
func (c *evalCmd) judge(a *app, s *site, set knownSet, half bool) (cases []trial.Case, failed int) {
	e := c.errand()
	var judging sync.WaitGroup
	slots := make(chan struct{}, cores())
	var results []*policy.Result
	var subjects []string
	var mu sync.Mutex
	for letter, err := range mailbox.All(set.path) {
		if a.ctx.Err() != nil {
			break
		}
		if err == nil && half && toLearn(letter.Name) {
			continue
		}
		env, envErr := e.envelope(letter.Content)
		if err = errors.Join(err, envErr); err != nil {
			fmt.Fprintf(a.errs, "gatepost: %v\n", err)
			failed++
			continue
		}
		mu.Lock()
		i := len(cases)
		cases = append(cases, trial.Case{Set: set.name, Spam: set.spam, Name: letter.Name})
		results, subjects = append(results, nil), append(subjects, "")
		mu.Unlock()
		slots <- struct{}{}
		judging.Go(func() {
			defer func() { <-slots }()
			in := s.inspect(a.ctx, env, letter.Content)
			r := policy.NewResult(env, &in.Report, in.Decision)
			mu.Lock()
			defer mu.Unlock()
			results[i], subjects[i] = &r, in.Message.Subject()
		})
	}
	judging.Wait()
	for i := range cases {
		cases[i].Result, cases[i].Subject = results[i], subjects[i]
	}
	return cases, failed
}
