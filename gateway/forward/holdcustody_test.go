package forward

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/filters/mail"
)

// TestWhatWasSaidIsNotAskedForAgain: the process ends right after the next hop took a message and that was written down.
// The next one tells of it, and sends nothing.
func TestWhatWasSaidIsNotAskedForAgain(t *testing.T) { // P-05, FP-16
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		s := newScripted(yes)
		told := 0
		h := open(t, HoldConfig{Directory: dir, Sender: s, Tried: func(Held, []Outcome) {
			told++
			dir.mu.Lock()
			dir.crashAt = dir.ops + 1 // nothing that comes after this happens
			dir.mu.Unlock()
		}})
		h.Put(t.Context(), message("m1", "x", "a@b.test"))
		during(t, h, 2*time.Minute)
		dir.crashAt = 0
		var again []string
		h = open(t, HoldConfig{Directory: dir, Sender: s, Tried: func(h Held, out []Outcome) {
			again = append(again, fmt.Sprint(h.ID, " ", out[0].Rcpt, " ", out[0].Reply))
		}})
		during(t, h, 2*time.Hour)
		if told != 1 || s.got["a@b.test"] != 1 || fmt.Sprint(again) != "[m1 a@b.test 250 2.0.0 so]" {
			t.Errorf("told %d times, then of %v; copies: %v", told, again, s.got)
		}
		if n, _ := h.Depth(); n != 0 {
			t.Errorf("%d on hold", n)
		}
	})
}

// TestWhatIsGivenUpIsNotDeliveredAsWell: the process ends while a message is taken over, and then the next hop would take it.
func TestWhatIsGivenUpIsNotDeliveredAsWell(t *testing.T) { // P-02, P-05, FP-21
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		code := 550
		s := newScripted(func(string, int) (int, error) { return code, nil })
		var ids []string
		kept := 0
		giveUp := func(_ context.Context, h Held, _ mail.Source, why []Outcome) error {
			ids = append(ids, fmt.Sprint(h.ID, "-", h.Attempts, " ", why[0].Reply.Code))
			if kept++; kept == 1 {
				dir.mu.Lock()
				dir.crashAt = dir.ops + 1
				dir.mu.Unlock()
			}
			return nil
		}
		h := open(t, HoldConfig{Directory: dir, Sender: s, GiveUp: giveUp})
		h.Put(t.Context(), message("m1", "x", "a@b.test"))
		during(t, h, 2*time.Minute)
		dir.crashAt, code = 0, 250
		h = open(t, HoldConfig{Directory: dir, Sender: s, GiveUp: giveUp})
		during(t, h, 2*time.Hour)
		if n, _ := h.Depth(); n != 0 || s.got["a@b.test"] != 0 || len(ids) != 2 || ids[0] != ids[1] {
			t.Errorf("%d on hold, %v delivered, given up as %v", n, s.got, ids)
		}
	})
}

func TestAHopThatRefusesEverySenderDoesNotEndTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		s := early{newScripted(func(string, int) (int, error) {
			if broken {
				return 550, nil
			}
			return 250, nil
		})}
		h := open(t, HoldConfig{Directory: newCrashFS(), Sender: s})
		for i := range 5 {
			h.Put(t.Context(), message(fmt.Sprint("m", i), "x", fmt.Sprintf("r%d@b.test", i)))
		}
		during(t, h, 3*time.Hour)
		if n, _ := h.Depth(); n != 5 {
			t.Errorf("%d on hold while the hop is out of order", n)
		}
		broken = false
		during(t, h, 3*time.Hour)
		if n, _ := h.Depth(); n != 0 || len(s.got) != 5 {
			t.Errorf("%d on hold, %v delivered", n, s.got)
		}
	})
}

// early is a hop that refuses at MAIL.
type early struct{ *scripted }

func (e early) Send(ctx context.Context, d Delivery) []Outcome {
	out := e.scripted.Send(ctx, d)
	for i := range out {
		out[i].Early = true
	}
	return out
}

