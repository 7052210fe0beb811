package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/disk"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
)

// A depot is the hold queue of a running gateway, with what people ask of it. Commands leave their wishes as files in
// a directory of its own, for the queue belongs to one process.
type depot struct {
	*forward.Hold
	dir       *forward.Dir
	requests  string
	custodian *gateway.Custodian
	damaged   func(files []string)
	log       *slog.Logger

	mu      sync.Mutex
	gaveUp  int // messages, since the start
	lastUp  time.Time
	lastWhy string
}

// holdDir is where the queue is, below the data directory.
func holdDir(data string) string { return filepath.Join(data, "hold") }

// requestDir is where commands leave their wishes.
func requestDir(data string) string { return filepath.Join(data, "hold-requests") }

// openDepot opens the hold queue. Nothing is sent before run.
func (w *works) openDepot() (*depot, error) {
	c := w.cfg.Hold
	d := &depot{requests: requestDir(w.dir), log: w.log}
	d.custodian = &gateway.Custodian{
		Quarantine: w.quarantine, Journal: w.recorder(), Retention: w.cfg.Quarantine.Retention.Policy, Alarm: d.alarm,
	}
	if err := os.MkdirAll(d.requests, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of hold requests: %w", err)
	}
	keys, err := disk.ParseKeys(w.cfg.Quarantine.Key.Reveal())
	if err != nil {
		return nil, fmt.Errorf("quarantine.key: %w", err)
	}
	if d.dir, err = forward.OpenDir(holdDir(w.dir)); err != nil {
		return nil, err
	}
	d.Hold, err = forward.OpenHold(forward.HoldConfig{
		Directory: d.dir, Sender: w.carrier, GiveUp: d.custodian.GiveUp, Lifetime: c.Lifetime, MaxBytes: int64(c.MaxBytes),
		Keys: keys, Teller: w.notices(),
		Tried: func(h forward.Held, out []forward.Outcome) {
			w.troubles.note("journal", d.custodian.Tried(h, out))
		},
		Noted: d.custodian.Noted, Cancelled: d.custodian.Cancelled,
		Trouble: func(id string, err error) {
			w.log.Error("held message", "id", id, "error", err.Error())
			w.troubles.note("hold queue", fmt.Errorf("message %s: %w", id, err))
		},
	})
	if err != nil {
		return nil, errors.Join(err, d.dir.Close())
	}
	d.damaged = func(files []string) {
		w.log.Error("hold queue has damaged files, set aside as *.damaged", "files", files)
		w.troubles.note("hold queue files", fmt.Errorf("%d damaged files were set aside, the first is %s", len(files), files[0]))
	}
	return d, nil
}

// notices tells senders of what is refused for good; nil where nobody shall be told.
func (w *works) notices() forward.Teller {
	if w.cfg.Hold.Notify != "authenticated" {
		return nil
	}
	return &gateway.Notices{
		Hostname: w.cfg.Hostname, Journal: w.recorder(), Now: time.Now,
		Recent: func(ctx context.Context, since time.Time, fn func(*journal.Record) error) error {
			return w.reader.Scan(ctx, since, time.Now(), fn)
		},
		Failed: func(h forward.Held, err error) {
			w.log.Warn("a sender is not told of a refusal", "id", h.Envelope.ID, "error", err.Error())
		},
	}
}

// alarm remembers that a message was given up.
func (d *depot) alarm(h forward.Held, why []forward.Outcome) {
	d.log.Error("held mail is given up and in the quarantine now", "id", h.Envelope.ID, "recipients", len(why), "reply", why[0].Reply.Error())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gaveUp++
	d.lastUp, d.lastWhy = time.Now(), h.Envelope.ID+": "+why[0].Reply.Error()
}

// alarmed is how long a message given up is shown as a trouble; the quarantine shows it until somebody decides.
const alarmed = 24 * time.Hour

// givenUp is how many messages were given up since the start, and the trouble with the last of them.
func (d *depot) givenUp() (n int, last time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gaveUp > 0 && time.Since(d.lastUp) < alarmed {
		err = fmt.Errorf("%d given up, the last %s", d.gaveUp, d.lastWhy)
	}
	return d.gaveUp, d.lastUp, err
}

// lookEvery is how often wishes are looked for.
const lookEvery = time.Second

// run delivers what is on hold and does what people ask, until ctx ends.
func (d *depot) run(ctx context.Context) {
	var looking sync.WaitGroup
	looking.Go(func() {
		t := time.NewTicker(lookEvery)
		defer t.Stop()
		for {
			d.answer()
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	})
	looking.Go(func() { // what was on hold before the start is read while mail flows
		if files := d.Load(ctx); len(files) > 0 {
			d.damaged(files)
		}
	})
	d.Run(ctx)
	looking.Wait()
}

// answer does what wishes ask for, and takes them away.
func (d *depot) answer() {
	answerWishes(d.requests, d.fulfil, func(err error) { d.log.Warn("request to the hold queue", "error", err.Error()) })
}

// fulfil does what one wish asks for.
func (d *depot) fulfil(w wish) error {
	switch w.Do {
	case "retry":
		return d.Retry(w.IDs...)
	case "cancel":
		var errs []error
		for _, id := range w.IDs {
			errs = append(errs, d.cancel(id, w.By))
		}
		return errors.Join(errs...)
	}
	return fmt.Errorf("read request: it asks for %q", w.Do)
}

// cancel removes a message for good; that, and who wanted it, is recorded.
func (d *depot) cancel(id, by string) error {
	if err := d.Cancel(id, by); err != nil {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	return nil
}

// close gives the directory up.
func (d *depot) close() error { return d.dir.Close() }
