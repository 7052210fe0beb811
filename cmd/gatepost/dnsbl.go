package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"gatepost/filters/catalog"
	"gatepost/filters/dnsbl"
	"gatepost/gateway/admin"
	"gatepost/rules/dnslists"
)

// A listWatch tests the block lists in use from time to time, so that one that went wrong is known before it is asked.
type listWatch struct {
	sentry *dnsbl.Sentry
	asker  listAsker
	log    *slog.Logger
	lists  atomic.Pointer[[]dnsbl.List]
}

// newListWatch watches the lists of a site.
func newListWatch(s *site, log *slog.Logger) *listWatch {
	w := &listWatch{sentry: s.sentry, asker: listAsker{s.resolver.Unlimited()}, log: log}
	w.use(s)
	return w
}

// use makes the lists of s the ones to watch.
func (w *listWatch) use(s *site) {
	lists := catalog.Lists(s.cfg.Filters)
	w.lists.Store(&lists)
}

// states are the lists' states now.
func (w *listWatch) states() []dnsbl.State { return w.sentry.States(*w.lists.Load()) }

// listsEvery is how often is looked whether a list is to be tested; the sentry knows which.
const listsEvery = time.Minute

// run tests until the context ends.
func (w *listWatch) run(ctx context.Context) {
	t := time.NewTicker(listsEvery)
	defer t.Stop()
	muted := map[string]string{}
	for {
		w.sentry.Test(ctx, w.asker, *w.lists.Load())
		for _, s := range w.states() {
			switch was := muted[s.Name]; {
			case s.Muted == was:
			case s.Muted == "":
				w.log.Info("block list counts again", "list", s.Name)
			default:
				w.log.Warn("block list is muted", "list", s.Name, "why", s.Muted)
			}
			muted[s.Name] = s.Muted
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// What a muted list does to mail, and what to do.
const (
	mutedEffect = "It is not asked, and messages say that it was not looked at."
	mutedHint   = "Use a resolver of your own rather than a public one, look whether your use is within the list's terms, or take it out of filters.dnsbl."
)

// listHealth asks the test points of the block lists in use.
func (s *site) listHealth(ctx context.Context) []diagnosis {
	lists := catalog.Lists(s.cfg.Filters)
	s.sentry.Test(ctx, listAsker{s.resolver.Unlimited()}, lists)
	var out []diagnosis
	for _, st := range s.sentry.States(lists) {
		if name := "block list " + st.Name; st.Muted != "" {
			out = append(out, diagnosis{name, isWarning, "muted, " + st.Muted, mutedEffect, mutedHint})
		} else {
			out = append(out, diagnosis{Name: name, State: isWell, Detail: "answers rightly for its test points"})
		}
	}
	return out
}

// health are the lists that are muted, for the health page.
func (w *listWatch) health(add func(name string, err error, severity admin.Severity, since time.Time, effect, hint string)) {
	for _, s := range w.states() {
		var err error
		if s.Muted != "" {
			err = errors.New(s.Muted)
		}
		add("block list "+s.Name, err, admin.Warning, s.Since, mutedEffect, mutedHint)
	}
}

// gauges are the lists' numbers.
func (w *listWatch) gauges() []admin.Gauge {
	var out []admin.Gauge
	for _, s := range w.states() {
		one := func(name, help string, value float64, counter bool) {
			out = append(out, admin.Gauge{Name: name, Help: help, Value: value, Label: "list", Of: s.Name, Counter: counter})
		}
		muted := 0.0
		if s.Muted != "" {
			muted = 1
		}
		one("gatepost_dnsbl_muted", "1 for a block list whose answers do not count now.", muted, false)
		one("gatepost_dnsbl_questions_total", "Questions to a block list.", float64(s.Asked), true)
		one("gatepost_dnsbl_listed_total", "Questions that a block list answered with a listing.", float64(s.Listed), true)
		one("gatepost_dnsbl_failures_total", "Questions to a block list without an answer that counts.", float64(s.Failed), true)
	}
	slices.SortStableFunc(out, func(a, b admin.Gauge) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// dnsblCmd groups the commands about block lists.
type dnsblCmd struct {
	List  dnsblListCmd  `cmd:"" help:"Show the lists that are known, which of them are asked, and where their terms are."`
	Check dnsblCheckCmd `cmd:"" help:"Ask the test points of the lists in use, or what they say of somebody."`
}

// dnsblListCmd is `gatepost dnsbl list`.
type dnsblListCmd struct {
	JSON bool `name:"json" help:"Print one JSON array."`
}

// A knownList is one line of dnsbl list.
type knownList struct {
	Name  string             `json:"name"`
	Asked bool               `json:"asked"`
	Asks  []dnslists.Subject `json:"asks"`
	About string             `json:"about"`
	Terms string             `json:"terms"`
}

// Run prints the lists.
func (c *dnsblListCmd) Run(a *app) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	known, err := dnslists.Shipped()
	if err != nil {
		return err
	}
	asked := catalog.Lists(cfg.Filters)
	var out []knownList
	for _, l := range known {
		out = append(out, knownList{l.Name, slices.ContainsFunc(asked, func(x dnsbl.List) bool { return x.Name == l.Name }), l.Asks, l.About, l.Terms})
	}
	for _, l := range asked {
		if !slices.ContainsFunc(known, func(x dnslists.List) bool { return x.Name == l.Name }) {
			out = append(out, knownList{l.Name, true, l.Asks, l.About, l.Terms})
		}
	}
	if c.JSON {
		return writeLine(a.out, out)
	}
	t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "LIST\tASKED\tABOUT\tTERMS")
	for _, l := range out {
		word := "no"
		if l.Asked {
			word = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", l.Name, word, l.About, l.Terms)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, "\nTo ask a list, read its terms and name it under filters.dnsbl.confirm.")
	return err
}

// dnsblCheckCmd is `gatepost dnsbl check`.
type dnsblCheckCmd struct {
	What []string `arg:"" optional:"" help:"Addresses, domains or mailboxes to ask about. Default: the lists' own test points."`
	JSON bool     `name:"json" help:"Print one JSON object a line."`
}

// Run asks the lists; it exits with 1 if one of them does not count.
func (c *dnsblCheckCmd) Run(a *app) error {
	s, err := openSite(a, siteOptions{})
	if err != nil {
		return err
	}
	lists, asker := catalog.Lists(s.cfg.Filters), listAsker{s.resolver.Unlimited()}
	if len(lists) == 0 {
		return errors.New("no list is asked: gatepost dnsbl list shows those that are known")
	}
	if len(c.What) == 0 {
		s.sentry.Test(a.ctx, asker, lists)
		return c.printStates(a, s.sentry.States(lists))
	}
	muted := false
	for _, what := range c.What {
		found, err := s.sentry.Look(a.ctx, asker, lists, what)
		if err != nil {
			return err
		}
		for _, f := range found {
			muted = muted || f.Error != ""
			if err := c.printFound(a.out, what, f); err != nil {
				return err
			}
		}
	}
	if muted {
		return exit(1)
	}
	return nil
}

// printStates prints what the test points showed.
func (c *dnsblCheckCmd) printStates(a *app, states []dnsbl.State) error {
	wrong := false
	for _, st := range states {
		wrong = wrong || st.Muted != ""
		var err error
		switch {
		case c.JSON:
			err = writeLine(a.out, st)
		case st.Muted != "":
			_, err = fmt.Fprintf(a.out, "%s: muted, %s\n", st.Name, st.Muted)
		default:
			_, err = fmt.Fprintf(a.out, "%s: answers rightly\n", st.Name)
		}
		if err != nil {
			return err
		}
	}
	if wrong {
		return exit(1)
	}
	return nil
}

// printFound prints what one list says.
func (c *dnsblCheckCmd) printFound(w io.Writer, what string, f dnsbl.Found) error {
	if c.JSON {
		return writeLine(w, struct {
			About string `json:"about"`
			dnsbl.Found
		}{what, f})
	}
	says := strings.Join(f.Says, ", ")
	switch {
	case f.Error != "":
		says = "does not count: " + f.Error
	case says == "":
		says = "not listed"
	}
	_, err := fmt.Fprintf(w, "%s: %s: %s\n", what, f.List, says)
	return err
}