// TestACancelledMessageIsRecordedAndNeverSent: whatever ends the process, and whether the record can be made or not.
func TestACancelledMessageIsRecordedAndNeverSent(t *testing.T) { // P-02, P-24
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		s := newScripted(yes)
		full := errors.New("journal cannot be written")
		h := open(t, HoldConfig{Directory: dir, Sender: s, Cancelled: func(Held, string) error { return full }})
		h.Put(t.Context(), message("m1", "x", "a@b.test"))
		if err := h.Cancel("m1", "shell:ops"); !errors.Is(err, full) {
			t.Errorf("cancelled with %v", err)
		}
		var by []string
		h = open(t, HoldConfig{Directory: dir, Sender: s, Cancelled: func(h Held, who string) error {
			by = append(by, h.ID+" "+who+" "+h.Rcpts[0].String())
			return nil
		}})
		during(t, h, 2*time.Hour)
		if n, _ := h.Depth(); n != 0 || len(s.got) != 0 || fmt.Sprint(by) != "[m1 shell:ops a@b.test]" {
			t.Errorf("%d on hold, %v delivered, recorded %v", n, s.got, by)
		}
	})
}

// TestWhoHasItIsRememberedThoughTheDiskForgets: progress cannot be written, and those who have the message do not get it
// again from this process.
func TestWhoHasItIsRememberedThoughTheDiskForgets(t *testing.T) { // P-05, S-03
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		s := newScripted(func(rcpt string, n int) (int, error) {
			if rcpt == "full@b.test" && n < 3 {
				return 452, nil
			}
			return 250, nil
		})
		troubles := 0
		h := open(t, HoldConfig{Directory: dir, Sender: s, Trouble: func(string, error) { troubles++ }, Tried: func(Held, []Outcome) {
			dir.mu.Lock()
			dir.failAt = dir.ops + 1 // of the next operation, which is to make the progress durable
			dir.mu.Unlock()
		}})
		h.Put(t.Context(), message("m1", "x", "a@b.test", "full@b.test"))
		during(t, h, 3*time.Hour)
		if s.got["a@b.test"] != 1 || s.got["full@b.test"] != 1 || troubles == 0 {
			t.Errorf("%v after %d troubles", s.got, troubles)
		}
	})
}

// TestADiskThatCannotReadNowSpoilsNothing: whichever read of a start fails, the message is neither set aside nor
// delivered to who has it already, and the next start finds it.
func TestADiskThatCannotReadNowSpoilsNothing(t *testing.T) { // S-03, P-05
	for at := 1; ; at++ {
		done := false
		synctest.Test(t, func(t *testing.T) {
			dir := newCrashFS()
			s := newScripted(func(rcpt string, n int) (int, error) {
				if rcpt == "full@b.test" && n < 1 {
					return 452, nil
				}
				return 250, nil
			})
			h := open(t, HoldConfig{Directory: dir, Sender: s})
			h.Put(t.Context(), message("m1", "x", "a@b.test", "full@b.test"))
			during(t, h, 80*time.Second)
			sick := &sickReads{crashFS: dir, at: at}
			h, _, err := loaded(HoldConfig{Directory: sick, Sender: s})
			if err != nil {
				t.Errorf("read %d fails: %v", at, err)
				return
			}
			done = sick.reads < at
			sick.at = 0
			during(t, h, time.Hour)
			h = open(t, HoldConfig{Directory: dir, Sender: s})
			during(t, h, time.Hour)
			if s.got["a@b.test"] != 1 || s.got["full@b.test"] != 1 {
				t.Errorf("read %d fails: %v", at, s.got)
			}
		})
		if done {
			return
		}
	}
}

// sickReads is a directory in which one read fails.
type sickReads struct {
	*crashFS
	at, reads int
}

func (s *sickReads) Open(name string) (File, error) {
	f, err := s.crashFS.Open(name)
	return sickFile{f, s}, err
}

type sickFile struct {
	File
	dir *sickReads
}

func (f sickFile) ReadAt(p []byte, at int64) (int, error) {
	if f.dir.reads++; f.dir.reads == f.dir.at {
		return 0, errDisk
	}
	return f.File.ReadAt(p, at)
}
