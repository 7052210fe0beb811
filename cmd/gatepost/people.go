package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/filters/spoof"
	"gatepost/gateway/db"
	"gatepost/gateway/journal"
	"gatepost/gateway/people"
	"gatepost/policy"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
)

// newBook makes an empty memory of people.
func newBook() (*people.Book, error) {
	look, err := lookalike.Shipped()
	if err != nil {
		return nil, fmt.Errorf("load look-alike letters: %w", err)
	}
	known, err := sites.Shipped()
	if err != nil {
		return nil, fmt.Errorf("load known sites: %w", err)
	}
	return people.New(people.Limits{}, look, known), nil
}

// recallTime is how long a command waits for the memory of people.
const recallTime = 15 * time.Second

// recall fills the memory with what a gateway on the same store has written down, if there is one; nothing is made or changed.
func (s *site) recall(ctx context.Context) error {
	place, err := db.Locate(s.cfg.StoreURL())
	if err != nil || s.cfg.File == "" {
		return err
	}
	if _, err := os.Stat(place.Name); err != nil && !place.Shared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recallTime)
	defer cancel()
	d, err := db.Open(s.cfg.StoreURL())
	if err != nil {
		return err
	}
	defer d.Close()
	store, err := people.Open(ctx, d)
	if err != nil {
		return err
	}
	return store.Load(ctx, s.people)
}

// vipsOf are the people of the policy's lists.
func vipsOf(p *policy.Policy) []spoof.Person {
	var list []spoof.Person
	for _, x := range p.People() {
		list = append(list, spoof.Person{Name: x.Name, Addresses: x.Addresses})
	}
	return list
}

// openMemory opens what is remembered of people and fills the book with it.
func (w *works) openMemory(ctx context.Context) error {
	var err error
	if w.contacts, err = people.Open(ctx, w.db); err != nil {
		return err
	}
	return w.contacts.Load(ctx, w.people)
}

// A learner appends to the journal and lets the memories of people and of traffic learn from what came, that of people only from what was
// accepted without doubt.
type learner struct {
	recorder
	w *works
}

// Append records, and observes what was recorded.
func (l learner) Append(rec *journal.Record) error {
	err := l.recorder.Append(rec)
	if err == nil {
		l.w.trail.came(rec, l.w.gateway.Snapshot().Policy)
	}
	if err == nil && rec.Kind == journal.Message && rec.Decision != nil && rec.Decision.Action == policy.Accept && rec.Report != nil && rec.Report.Message != nil {
		_, ours := l.w.gateway.Snapshot().Domains[rec.Report.Message.FromDomain]
		if o := observation(rec, ours); len(o.Rcpts) > 0 {
			l.w.people.Observe(o)
		}
	}
	return err
}

// observation is what a record teaches: who wrote to whom, by which names, and what was linked to. It keeps nothing of the message alive.
func observation(rec *journal.Record, ours bool) people.Observation {
	m := rec.Report.Message
	o := people.Observation{Time: rec.Time, Author: strings.Clone(m.From), Name: strings.Clone(m.FromName), Ours: ours}
	if a := rec.Report.Auth; a != nil {
		o.Proven = a.Domain != "" && a.Domain == m.FromDomain
	}
	names := map[string]string{}
	for _, field := range [...]string{"to", "cc"} {
		for _, value := range m.Header.Values(field) {
			for _, box := range mail.ParseMailboxes(value[:min(len(value), maxNamed)]) {
				names[spoof.Canonical(box)] = strings.Clone(box.Name)
			}
		}
	}
	for _, f := range rec.Fates {
		if f.Fate != "delivered" && f.Fate != "held" {
			continue
		}
		if a, err := mail.ParseAddress(f.Rcpt); err == nil {
			o.Rcpts = append(o.Rcpts, people.Reader{Address: a.Canonical(), Name: names[a.Canonical()]})
		}
	}
	seen := map[string]bool{"": true}
	for _, u := range rec.Report.URLs {
		if !seen[u.Domain] {
			seen[u.Domain] = true
			o.Links = append(o.Links, strings.Clone(u.Domain))
		}
	}
	return o
}

// maxNamed is how much of a field is read for the names of recipients.
const maxNamed = 4 << 10

// peopleCmd groups the commands about what was learnt of people.
type peopleCmd struct {
	List   peopleListCmd   `cmd:"" help:"Show who was learnt, the most seen first."`
	Forget peopleForgetCmd `cmd:"" help:"Forget all about an address, or about a domain and its addresses."`
}

// peopleListCmd is `gatepost people list`.
type peopleListCmd struct {
	Kind  string `arg:"" optional:"" default:"ours" help:"ours (this site's people), senders, partners (their domains) or links (domains that mail led to)."`
	Word  string `help:"Only what contains this word."`
	Limit int    `default:"100" help:"At most so many."`
	JSON  bool   `name:"json" help:"Print one JSON array."`
}

// Run prints the list.
func (c *peopleListCmd) Run(a *app) error {
	return withPeople(a, func(s *people.Store) error {
		list, err := s.List(a.ctx, people.Query{Kind: people.Kind(c.Kind), Word: c.Word, Limit: c.Limit})
		if err != nil {
			return err
		}
		if c.JSON {
			return writeLine(a.out, list)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(a.out, "nobody was learnt, or nobody of the kind")
			return err
		}
		t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "WHO\tNAME\tFIRST\tLAST\tMESSAGES\tAUTHENTICATED\tUSED")
		for _, e := range list {
			first := "-"
			if !e.First.IsZero() {
				first = e.First.Format(time.DateOnly)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%t\n", mail.Printable(e.Who, 320), mail.Printable(e.Name, 60), first, e.Last.Format(time.DateOnly), e.Messages, e.Proven, e.Used)
		}
		return t.Flush()
	})
}

// peopleForgetCmd is `gatepost people forget`.
type peopleForgetCmd struct {
	Who []string `arg:"" help:"Addresses or domains."`
}

// Run forgets.
func (c *peopleForgetCmd) Run(a *app) error {
	return withPeople(a, func(s *people.Store) error {
		for _, who := range c.Who {
			n, err := s.Forget(a.ctx, who)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(a.out, "%s: %d memories forgotten\n", mail.Printable(who, 320), n); err != nil {
				return err
			}
		}
		return nil
	})
}

// withPeople runs do with the memory's store open.
func withPeople(a *app, do func(*people.Store) error) error {
	return withStores(a, func(w *works) error {
		s, err := people.Open(a.ctx, w.db)
		if err != nil {
			return err
		}
		return do(s)
	})
}
