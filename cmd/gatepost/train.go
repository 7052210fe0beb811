package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"gatepost/filters/bayes"
	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/gateway/learn"
	"gatepost/gateway/mailbox"
)

// trainCmd groups what teaches filter bayes. All of it works beside a running gateway, which takes the change over
// within seconds.
type trainCmd struct {
	Spam   trainSpamCmd   `cmd:"" help:"Teach messages as spam: files, directories, Maildirs, mbox files."`
	Ham    trainHamCmd    `cmd:"" help:"Teach messages as wanted mail: files, directories, Maildirs, mbox files."`
	Forget trainForgetCmd `cmd:"" help:"Take back what was taught, as if it had never been."`
	Status trainStatusCmd `cmd:"" help:"Show what was taught and whether it is enough."`
	Both   trainBothCmd   `cmd:"" default:"withargs" hidden:"" help:"Teach both kinds at once."`
}

// trainSpamCmd is `gatepost train spam`.
type trainSpamCmd struct {
	Paths []string `arg:"" name:"path" help:"Files, directories, Maildirs, mbox files."`
	JSON  bool     `name:"json" help:"Print one JSON object."`
}

// Run teaches spam.
func (c *trainSpamCmd) Run(a *app) error {
	return train(a, c.JSON, task{"taught as spam", c.Paths, teach(bayes.Spam)})
}

// trainHamCmd is `gatepost train ham`.
type trainHamCmd struct {
	Paths []string `arg:"" name:"path" help:"Files, directories, Maildirs, mbox files."`
	JSON  bool     `name:"json" help:"Print one JSON object."`
}

// Run teaches ham.
func (c *trainHamCmd) Run(a *app) error {
	return train(a, c.JSON, task{"taught as ham", c.Paths, teach(bayes.Ham)})
}

// trainForgetCmd is `gatepost train forget`.
type trainForgetCmd struct {
	Paths []string `arg:"" name:"path" help:"The messages, as they were taught: files, directories, Maildirs, mbox files."`
	JSON  bool     `name:"json" help:"Print one JSON object."`
}

// Run takes lessons back.
func (c *trainForgetCmd) Run(a *app) error {
	return train(a, c.JSON, task{"forgotten", c.Paths, forget})
}

// trainBothCmd is `gatepost train --spam DIR --ham DIR`, and the same for the other commands as flags.
type trainBothCmd struct {
	Spam   []string `sep:"none" placeholder:"PATH" help:"Teach as spam; may be repeated."`
	Ham    []string `sep:"none" placeholder:"PATH" help:"Teach as ham; may be repeated."`
	Undo   []string `sep:"none" placeholder:"PATH" help:"Take back; may be repeated."`
	Status bool     `help:"Show what was taught."`
	JSON   bool     `name:"json" help:"With --status, print one JSON object."`
}

// Run teaches and takes back.
func (c *trainBothCmd) Run(a *app) error {
	var tasks []task
	for _, t := range []task{{"taught as spam", c.Spam, teach(bayes.Spam)}, {"taught as ham", c.Ham, teach(bayes.Ham)}, {"forgotten", c.Undo, forget}} {
		if len(t.paths) > 0 {
			tasks = append(tasks, t)
		}
	}
	if len(tasks) == 0 && !c.Status {
		return a.misused("train", "say what to learn from: gatepost train spam PATH…, gatepost train ham PATH…; or gatepost train status")
	}
	if len(tasks) > 0 {
		if err := train(a, false, tasks...); err != nil {
			return err
		}
	}
	if c.Status {
		return (&trainStatusCmd{JSON: c.JSON}).Run(a)
	}
	return nil
}

// A task is one thing to do with the messages of some paths.
type task struct {
	done  string // what is said of those that it was done to
	paths []string
	do    func(context.Context, *learn.Book, mail.Source) (changed bool, err error)
}

func teach(kind bayes.Kind) func(context.Context, *learn.Book, mail.Source) (bool, error) {
	return func(ctx context.Context, b *learn.Book, m mail.Source) (bool, error) {
		return b.Teach(ctx, learn.Lesson{Content: m, Kind: kind, By: operator()})
	}
}

func forget(ctx context.Context, b *learn.Book, m mail.Source) (bool, error) {
	err := b.Forget(ctx, m)
	if errors.Is(err, learn.ErrNotTaught) {
		return false, nil
	}
	return err == nil, err
}

