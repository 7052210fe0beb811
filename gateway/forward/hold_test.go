package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/disk"
	"gatepost/gateway/smtp"
)

// A hop that answers by script and keeps what it accepted, for Hold's Sender.
type scripted struct {
	mu     sync.Mutex
	say    func(rcpt string, n int) (code int, err error) // n: attempts for this recipient so far
	tries  map[string]int
	got    map[string]int // copies for each recipient
	bodies map[string]string
	busy   int
	most   int
	slow   time.Duration
}

func newScripted(say func(rcpt string, n int) (int, error)) *scripted {
	return &scripted{say: say, tries: map[string]int{}, got: map[string]int{}, bodies: map[string]string{}}
}

func (s *scripted) Send(ctx context.Context, d Delivery) []Outcome {
	s.mu.Lock()
	s.busy++
	s.most = max(s.most, s.busy)
	s.mu.Unlock()
	if s.slow > 0 {
		time.Sleep(s.slow)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	var out []Outcome
	for _, r := range d.Rcpts {
		code, err := s.say(r.String(), s.tries[r.String()])
		s.tries[r.String()]++
		if code == 250 {
			s.got[r.String()]++
			b, _ := io.ReadAll(d.Edits.Reader(d.Source))
			s.bodies[r.String()] = string(b)
		}
		out = append(out, Outcome{Rcpt: r, Reply: &smtp.Reply{Code: code, Enhanced: "1.2.3", Text: "so"}, Err: err})
	}
	return out
}

func yes(string, int) (int, error)     { return 250, nil }
func down(string, int) (int, error)    { return 451, ErrDown }
func refused(string, int) (int, error) { return 550, nil }

func message(id, content string, rcpts ...string) Delivery {
	d := Delivery{Envelope: &mail.Envelope{ID: id, From: sender()}, Vouched: true, Source: strings.NewReader(content), Edits: Edits{Add: "A: \xff\r\n", Drop: []mail.Span{{Start: 0, End: 1}}}}
	for _, r := range rcpts {
		a, err := mail.ParseAddress(r)
		if err != nil {
			panic(err)
		}
		d.Rcpts = append(d.Rcpts, a)
	}
	return d
}

func open(t *testing.T, cfg HoldConfig) *Hold {
	t.Helper()
	if cfg.GiveUp == nil {
		cfg.GiveUp = func(_ context.Context, h Held, _ mail.Source, why []Outcome) error {
			t.Errorf("gave up %v: %v", h.Rcpts, why[0].Reply)
			return nil
		}
	}
	h, damaged, err := loaded(cfg)
	if err != nil || len(damaged) > 0 {
		t.Fatal(damaged, err)
	}
	return h
}

// loaded is a Hold that has read all there was.
func loaded(cfg HoldConfig) (h *Hold, damaged []string, err error) {
	if h, err = OpenHold(cfg); err == nil {
		damaged = h.Load(context.Background())
	}
	return h, damaged, err
}

// during runs the hold for a while of fake time.
func during(t *testing.T, h *Hold, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	h.Run(ctx)
}

func TestHeldMailIsDeliveredWhenTheHopIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(func(_ string, n int) (int, error) {
			if n < 3 {
				return 451, ErrDown
			}
			return 250, nil
		})
		h := open(t, HoldConfig{Directory: newCrashFS(), Sender: s})
		if err := h.Put(t.Context(), message("m1", "xbody\r\n", "a@b.test")); err != nil {
			t.Fatal(err)
		}
		during(t, h, time.Hour)
		if n, bytes := h.Depth(); n != 0 || bytes != 0 || s.got["a@b.test"] != 1 || s.bodies["a@b.test"] != "A: \xff\r\nbody\r\n" {
			t.Errorf("%d on hold, %d bytes, %v %q", n, bytes, s.got, s.bodies)
		}
	})
}

