package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/gateway/admin"
	"gatepost/gateway/db"
	"gatepost/gateway/disk"
	"gatepost/gateway/journal"
)

// journalDir is where this gateway writes its journal, below the data directory.
func journalDir(data string) string { return filepath.Join(data, "journal") }

// nodeOf names the gateway of a data directory: by what stands in its file node, which the daemon makes, so that it stays the
// same gateway whatever its machine is called. Without the file it is no gateway yet.
func nodeOf(data string, daemon bool) (string, error) {
	path := filepath.Join(data, "node")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !daemon {
			return "", nil
		}
		b = []byte(rand.Text() + "\n")
		err = disk.WriteFile(disk.OS{}, path, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
	}
	if err != nil {
		return "", fmt.Errorf("read name of this gateway: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// openJournal opens the journal, and what gateways that share a store know beside it.
func (w *works) openJournal(ctx context.Context, daemon bool) (err error) {
	dir := journalDir(w.dir)
	if w.journal, err = journal.Open(dir, journal.Options{Daemon: daemon}); err != nil {
		return err
	}
	w.reader = journal.NewReader(dir)
	w.commons, err = openCommons(ctx, w.db, w.dir, daemon)
	if w.commons != nil {
		w.reader = w.reader.Join(w.commons)
	}
	return err
}

// openCommons opens the records of all gateways that share d; nil if none do.
func openCommons(ctx context.Context, d *db.DB, data string, daemon bool) (*journal.Commons, error) {
	if !d.Shared() {
		return nil, nil
	}
	node, err := nodeOf(data, daemon)
	if err != nil {
		return nil, err
	}
	return journal.OpenCommons(ctx, d, node, 0)
}

// records reads the journal, beside whoever writes it, and with the records of other gateways where they share a store. The
// store stays open until the command ends.
func (s *site) records(a *app) *journal.Reader {
	dir := string(s.cfg.DataDir)
	r := journal.NewReader(journalDir(dir))
	a.atEnd = append(a.atEnd, func() {
		if n := r.Damaged(); n > 0 {
			fmt.Fprintf(a.errs, "gatepost: %d damaged lines of the journal in %s were passed over: what they told is missing here\n", n, journalDir(dir))
		}
	})
	if place, err := db.Locate(s.cfg.StoreURL()); err != nil || !place.Shared {
		return r
	}
	ctx, cancel := context.WithTimeout(a.ctx, recallTime)
	defer cancel()
	d, err := db.Open(s.cfg.StoreURL())
	if err == nil {
		err = d.Check(ctx)
	}
	var c *journal.Commons
	if err == nil {
		c, err = openCommons(ctx, d, dir, false)
	}
	if err != nil {
		fmt.Fprintf(a.errs, "gatepost: only the records of this gateway are read: %v\n", err)
		return r
	}
	return r.Join(c)
}

// share ships the journal to the other gateways until ctx ends.
func (w *works) share(ctx context.Context) {
	if w.commons != nil {
		w.running.Go(func() {
			w.commons.Run(ctx, journal.NewReader(journalDir(w.dir)), func(err error) { w.troubles.note("shared journal", err) })
		})
	}
}

// maxLag is how long records may wait to be shipped before that is a trouble.
const maxLag = time.Minute

// shareHealth is the shared journal's part of the gateway's health.
func (s *service) shareHealth(add func(name string, err error, severity admin.Severity, since time.Time, effect, hint string)) {
	if s.commons == nil {
		return
	}
	lag := s.commons.Lag()
	var err error
	if lag > maxLag {
		err = fmt.Errorf("records wait since %s", lag.Round(time.Second))
	}
	add("journal shared with other gateways", err, admin.Warning, time.Now().Add(-lag), "Other gateways do not see the latest records of this one; none is lost.", storeHint)
}

// shareGauges are the shared journal's numbers.
func (s *service) shareGauges() []admin.Gauge {
	if s.commons == nil {
		return nil
	}
	return []admin.Gauge{{Name: "gatepost_journal_lag_seconds", Help: "For how long records wait to be seen by other gateways.", Value: s.commons.Lag().Seconds()}}
}