// train does tasks, makes the new model, and notes in the journal who did what.
func train(a *app, asJSON bool, tasks ...task) error {
	return withStores(a, func(w *works) error {
		failed := false
		for _, t := range tasks {
			n := t.run(a, w.book)
			failed = failed || n.failed > 0
			said := fmt.Sprintf("%d messages %s, %d unchanged, %d unreadable", n.changed, t.done, n.same, n.failed)
			var err error
			if asJSON {
				err = writeLine(a.out, map[string]any{"done": t.done, "changed": n.changed, "unchanged": n.same, "unreadable": n.failed})
			} else {
				_, err = fmt.Fprintln(a.out, said)
			}
			if err != nil {
				return err
			}
			now := time.Now()
			err = w.journal.Append(&journal.Record{V: journal.Version, Kind: journal.Management, ID: mail.NewID(now), Time: now, Actor: operator(), Action: "train", Note: said})
			if err != nil {
				return fmt.Errorf("note in the journal: %w", err)
			}
		}
		if err := w.book.Refresh(a.ctx); err != nil {
			return err
		}
		if failed {
			return exit(2)
		}
		return nil
	})
}

// A tally counts messages.
type tally struct{ changed, same, failed int }

// abreast is how many messages are read at once: what is written at the same time shares one commit.
const abreast = 16

// run does the task with every message of its paths.
func (t task) run(a *app, b *learn.Book) tally {
	var n tally
	var mu sync.Mutex
	count := func(name string, changed bool, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, learn.ErrNothing):
			n.same++
		case err != nil:
			n.failed++
			if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
				err = pe.Err // name is told already
			}
			fmt.Fprintf(a.errs, "gatepost: %s: %v\n", name, err)
		case changed:
			n.changed++
		default:
			n.same++
		}
	}
	slots := make(chan struct{}, abreast)
	var running sync.WaitGroup
	for letter, err := range mailbox.All(t.paths...) {
		if err == nil {
			err = a.ctx.Err()
		}
		if err != nil {
			count(letter.Name, false, err)
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			changed, err := t.do(a.ctx, b, mail.Memory(letter.Content))
			count(letter.Name, changed, err)
		})
	}
	running.Wait()
	return n
}

// trainStatusCmd is `gatepost train status`.
type trainStatusCmd struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// A learned is what `train status` tells.
type learned struct {
	learn.Status
	NeedSpam int  `json:"need_spam"` // lessons of each kind before the filter speaks
	NeedHam  int  `json:"need_ham"`
	Speaks   bool `json:"speaks"`
}

// Run shows what was taught.
func (c *trainStatusCmd) Run(a *app) error {
	return withStores(a, func(w *works) error {
		var s bayes.Config
		w.cfg.Filters.Decode("bayes", &s)
		st, err := w.book.Status(a.ctx)
		if err != nil {
			return err
		}
		l := learned{Status: st, NeedSpam: s.MinSpam, NeedHam: s.MinHam}
		l.Speaks = l.Spam >= l.NeedSpam && l.Ham >= l.NeedHam && w.cfg.Filters.Enabled("bayes")
		if c.JSON {
			return writeLine(a.out, l)
		}
		fmt.Fprintf(a.out, "%d spam and %d ham taught\n", l.Spam, l.Ham)
		if !l.Newest.IsZero() {
			fmt.Fprintf(a.out, "between %s and %s\n", l.Oldest.UTC().Format(time.RFC3339), l.Newest.UTC().Format(time.RFC3339))
		}
		if l.Tokens > 0 {
			fmt.Fprintf(a.out, "the model knows %d tokens in %d KiB\n", l.Tokens, l.ModelBytes>>10)
		}
		switch {
		case l.Speaks:
			_, err = fmt.Fprintln(a.out, "filter bayes judges by it")
		case !w.cfg.Filters.Enabled("bayes"):
			_, err = fmt.Fprintln(a.out, "filter bayes is turned off")
		default:
			_, err = fmt.Fprintf(a.out, "filter bayes says nothing yet: it needs %d spam and %d ham\n", l.NeedSpam, l.NeedHam)
		}
		return err
	})
}

// openBook opens what the site was taught.
func (w *works) openBook(ctx context.Context) (*learn.Book, error) {
	var c bayes.Config
	w.cfg.Filters.Decode("bayes", &c)
	return learn.Open(ctx, learn.Config{Dir: w.dir, MaxLessons: c.MaxLessons, MaxAge: c.MaxAge}, w.db, w.learned)
}
