package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/config"
	"gatepost/gateway/journal"
	"gatepost/gateway/state"
)

// greylistCmd groups the commands of greylisting. They work beside a running gateway, as those of the hold queue do.
type greylistCmd struct {
	List greylistListCmd `cmd:"" help:"List senders of doubtful mail that were asked to come again, newest first."`
	Pass greylistPassCmd `cmd:"" help:"Let a waiting sender through at its next try."`
}

// A passer knows who waits and lets them through. *state.Local and *state.Redis are passers.
type passer interface {
	Visits(ctx context.Context) ([]state.Visit, error)
	Pass(ctx context.Context, id string, life time.Duration) (state.Visit, error)
}

// greylistDir is where commands leave their wishes.
func greylistDir(data string) string { return filepath.Join(data, "greylist-requests") }

// answerGreylist does what commands ask for, until ctx ends.
func (w *works) answerGreylist(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		answerWishes(greylistDir(w.dir), func(asked wish) error { return w.letThrough(ctx, asked) },
			func(err error) { w.log.Warn("request to the greylist", "error", err.Error()) })
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// letThrough lets senders through and records who wanted it.
func (w *works) letThrough(ctx context.Context, asked wish) error {
	if asked.Do != "pass" {
		return fmt.Errorf("read request: it asks for %q", asked.Do)
	}
	life := w.gate.Config().Greylist.Life
	var errs []error
	for _, id := range asked.IDs {
		v, err := w.waiting.Pass(ctx, id, life)
		if err != nil {
			errs = append(errs, fmt.Errorf("pass %s: %w", mail.Printable(id, 80), err))
			continue
		}
		now := time.Now()
		rec := &journal.Record{V: journal.Version, Kind: journal.Management, ID: mail.NewID(now), Time: now, Actor: asked.By, Action: "greylist pass",
			From: v.From, Rcpts: []string{v.Rcpt}, Note: "let through " + v.Who}
		errs = append(errs, w.journal.Append(rec))
	}
	return errors.Join(errs...)
}

// visits lists who waits and who was let through, beside a running gateway.
func (a *app) visits() ([]state.Visit, *config.Config, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return nil, nil, err
	}
	list, err := state.ReadVisits(memoryFile(string(cfg.DataDir)), time.Now())
	if url := cfg.State.URL.Reveal(); url != "" && err == nil {
		shared, err := state.NewRedis(state.RedisConfig{URL: url, Keys: 1, Now: time.Now})
		if err != nil {
			return nil, nil, err
		}
		defer shared.Close()
		ctx, cancel := context.WithTimeout(a.ctx, 10*time.Second)
		defer cancel()
		theirs, err := shared.Visits(ctx)
		if err != nil {
			fmt.Fprintln(a.errs, "gatepost: the shared state cannot be read; this is what the gateway on this machine knows")
		}
		list = joined(theirs, list)
	}
	return list, cfg, err
}

// joined is the first list, and what only the second has.
func joined(first, second []state.Visit) []state.Visit {
	seen := make(map[string]bool, len(first))
	for _, v := range first {
		seen[v.ID] = true
	}
	for _, v := range second {
		if !seen[v.ID] {
			first = append(first, v)
		}
	}
	return first
}

// greylistListCmd is `gatepost greylist list`.
type greylistListCmd struct {
	JSON bool `name:"json" help:"Print one JSON array."`
	All  bool `help:"List those that were let through as well."`
}

// Run lists.
func (c *greylistListCmd) Run(a *app) error {
	list, _, err := a.visits()
	if err != nil {
		return err
	}
	shown := []state.Visit{}
	for _, v := range list {
		if c.All || !v.Passed {
			shown = append(shown, v)
		}
	}
	if c.JSON {
		return writeLine(a.out, shown)
	}
	if len(shown) == 0 {
		_, err := fmt.Fprintln(a.out, "nobody waits")
		return err
	}
	t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tFIRST\tTRIED\tSENDER\tFROM\tTO\tSTATE")
	for _, v := range shown {
		standing := "waits"
		if v.Passed {
			standing = "let through"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t<%s>\t%s\t%s\n", v.ID, v.First.UTC().Format("2006-01-02 15:04:05"), v.Tries,
			mail.Printable(v.Who, 60), mail.Printable(v.From, 60), mail.Printable(v.Rcpt, 60), standing)
	}
	return t.Flush()
}

// greylistPassCmd is `gatepost greylist pass`.
type greylistPassCmd struct {
	IDs []string `arg:"" name:"id" help:"Ids of the list."`
}

// Run asks for the pass and says whether it came about.
func (c *greylistPassCmd) Run(a *app) error {
	list, cfg, err := a.visits()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, v := range list {
		known[v.ID] = true
	}
	for _, id := range c.IDs {
		if !known[id] {
			return fmt.Errorf("%s: %w", mail.Printable(id, 80), state.ErrNoVisit)
		}
	}
	done, err := wish{Do: "pass", IDs: c.IDs, By: operator()}.ask(greylistDir(string(cfg.DataDir)))
	if err != nil {
		return err
	}
	if !done {
		return errors.New("no gateway is running on this data directory")
	}
	_, err = fmt.Fprintln(a.out, "let through at the next try")
	return err
}
