package spool

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/iotest"

	"gatepost/filters/mail"
	"gatepost/gateway/disk"
)

var _ mail.Source = (*Body)(nil)

func open(t testing.TB, cfg Config) *Spool {
	t.Helper()
	cfg.Dir = t.TempDir()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.gauge.Ask = func(string) (disk.Space, error) { return disk.Space{Bytes: 1 << 40, Free: 1 << 39}, nil }
	return s
}

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 7))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// onlyReader hides WriteTo.
type onlyReader struct{ io.Reader }

// TestBytesComeBackAsReceived: P-06, P-08, at the sizes where the body changes its place.
func TestBytesComeBackAsReceived(t *testing.T) {
	s := open(t, Config{})
	ways := map[string]func(io.Reader) io.Reader{
		"writes itself": func(r io.Reader) io.Reader { return r },
		"is read":       func(r io.Reader) io.Reader { return onlyReader{r} },
		"half reads":    func(r io.Reader) io.Reader { return iotest.HalfReader(r) },
		"data with EOF": func(r io.Reader) io.Reader { return iotest.DataErrReader(r) },
	}
	for name, way := range ways {
		for _, n := range []int{0, 1, small - 1, small, small + 1, medium, medium + 1, maxInMemory - 1, maxInMemory, maxInMemory + 1, 3<<20 + 5} {
			for _, hint := range []int64{0, int64(n), -1, 1 << 40} {
				want := content(n)
				b, err := s.Receive(way(bytes.NewReader(want)), hint)
				if err != nil {
					t.Fatalf("%s, %d bytes: %v", name, n, err)
				}
				got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
				if err != nil || !bytes.Equal(got, want) || b.Sum() != sha256.Sum256(want) {
					t.Fatalf("%s, %d bytes, hint %d: %d bytes came back, error %v", name, n, hint, len(got), err)
				}
				if inMemory := b.Bytes() != nil; n != maxInMemory && inMemory != (n < maxInMemory) {
					t.Errorf("%d bytes: in memory is %v", n, inMemory)
				}
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if u := s.Usage(); u != (Usage{}) {
		t.Errorf("after all were closed the spool still counts %+v", u)
	}
	if names, _ := os.ReadDir(s.cfg.Dir); len(names) != 0 {
		t.Errorf("files remain: %v", names)
	}
}

// TestCutMessageLeavesNothing: P-03, FP-03, FP-04.
func TestCutMessageLeavesNothing(t *testing.T) {
	s := open(t, Config{})
	cut := errors.New("connection reset")
	for _, n := range []int{0, 100, small, maxInMemory, maxInMemory + 1, 1 << 20} {
		b, err := s.Receive(io.MultiReader(bytes.NewReader(content(n)), iotest.ErrReader(cut)), 0)
		if b != nil || !errors.Is(err, cut) {
			t.Errorf("after %d bytes: body %v, error %v", n, b, err)
		}
		if errors.Is(err, ErrStorage) || errors.Is(err, ErrFull) {
			t.Errorf("the client's error counts as ours: %v", err)
		}
	}
	if u := s.Usage(); u != (Usage{}) {
		t.Errorf("the spool still counts %+v", u)
	}
}

// TestMemoryBudgetTurnsToDisk: when the memory of the process is used up, messages under way go to files.
func TestMemoryBudgetTurnsToDisk(t *testing.T) {
	s := open(t, Config{Memory: 4 * small})
	var held []*Body
	for range 4 {
		b, err := s.Receive(bytes.NewReader(content(100)), 0)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, b)
	}
	if err := s.Admit(); !errors.Is(err, ErrFull) {
		t.Errorf("admits a message into full memory: %v", err)
	}
	b, err := s.Receive(bytes.NewReader(content(100)), 0)
	if err != nil || b.Bytes() != nil {
		t.Fatalf("fifth body: in memory %v, error %v", b.Bytes() != nil, err)
	}
	for _, b := range append(held, b) {
		_ = b.Close()
	}
	if err := s.Admit(); err != nil {
		t.Errorf("refuses after all was freed: %v", err)
	}
}

// TestDiskBudgetIsRefusedSoftly: S-01.
func TestDiskBudgetIsRefusedSoftly(t *testing.T) {
	s := open(t, Config{Disk: 1 << 20, MessageBytes: 1 << 19})
	if _, err := s.Receive(bytes.NewReader(content(1<<20+1)), 0); !errors.Is(err, ErrFull) {
		t.Errorf("took more than the budget: %v", err)
	}
	b, err := s.Receive(bytes.NewReader(content(1<<20)), 0)
	if err != nil {
		t.Fatalf("refused exactly the budget: %v", err)
	}
	if err := s.Admit(); !errors.Is(err, ErrFull) {
		t.Errorf("admits into a full spool: %v", err)
	}
	_ = b.Close()
	if u := s.Usage(); u != (Usage{}) {
		t.Errorf("the spool still counts %+v", u)
	}
}

// TestFreeSpaceDecidesAdmission: S-01 and S-02, exactly zero.
func TestFreeSpaceDecidesAdmission(t *testing.T) {
	const g = 1 << 30
	for _, c := range []struct {
		name  string
		space disk.Space
		ok    bool
	}{
		{"plenty", disk.Space{Bytes: 100 * g, Free: 50 * g, Inodes: 1e6, Spare: 9e5}, true},
		{"exactly zero free", disk.Space{Bytes: 100 * g, Free: 0, Inodes: 1e6, Spare: 9e5}, false},
		{"zero of zero", disk.Space{}, false},
		{"under five percent", disk.Space{Bytes: 100 * g, Free: 5*g - 1, Inodes: 1e6, Spare: 9e5}, false},
		{"five percent", disk.Space{Bytes: 100 * g, Free: 5 * g, Inodes: 1e6, Spare: 9e5}, true},
		{"small disk, less than one and a half messages", disk.Space{Bytes: 64 << 20, Free: 30 << 20}, false},
		{"no inodes", disk.Space{Bytes: 100 * g, Free: 50 * g, Inodes: 1e6, Spare: 0}, false},
		{"1,999 inodes", disk.Space{Bytes: 100 * g, Free: 50 * g, Inodes: 1e6, Spare: 1999}, false},
		{"2,000 inodes", disk.Space{Bytes: 100 * g, Free: 50 * g, Inodes: 1e6, Spare: 2000}, true},
		{"inodes not counted", disk.Space{Bytes: 100 * g, Free: 50 * g}, true},
	} {
		s := open(t, Config{})
		s.gauge.Ask = func(string) (disk.Space, error) { return c.space, nil }
		if err := s.Admit(); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrFull) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestBadDiskStopsAdmission: S-03, three failures within a minute.
func TestBadDiskStopsAdmission(t *testing.T) {
	s := open(t, Config{InMemory: 10})
	if err := os.Remove(s.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := s.Admit(); err != nil {
			t.Errorf("refuses after %d failures: %v", i, err)
		}
		if _, err := s.Receive(bytes.NewReader(content(100)), 0); !errors.Is(err, ErrStorage) {
			t.Errorf("a failing disk gives %v", err)
		}
	}
	if err := s.Admit(); !errors.Is(err, ErrStorage) {
		t.Errorf("admits to a bad disk: %v", err)
	}
}

// TestStartClearsOrphans: FP-03, and nothing that is not ours is touched (P-29).
func TestStartClearsOrphans(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"body-1", "body-2", "notes.txt"} {
		if err := os.WriteFile(dir+"/"+n, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", dir+"/body-link"); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	names, _ := os.ReadDir(dir)
	if len(names) != 2 || names[0].Name() != "body-link" || names[1].Name() != "notes.txt" {
		t.Errorf("left: %v", names)
	}
}

// TestReceivesAtOnce: buffers are never shared, and Close is counted once.
func TestReceivesAtOnce(t *testing.T) {
	s := open(t, Config{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 50 {
				want := content(r.IntN(400 << 10))
				b, err := s.Receive(onlyReader{bytes.NewReader(want)}, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if got, _ := io.ReadAll(io.NewSectionReader(b, 0, b.Size())); !bytes.Equal(got, want) {
					t.Error("other bytes came back")
				}
				_ = b.Close()
				_ = b.Close()
			}
		})
	}
	wg.Wait()
	if u := s.Usage(); u != (Usage{}) {
		t.Errorf("the spool still counts %+v", u)
	}
}

// chunked writes itself in pieces, as a reader of the wire does.
type chunked struct {
	b    []byte
	step int
}

func (c *chunked) Read([]byte) (int, error) { return 0, errors.New("not asked to write itself") }

func (c *chunked) WriteTo(w io.Writer) (int64, error) {
	for at := 0; at < len(c.b); at += c.step {
		if _, err := w.Write(c.b[at:min(at+c.step, len(c.b))]); err != nil {
			return int64(at), err
		}
	}
	return int64(len(c.b)), nil
}

// TestSmallMessageCostsOneAllocation bounds what a 13 KB message takes besides its pooled buffer.
func TestSmallMessageCostsOneAllocation(t *testing.T) {
	if testing.CoverMode() != "" || raceEnabled {
		return // the pool forgets at random then
	}
	s := open(t, Config{})
	r := &chunked{content(13 << 10), 4096}
	n := testing.AllocsPerRun(200, func() {
		b, err := s.Receive(r, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Close()
	})
	if n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReceive(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"13KB", 13 << 10}, {"100KB", 100 << 10}, {"1MB", 1 << 20}, {"10MB", 10 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, Config{})
			r := &chunked{content(c.n), 16 << 10}
			b.SetBytes(int64(c.n))
			b.ReportAllocs()
			for b.Loop() {
				body, err := s.Receive(r, 0)
				if err != nil {
					b.Fatal(err)
				}
				_ = body.Close()
			}
		})
	}
}

func BenchmarkAdmit(b *testing.B) {
	s := open(b, Config{})
	for b.Loop() {
		if err := s.Admit(); err != nil {
			b.Fatal(err)
		}
	}
}
