package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatepost/gateway/db"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/spool"
	"gatepost/policy"
)

// A place is a quarantine on a file system of ours, with its index in a real database.
type place struct {
	fs    *FS
	dir   string // of the database
	db    *db.DB
	spool *spool.Spool
	*quarantine.Store
}

const root = "/q"

func openPlace(t *testing.T, fs *FS, dir string, sp *spool.Spool) *place {
	t.Helper()
	d, err := db.Open("sqlite:" + filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := quarantine.New(t.Context(), quarantine.Config{}, quarantine.Deps{Dir: root, DB: d, Spool: sp, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return &place{fs: fs, dir: dir, db: d, spool: sp, Store: q}
}

func newPlace(t *testing.T) *place {
	t.Helper()
	sp, err := spool.New(spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p := openPlace(t, NewFS(), t.TempDir(), sp)
	t.Cleanup(func() { _ = p.db.Close() })
	return p
}

func content(id string) []byte {
	if strings.HasPrefix(id, "same") {
		id = "same"
	}
	return []byte("Subject: " + id + "\r\n\r\n" + strings.Repeat("some text of "+id+"\r\n", 40))
}

func (p *place) put(id string) error {
	e := &quarantine.Entry{ID: id, Class: policy.Spam, Rcpts: []quarantine.Recipient{{Address: "ann@example.com"}, {Address: "bob@example.com"}}}
	return p.Put(context.Background(), e, bytes.NewReader(content(id)))
}

// An image is what is on disk at one moment of a scenario.
type image struct {
	what  string
	crash func(pick func(int) int) *FS
	dir   string
	acked bool // the last step of the scenario had returned nil
}

// freeze copies the database as a killed process leaves it, and the file system with what is synced of it.
func (p *place) freeze(t *testing.T, what string, acked bool) image {
	dir := t.TempDir()
	for _, n := range []string{"index.db", "index.db-wal"} {
		b, err := os.ReadFile(filepath.Join(p.dir, n))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, n), b, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	frozen := p.fs.clone()
	return image{what: what, crash: frozen.Crash, dir: dir, acked: acked}
}

// images runs the last step of a scenario and freezes the world before each operation of it and after the last.
func images(t *testing.T, p *place, last func(*place) error) []image {
	t.Helper()
	var list []image
	p.fs.Hook = func(op Op) error {
		if op.Kind != "open" && op.Kind != "readdir" && op.Kind != "close" {
			list = append(list, p.freeze(t, "before "+op.Kind+" "+filepath.Ext(op.Name), false))
		}
		return nil
	}
	if err := last(p); err != nil {
		t.Fatal(err)
	}
	p.fs.Hook = nil
	return append(list, p.freeze(t, "at the end", true))
}

// check opens every entry of a recovered quarantine and returns the states of its copies by id.
func check(t *testing.T, p *place, when string) map[string]string {
	t.Helper()
	ctx := t.Context()
	if _, err := p.Recover(ctx); err != nil {
		t.Fatalf("%s: recover: %v", when, err)
	}
	list, err := p.List(ctx, quarantine.Query{})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	states := map[string]string{}
	for _, e := range list {
		c, err := p.Open(ctx, e.ID)
		if err != nil {
			t.Fatalf("%s: half a message is shown: %v", when, err)
		}
		b, _ := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if !bytes.Equal(b, content(e.ID)) {
			t.Fatalf("%s: %s has other content", when, e.ID)
		}
		_ = c.Close()
		for _, r := range e.Rcpts {
			states[e.ID] += string(r.State) + " "
		}
	}
	if bad, err := p.Verify(ctx, nil); err != nil || len(bad) > 0 {
		t.Fatalf("%s: damage %v, %v", when, bad, err)
	}
	return states
}

// TestEveryCrashPoint: P-01, P-03, FP-06 to FP-12, FP-19, FP-20. The world stops before every operation of a step and
// after the last, in every way in which unsynced things may survive or not. What Put, MarkReleased or Delete
// acknowledged must hold after recovery; nothing half is ever there.
func TestEveryCrashPoint(t *testing.T) {
	const both, one = "waiting waiting ", "waiting released "
	for _, c := range []struct {
		name   string
		before func(*place) error
		last   func(*place) error
		acked  map[string]string // what must be there once last returned nil
		always map[string]string // what must be there at any time
	}{
		{"put", nil, func(p *place) error { return p.put("a1") }, map[string]string{"a1": both}, nil},
		{
			"put content that is there", func(p *place) error { return p.put("same1") }, func(p *place) error { return p.put("same2") },
			map[string]string{"same1": both, "same2": both}, map[string]string{"same1": both},
		},
		{
			"mark released", func(p *place) error {
				_, err := p.Claim(context.Background(), "a1", quarantine.Release{Key: "k", Rcpts: []string{"bob@example.com"}})
				return err
			},
			func(p *place) error {
				return p.MarkReleased(context.Background(), "a1", "k", []quarantine.Outcome{{Address: "bob@example.com", Released: true}})
			},
			map[string]string{"a1": one}, map[string]string{"a1": ""},
		},
		{
			"delete one of two with the same content", func(p *place) error { return errors.Join(p.put("same1"), p.put("same2")) },
			func(p *place) error { return p.Delete(context.Background(), "same1", "ann", nil) },
			map[string]string{"same1": "-", "same2": both}, map[string]string{"same2": both},
		},
		{
			"delete the last", nil, func(p *place) error { return p.Delete(context.Background(), "a1", "ann", nil) },
			map[string]string{"a1": "-"}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			if c.name != "put" {
				if err := p.put("a1"); err != nil {
					t.Fatal(err)
				}
			}
			if c.before != nil {
				if err := c.before(p); err != nil {
					t.Fatal(err)
				}
			}
			n := 0
			for _, im := range images(t, p, c.last) {
				whole := Choices(300, func(pick func(int) int) {
					n++
					crashed := im.crash(pick)
					again := openPlace(t, crashed, copyDir(t, im.dir), p.spool)
					got := check(t, again, im.what)
					_ = again.db.Close()
					want := c.always
					if im.acked {
						want = c.acked
					}
					for id, states := range want {
						if states == "-" && got[id] != "" || states != "-" && (got[id] == "" || states != "" && got[id] != states) {
							t.Errorf("%s, acknowledged %v: %s is %q, want %q", im.what, im.acked, id, got[id], states)
						}
					}
				})
				if !whole {
					t.Errorf("%s: too many ways to crash", im.what)
				}
			}
			t.Logf("%d crashes", n)
		})
	}
}

// copyDir copies a directory of files.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestEveryOperationFails: S-01, S-03. Each operation of Put fails in each way: Put says so, nothing is left or shown, and
// the next Put of the same message succeeds.
func TestEveryOperationFails(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, Short{0}, Short{5}} {
		for n, failed := 0, true; failed; n++ {
			p := newPlace(t)
			from := p.fs.Ops()
			failed = false
			what := ""
			p.fs.Hook = func(op Op) error {
				if failed || op.N-from != n {
					return nil
				}
				failed, what = true, op.Kind+" "+filepath.Ext(op.Name)
				return fault
			}
			err := p.put("a1")
			p.fs.Hook = nil
			when := fmt.Sprintf("%v at %s", fault, what)
			if !failed {
				if err != nil {
					t.Errorf("without a fault: %v", err)
				}
				break
			}
			if err != nil {
				full := errors.Is(fault, syscall.ENOSPC) || errors.Is(fault, syscall.EDQUOT)
				if errors.Is(err, quarantine.ErrFull) != full {
					t.Errorf("%s: %v", when, err)
				}
				if list, _ := p.List(t.Context(), quarantine.Query{}); len(list) > 0 {
					t.Errorf("%s: refused, but shown", when)
				}
				if names := p.fs.Names(); len(names) > 0 {
					t.Errorf("%s: refused, but left %v", when, names)
				}
				if err := p.put("a1"); err != nil {
					t.Errorf("%s: the next try: %v", when, err)
				}
			}
			if got := check(t, p, when); got["a1"] == "" {
				t.Errorf("%s: not there afterwards", when)
			}
		}
	}
}

// TestBadDiskIsNotTrusted: S-03, after three failures within a minute nothing is taken.
func TestBadDiskIsNotTrusted(t *testing.T) {
	p := newPlace(t)
	p.fs.Hook = func(op Op) error {
		if op.Kind == "sync" {
			return syscall.EIO
		}
		return nil
	}
	for i := range 3 {
		if err := p.Admit(); err != nil {
			t.Errorf("after %d failures: %v", i, err)
		}
		if err := p.put("a1"); err == nil {
			t.Error("put on a disk that does not sync")
		}
	}
	if err := p.Admit(); err == nil {
		t.Error("a bad disk is trusted")
	}
}

// TestContentThatChangedIsRefused: P-08, what is stored must be what was hashed.
func TestContentThatChangedIsRefused(t *testing.T) {
	p := newPlace(t)
	e := &quarantine.Entry{ID: "a1", Rcpts: []quarantine.Recipient{{Address: "ann@example.com"}}}
	if err := p.Put(t.Context(), e, &shifty{Reader: bytes.NewReader(content("a1"))}); err == nil {
		t.Error("content that changes while it is read was stored")
	}
	if names := p.fs.Names(); len(names) > 0 {
		t.Errorf("left: %v", names)
	}
}

// shifty gives other bytes the second time.
type shifty struct {
	*bytes.Reader
	reads int
}

func (s *shifty) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.Reader.ReadAt(p, off)
	if off == 0 {
		s.reads++
	}
	if s.reads > 1 && n > 0 {
		p[0] ^= 1
	}
	return n, err
}