func TestOnlyThoseWhoHaveNotGotItAreTriedAgain(t *testing.T) { // P-04, R-06, FP-18
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(func(rcpt string, n int) (int, error) {
			switch {
			case rcpt == "gone@b.test":
				return 550, nil
			case rcpt == "full@b.test" && n < 2:
				return 452, nil
			}
			return 250, nil
		})
		var gaveUp []string
		dir := newCrashFS()
		h := open(t, HoldConfig{Directory: dir, Sender: s, GiveUp: func(_ context.Context, h Held, src mail.Source, why []Outcome) error {
			b, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
			gaveUp = append(gaveUp, fmt.Sprint(h.Rcpts[0], len(h.Rcpts), why[0].Reply.Code, string(b), err))
			return nil
		}})
		h.Put(t.Context(), message("m1", "x", "a@b.test", "gone@b.test", "full@b.test"))
		during(t, h, 90*time.Second)
		if held, _, c, err := h.Show("m1"); err != nil || len(held.Rcpts) != 1 || held.Attempts != 1 || !strings.HasPrefix(held.Last, "452") {
			t.Fatalf("%+v, %v", held, err)
		} else {
			c.Close()
		}
		h = open(t, HoldConfig{Directory: dir, Sender: s}) // a restart
		during(t, h, time.Hour)
		if fmt.Sprint(s.got) != "map[a@b.test:1 full@b.test:1]" || fmt.Sprint(gaveUp) != "[{gone@b.test gone b.test}155 x<nil>]" && len(gaveUp) != 1 {
			t.Errorf("%v, gave up %v", s.got, gaveUp)
		}
		if n, _ := h.Depth(); n != 0 {
			t.Errorf("%d on hold", n)
		}
	})
}

func TestWhatExpiresIsGivenUpAndNothingElse(t *testing.T) {
	for name, say := range map[string]func(string, int) (int, error){"down": down, "deferring": func(string, int) (int, error) { return 450, nil }} {
		synctest.Test(t, func(t *testing.T) {
			var gaveUp atomic.Int32
			failing := true
			h := open(t, HoldConfig{Directory: newCrashFS(), Sender: newScripted(say), Lifetime: 24 * time.Hour,
				GiveUp: func(context.Context, Held, mail.Source, []Outcome) error {
					if failing {
						return errors.New("quarantine is full")
					}
					gaveUp.Add(1)
					return nil
				}})
			for i := range 30 {
				h.Put(t.Context(), message(fmt.Sprint("m", i), "x", "a@b.test"))
			}
			during(t, h, 23*time.Hour)
			if n, _ := h.Depth(); n != 30 {
				t.Errorf("%s: %d on hold before their time", name, n)
			}
			during(t, h, 3*time.Hour)
			if n, _ := h.Depth(); n != 30 {
				t.Errorf("%s: %d on hold although nobody took them over", name, n)
			}
			failing = false
			during(t, h, 3*time.Hour)
			if n, _ := h.Depth(); n != 0 || gaveUp.Load() != 30 {
				t.Errorf("%s: %d on hold, %d given up", name, n, gaveUp.Load())
			}
		})
	}
}

func TestADrainDoesNotStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := false
		s := newScripted(func(string, int) (int, error) {
			if up {
				return 250, nil
			}
			return 451, ErrDown
		})
		s.slow = time.Second
		h := open(t, HoldConfig{Directory: newCrashFS(), Sender: s, Parallel: 4})
		for i := range 100 {
			h.Put(t.Context(), message(fmt.Sprint("m", i), "x", fmt.Sprintf("r%d@b.test", i)))
		}
		during(t, h, time.Hour)
		attempts := 0
		for _, n := range s.tries {
			attempts += n
		}
		if s.most != 1 || attempts > 40 {
			t.Errorf("while the hop was down: %d attempts, %d at once", attempts, s.most)
		}
		up = true
		h.Wake("b.test")
		during(t, h, 2*time.Hour)
		if n, _ := h.Depth(); n != 0 || s.most > 4 || len(s.got) != 100 {
			t.Errorf("%d on hold, %d at once, %d delivered", n, s.most, len(s.got))
		}
	})
}

func TestRetryAndCancelAreForTheOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(yes)
		dir := newCrashFS()
		h := open(t, HoldConfig{Directory: dir, Sender: s})
		h.Put(t.Context(), message("m1", "x", "a@b.test"))
		h.Put(t.Context(), message("m2", "x", "c@b.test"))
		h.Put(t.Context(), message("m2", "x", "d@b.test")) // another route's part of the same message
		if got := h.IDs(); !slices.Equal(got, []string{"m1", "m2", "m2-2"}) {
			t.Error(got)
		}
		if err := h.Cancel("m2", "ops"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(h.Cancel("m2", "ops"), h.Retry("m9")); !errors.Is(err, ErrNotHeld) {
			t.Error(err)
		}
		h.Retry()
		during(t, h, time.Second)
		if fmt.Sprint(s.got) != "map[a@b.test:1 d@b.test:1]" {
			t.Error(s.got)
		}
		if names, _ := dir.Names(); len(names) != 0 {
			t.Error(names)
		}
	})
}

