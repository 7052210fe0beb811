package fault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway/journal"
)

func refusal(i int) *journal.Record {
	return &journal.Record{Kind: journal.Refusal, ID: fmt.Sprintf("r%04d", i), Verb: "RCPT"}
}

// ids is what a journal on fs holds.
func ids(t *testing.T, fs *FS) map[string]int {
	t.Helper()
	j, err := journal.Open("/j", journal.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	if err := j.Scan(context.Background(), time.Time{}, time.Time{}, func(r *journal.Record) error {
		got[r.ID]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestJournalGivesUpAfterTenSeconds: S-04, FP-24. While the disk is full records wait in memory; after ten seconds the
// next is refused, so that nothing is accepted unlogged; when there is room again all of them are written.
func TestJournalGivesUpAfterTenSeconds(t *testing.T) {
	for _, kind := range []string{"create", "write", "sync", "syncdir"} {
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO, Short{7}} {
			synctest.Test(t, func(t *testing.T) {
				fs := NewFS()
				var bad atomic.Bool
				fs.Hook = func(op Op) error {
					if bad.Load() && op.Kind == kind {
						return fault
					}
					return nil
				}
				j, err := journal.Open("/j", journal.Options{FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				when := fmt.Sprintf("%s fails with %v", kind, fault)
				appended := 0
				add := func() error {
					err := j.Append(refusal(appended))
					if err == nil {
						appended++
					}
					synctest.Wait()
					return err
				}
				began := kind == "create" || kind == "syncdir" // only a new file meets these
				if !began {
					if err := errors.Join(add(), j.Sync()); err != nil {
						t.Fatal(err)
					}
				}
				bad.Store(true)
				for range 9 {
					if err := add(); err != nil {
						t.Fatalf("%s: refused within ten seconds: %v", when, err)
					}
					time.Sleep(time.Second)
				}
				if err := j.Health(); err == nil {
					t.Errorf("%s: healthy", when)
				}
				time.Sleep(3 * time.Second)
				if err := add(); !errors.Is(err, journal.ErrUnwritable) {
					t.Errorf("%s: after twelve seconds: %v", when, err)
				}
				bad.Store(false)
				time.Sleep(time.Second)
				if err := add(); err != nil {
					t.Errorf("%s: room again, and refused: %v", when, err)
				}
				if err := errors.Join(j.Health(), j.Close()); err != nil {
					t.Errorf("%s: %v", when, err)
				}
				// After power is lost everything must be there; what stood in a file that failed, perhaps twice.
				after := fs.Crash(func(n int) int { return n - 1 })
				got := ids(t, after)
				if len(got) != appended {
					t.Errorf("%s: %d of %d records survive", when, len(got), appended)
				}
			})
		}
	}
}

// TestJournalSurvivesEveryCrash: what was appended before Sync returned is there after any crash; no line is half.
func TestJournalSurvivesEveryCrash(t *testing.T) {
	fs := NewFS()
	j, err := journal.Open("/j", journal.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	type moment struct {
		fs     *FS
		synced int
	}
	var moments []moment
	synced := 0
	fs.Hook = func(Op) error {
		moments = append(moments, moment{fs.clone(), synced})
		return nil
	}
	for i := range 5 {
		if err := errors.Join(j.Append(refusal(i)), j.Sync()); err != nil {
			t.Fatal(err)
		}
		synced = i + 1
	}
	fs.Hook = nil
	moments = append(moments, moment{fs.clone(), synced})
	_ = j.Close()
	for _, m := range moments {
		Choices(100, func(pick func(int) int) {
			got := ids(t, m.fs.Crash(pick))
			for i := range m.synced {
				if got[refusal(i).ID] != 1 {
					t.Errorf("%d records were synced, and %s is there %d times", m.synced, refusal(i).ID, got[refusal(i).ID])
				}
			}
		})
	}
}

// TestSealingSurvivesEveryFault: the raw segment stays until its sealed form is durable.
func TestSealingSurvivesEveryFault(t *testing.T) {
	for n, failed := 0, true; failed; n++ {
		synctest.Test(t, func(t *testing.T) {
			fs := NewFS()
			left, err := journal.Open("/j", journal.Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if err := left.Append(refusal(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := left.Close(); err != nil {
				t.Fatal(err)
			}
			failed = false
			seen := 0
			fs.Hook = func(op Op) error {
				if name := filepath.Base(op.Name); !strings.Contains(name, ".zst") && !strings.Contains(name, ".idx") && op.Kind != "remove" {
					return nil
				}
				if seen++; seen-1 == n {
					failed = true
					return syscall.EIO
				}
				return nil
			}
			daemon, err := journal.Open("/j", journal.Options{FS: fs, Daemon: true})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if err := daemon.Close(); err != nil {
				t.Fatal(err)
			}
			fs.Hook = nil
			for what, fs := range map[string]*FS{"after the fault": fs, "after a crash": fs.Crash(func(n int) int { return n - 1 })} {
				if got := ids(t, fs); len(got) != 3 {
					t.Errorf("%s at operation %d: %v", what, n, got)
				}
			}
		})
	}
}