func TestAFullHoldTakesNothing(t *testing.T) {
	h := open(t, HoldConfig{Directory: newCrashFS(), Sender: newScripted(yes), MaxBytes: 10})
	if err := h.Put(t.Context(), message("m1", "0123456789", "a@b.test")); err != nil {
		t.Error(err)
	}
	if err := h.Put(t.Context(), message("m2", "0", "a@b.test")); !errors.Is(err, ErrHoldFull) {
		t.Error(err)
	}
	for _, id := range []string{"", "../m", "a/b", ".x", "a.mail", strings.Repeat("x", 101)} { // P-29
		if err := h.Put(t.Context(), message(id, "", "a@b.test")); err == nil {
			t.Errorf("id %q was taken", id)
		}
	}
}

func TestTheOrderOfCustody(t *testing.T) { // P-01
	dir := newCrashFS()
	h := open(t, HoldConfig{Directory: dir, Sender: newScripted(yes)})
	if err := h.Put(t.Context(), message("m1", "x", "a@b.test")); err != nil {
		t.Fatal(err)
	}
	want := "create write write write write sync rename sync directory"
	if got := strings.Join(dir.log, " "); got != want {
		t.Errorf("%s", got)
	}
}

// TestNoCrashLosesWhatPutTook crashes at every operation of a life with refusals, partial deliveries and give-ups, many
// times over with other remains on disk: each recipient of a message that Put took gets it or is given up, whole, and no
// message that Put did not take ever goes out in part.
func TestNoCrashLosesWhatPutTook(t *testing.T) { // P-01, P-02, P-03, P-05, FP-06 to FP-10, FP-16 to FP-18
	for crashAt := 1; ; crashAt++ {
		ops := 0
		for seed := range uint64(8) {
			synctest.Test(t, func(t *testing.T) { ops = crashOnce(t, crashAt, seed, seed%2 == 0) })
		}
		if ops < crashAt {
			return
		}
	}
}

func crashOnce(t *testing.T, crashAt int, seed uint64, sealed bool) (ops int) {
	r := rand.New(rand.NewPCG(seed, uint64(crashAt)))
	settled := map[string]int{}
	giveUp := func(_ context.Context, h Held, src mail.Source, _ []Outcome) error {
		for _, a := range h.Rcpts {
			settled[a.String()]++
		}
		return nil
	}
	dir := newCrashFS()
	s := newScripted(func(rcpt string, n int) (int, error) {
		switch {
		case rcpt == "gone@b.test":
			return 550, nil
		case rcpt == "full@b.test" && n == 0:
			return 452, nil
		}
		return 250, nil
	})
	taken := map[string]bool{}
	cfg := HoldConfig{Directory: dir, Sender: s, GiveUp: giveUp, Teller: &teller{}}
	if sealed {
		cfg.Keys = keyring(t, "a")
	}
	h := open(t, cfg)
	before := dir.ops
	dir.crashAt = before + crashAt
	for i, rcpts := range [][]string{{"a@b.test", "gone@b.test", "full@b.test"}, {"c@b.test"}} {
		if h.Put(t.Context(), message(fmt.Sprint("m", i), "x whole", rcpts...)) == nil {
			for _, r := range rcpts {
				taken[r] = true
			}
		}
	}
	during(t, h, 10*time.Minute)
	ops = dir.ops - before
	crashed := ops >= crashAt
	next := dir.reboot(r)
	s.say = func(rcpt string, _ int) (int, error) {
		if rcpt == "gone@b.test" {
			return 550, nil
		}
		return 250, nil
	}
	cfg.Directory = next
	h, damaged, err := loaded(cfg)
	if err != nil || len(damaged) > 0 {
		t.Fatalf("crash at %d: %v %v", crashAt, damaged, err)
	}
	during(t, h, 2*time.Hour)
	if n, _ := h.Depth(); n != 0 {
		t.Fatalf("crash at %d: %d left", crashAt, n)
	}
	for rcpt, n := range s.got {
		settled[rcpt] += n
		if rcpt == "s@s.test" {
			continue
		}
		if s.bodies[rcpt] != "A: \xff\r\n whole" {
			t.Fatalf("crash at %d: %s got %q", crashAt, rcpt, s.bodies[rcpt])
		}
	}
	for _, rcpt := range []string{"a@b.test", "gone@b.test", "full@b.test", "c@b.test"} {
		n := settled[rcpt]
		if taken[rcpt] && n == 0 || n > 2 || n == 2 && !crashed {
			t.Fatalf("crash at %d, seed %d: %s settled %d times; taken: %v\n%v", crashAt, seed, rcpt, n, taken[rcpt], dir.log)
		}
	}
	told := s.got["s@s.test"]
	if taken["gone@b.test"] && told == 0 || told > 2 || told == 2 && !crashed { // FP-21
		t.Fatalf("crash at %d, seed %d: the sender was told %d times\n%v", crashAt, seed, told, dir.log)
	}
	return ops
}

func TestAnyFailureOfTheDiskIsARefusalOrHarmless(t *testing.T) { // FP-06 to FP-09, S-03
	for failAt := 1; failAt < 40; failAt++ {
		synctest.Test(t, func(t *testing.T) {
			dir := newCrashFS()
			dir.failAt = failAt
			s := newScripted(func(rcpt string, n int) (int, error) {
				if n == 0 && rcpt == "full@b.test" {
					return 452, nil
				}
				return 250, nil
			})
			troubles := 0
			h := open(t, HoldConfig{Directory: dir, Sender: s, Trouble: func(string, error) { troubles++ }})
			err := h.Put(t.Context(), message("m1", "x", "a@b.test", "full@b.test"))
			if err != nil && !errors.Is(err, errDisk) {
				t.Error(err)
			}
			failed := dir.ops >= failAt
			if failed != (err != nil) {
				t.Errorf("failure at %d of %v: %v", failAt, dir.log, err)
			}
			during(t, h, time.Hour)
			want := 1
			if err != nil {
				want = 0
			}
			if names, _ := dir.Names(); s.got["full@b.test"] != want || len(names) > 0 && troubles == 0 {
				t.Errorf("failure at %d: %v, left %v, troubles %d", failAt, s.got, names, troubles)
			}
			if n, bytes := h.Depth(); n != 0 || bytes != 0 {
				t.Errorf("failure at %d: %d messages, %d bytes", failAt, n, bytes)
			}
		})
	}
}

func TestATruncatedFileIsNeverSent(t *testing.T) { // P-03, S-05
	dir := newCrashFS()
	h := open(t, HoldConfig{Directory: dir, Sender: newScripted(yes)})
	h.Put(t.Context(), message("m1", "x whole", "a@b.test"))
	whole := dir.names["m1.mail"].data
	for n := range whole {
		cut := newCrashFS()
		cut.names["m1.mail"] = &crashFile{data: whole[:n], synced: n}
		h, damaged, err := loaded(HoldConfig{Directory: cut, Sender: newScripted(yes)})
		if err != nil || len(damaged) != 1 {
			t.Fatalf("%d of %d bytes: %v, %v", n, len(whole), damaged, err)
		}
		if m, _ := h.Depth(); m != 0 || cut.names["m1.damaged"] == nil {
			t.Fatalf("%d of %d bytes: it is on hold", n, len(whole))
		}
	}
}

func TestADirectoryIsLockedAndHoldsOnlyRegularFiles(t *testing.T) { // S-05, S-07
	path := filepath.Join(t.TempDir(), "hold")
	dir, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := OpenDir(path); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	s := newScripted(yes)
	h := open(t, HoldConfig{Directory: dir, Sender: s})
	if err := h.Put(t.Context(), message("m1", "x whole", "a@b.test")); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(path, "m2.part"), []byte("half"), 0o600)
	os.WriteFile(filepath.Join(path, "m3.mail"), []byte("rubbish"), 0o600)
	os.Symlink("m1.mail", filepath.Join(path, "m4.mail"))
	os.Symlink("/etc/passwd", filepath.Join(path, "m5.mail"))
	os.Mkdir(filepath.Join(path, "m6.mail"), 0o700)
	h, damaged, err := loaded(HoldConfig{Directory: dir, Sender: s})
	if err != nil || !slices.Equal(damaged, []string{"m3.mail", "m4.mail", "m5.mail", "m6.mail"}) {
		t.Fatal(damaged, err)
	}
	h.Retry()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	for n := 1; n > 0; n, _ = h.Depth() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	if s.bodies["a@b.test"] != "A: \xff\r\n whole" {
		t.Error(s.bodies)
	}
	if _, err := os.Stat(filepath.Join(path, "m1.mail")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is still there")
	}
}

// FuzzReadHold holds that a damaged hold file is refused or read as it was written, within its size.
func FuzzReadHold(f *testing.F) {
	dir := newCrashFS()
	h, err := OpenHold(HoldConfig{Directory: dir, Sender: newScripted(refused), Keys: keyring(f, "a")})
	if err != nil {
		f.Fatal(err)
	}
	if err := h.Put(f.Context(), message("m1", "x whole", "a@b.test")); err != nil {
		f.Fatal(err)
	}
	f.Add(dir.names["m1.mail"].data)
	dir = newCrashFS()
	plain, err := OpenHold(HoldConfig{Directory: dir, Sender: newScripted(refused)})
	if err != nil || plain.Put(f.Context(), message("m1", "x whole", "a@b.test")) != nil {
		f.Fatal(err)
	}
	f.Add(dir.names["m1.mail"].data)
	keys := keyring(f, "a")
	f.Add([]byte(holdMagic + "H\x00\x00\x00\x02\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		hf, err := readHold(crashHandle{newCrashFS(), &crashFile{data: b, synced: len(b)}}, keys)
		if err != nil {
			return
		}
		src, err := hf.source()
		if err != nil && hf.sealed() {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		hf.delivery(src)
		if _, err := io.ReadAll(Edits{}.Reader(src)); err != nil && !errors.Is(err, disk.ErrSeal) {
			t.Fatal(err)
		}
	})
}

func TestAPowerLossForgetsNobodyWhoHasIt(t *testing.T) { // P-04, P-05, FP-16, FP-18
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			dir := newCrashFS()
			s := newScripted(func(rcpt string, n int) (int, error) {
				if rcpt == "full@b.test" && n == 0 {
					return 452, nil
				}
				return 250, nil
			})
			h := open(t, HoldConfig{Directory: dir, Sender: s})
			h.Put(t.Context(), message("m1", "x", "a@b.test", "full@b.test"))
			h.Put(t.Context(), message("m2", "x", "c@b.test"))
			during(t, h, 75*time.Second)
			h = open(t, HoldConfig{Directory: dir.reboot(rand.New(rand.NewPCG(seed, 1))), Sender: s})
			during(t, h, time.Hour)
			if fmt.Sprint(s.got) != "map[a@b.test:1 c@b.test:1 full@b.test:1]" {
				t.Error(s.got)
			}
		})
	}
}

func TestATornProgressRecordIsWrittenOver(t *testing.T) { // P-03
	dir := newCrashFS()
	h := open(t, HoldConfig{Directory: dir, Sender: newScripted(yes)})
	h.Put(t.Context(), message("m1", "x", "a@b.test"))
	for attempts := 1; attempts < 5; attempts++ {
		file := dir.names["m1.mail"]
		file.data = append(file.data, "P\x00\x00\x00\x09torn"[:attempts*2]...)
		for _, want := range []int{attempts - 1, attempts} {
			f, err := h.open("m1")
			if err != nil || f.progress.Attempts != want {
				t.Fatal(f.progress, want, err)
			}
			if want < attempts {
				if err := f.advance(holdProgress{Attempts: attempts}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestOneSyncServesAllWhoAskedBeforeItBegan: and nobody returns from a sync that had begun before.
func TestOneSyncServesAllWhoAskedBeforeItBegan(t *testing.T) { // P-01
	synctest.Test(t, func(t *testing.T) {
		var g group
		calls := 0
		work := func() error {
			calls++
			time.Sleep(time.Second)
			return nil
		}
		began := time.Now()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				asked := time.Now()
				if err := g.do(work); err != nil || time.Since(asked) < time.Second {
					t.Errorf("%v after %s", err, time.Since(asked))
				}
			})
		}
		all.Wait()
		if calls != 2 || time.Since(began) != 2*time.Second {
			t.Errorf("%d calls in %s", calls, time.Since(began))
		}
	})
}
