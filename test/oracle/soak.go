package oracle

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatepost/gateway/db"
)

// A Soak is a long run under changing faults.
type Soak struct {
	Binary string
	Dir    string
	For    time.Duration
	Every  time.Duration // between faults
	Rate   int           // letters a second
	Seed   uint64
	Log    func(format string, args ...any)
}

// A Vitals is what a process takes.
type Vitals struct {
	Goroutines, Files int
	Heap, RSS         int64
}

// String is for people.
func (v Vitals) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.0f MB of heap, %.0f MB resident", v.Goroutines, v.Files, float64(v.Heap)/1e6, float64(v.RSS)/1e6)
}

// Grown says what of v is beyond a baseline, with some room for what comes and goes; nothing if it is back.
func (v Vitals) Grown(base Vitals) (what []string) {
	if v.Goroutines > base.Goroutines+10 {
		what = append(what, fmt.Sprintf("%d goroutines instead of %d", v.Goroutines, base.Goroutines))
	}
	if v.Files > base.Files+5 {
		what = append(what, fmt.Sprintf("%d descriptors instead of %d", v.Files, base.Files))
	}
	if v.Heap > base.Heap+64<<20 {
		what = append(what, fmt.Sprintf("%d MB of heap instead of %d", v.Heap>>20, base.Heap>>20))
	}
	if v.RSS > base.RSS+128<<20 {
		what = append(what, fmt.Sprintf("%d MB resident instead of %d", v.RSS>>20, base.RSS>>20))
	}
	return what
}

// A fault is something that befalls the gateway, and goes by.
type fault struct {
	name string
	do   func(s *soak) error
	ends bool // the process
}

// soak is a Soak under way.
type soak struct {
	*Scene
	Soak
	r     *rand.Rand
	lives []Life
	began time.Time // of this life
}

// faults are all of them, in turn.
func faults() []fault {
	return []fault{
		{"kill -9", (*soak).kill, true},
		{"the next hop refuses connections for 20 s", func(s *soak) error {
			s.Hop.Down.Store(true)
			s.Hop.Drop()
			time.Sleep(20 * time.Second)
			s.Hop.Down.Store(false)
			return nil
		}, false},
		{"the next hop takes 3 s for every reply, for 20 s", func(s *soak) error {
			s.Hop.Slow.Store(int64(3 * time.Second))
			time.Sleep(20 * time.Second)
			s.Hop.Slow.Store(0)
			return nil
		}, false},
		{"the next hop loses replies, cuts and puts off, for 20 s", func(s *soak) error {
			s.Hop.mood(Moods{LostReply: 60, Cut: 60, Later: 60})
			time.Sleep(20 * time.Second)
			s.Hop.mood(Moods{})
			return nil
		}, false},
		{"SIGSTOP for 10 s", func(s *soak) error {
			s.Signal(syscall.SIGSTOP)
			time.Sleep(10 * time.Second)
			s.Signal(syscall.SIGCONT)
			return nil
		}, false},
		{"50 reloads in a row", func(s *soak) error {
			for range 50 {
				s.Signal(syscall.SIGHUP)
				time.Sleep(20 * time.Millisecond)
			}
			return nil
		}, false},
		{"a failing disk under the quarantine and the hold queue, then kill -9", func(s *soak) error { return s.sick("FP-06=err(EIO)@1-20;FP-19=err(EIO)@5-10") }, true},
		{"a full disk, then kill -9", func(s *soak) error { return s.sick("FP-08=err(ENOSPC)@1-20;FP-03=err(ENOSPC)@1-50") }, true},
		{"a journal that cannot be appended to, then kill -9", func(s *soak) error { return s.sick("FP-24=err(EIO)@1-50") }, true},
		{"SIGTERM and a new start", (*soak).restart, true},
		{"500 connections that say nothing", func(s *soak) error { return s.crowd(500, "") }, false},
		{"200 connections cut in the middle of a message", func(s *soak) error {
			return s.crowd(200, "EHLO x\r\nMAIL FROM:<ann@friend.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n")
		}, false},
		{"another process locks the database for 5 s", (*soak).lock, false},
	}
}

// Do soaks and judges. The report's baseline is that of a fresh process; what it is held against is the last process,
// which lived through the last two fifths of the run.
func (p Soak) Do() (rep *Report, base, last Vitals, err error) {
	h, err := newHop(p.Seed, Moods{}, false)
	if err != nil {
		return nil, base, last, err
	}
	scene, err := NewScene(p.Binary, p.Dir, "hold", h, "hold: {lifetime: 1h, notify_senders: authenticated}\n")
	if err != nil {
		return nil, base, last, err
	}
	defer scene.Close()
	s := &soak{Scene: scene, Soak: p, r: rand.New(rand.NewPCG(p.Seed, 9))}
	if err := s.begin(""); err != nil {
		return nil, base, last, err
	}
	defer func() { // nothing of ours outlives the run
		select {
		case <-s.Exited():
		default:
			s.Kill()
		}
	}()
	const workers = 8
	c := &clients{addr: s.SMTP, seed: p.Seed, pace: workers * time.Second / time.Duration(p.Rate)}
	// A little mail first, so that the baseline has everything that is made once.
	warm := &clients{addr: s.SMTP, seed: p.Seed + 1, pace: 50 * time.Millisecond}
	time.AfterFunc(5*time.Second, warm.stop)
	if err := warm.run(4); err != nil {
		return nil, base, last, err
	}
	if base, err = s.rest(); err != nil {
		return nil, base, last, err
	}
	p.Log("baseline: %s", base)
	over := make(chan error, 1)
	go func() { over <- c.run(workers) }()
	if err := s.weather(over); err != nil {
		return nil, base, last, err
	}
	c.stop()
	if err := <-over; err != nil {
		return nil, base, last, err
	}
	if err := s.empty(); err != nil {
		return nil, base, last, err
	}
	if last, err = s.rest(); err != nil {
		return nil, base, last, err
	}
	if err := s.Stop(); err != nil {
		return nil, base, last, err
	}
	rep, err = judge(p.Dir, append(c.stories, warm.stories...), h.copies(), s.lives)
	if rep != nil {
		rep.Took, rep.Lines = p.For, senders(h)
	}
	return rep, base, last, err
}

// weather lets faults come until the time is over.
func (s *soak) weather(over <-chan error) error {
	began := time.Now()
	list := faults()
	for n := 0; time.Since(began) < s.For; n++ {
		f := list[n%len(list)]
		if f.ends && time.Since(began) > s.For*3/5 {
			continue
		}
		select {
		case err := <-over:
			return fmt.Errorf("clients ended early: %w", err)
		case <-s.Exited():
			return fmt.Errorf("gatepost ended by itself:\n%s", s.Gateway.Log())
		case <-time.After(s.Every):
		}
		s.Soak.Log("%7s  %s", time.Since(began).Round(time.Second), f.name)
		if err := f.do(s); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		_, _ = s.Command("hold", "retry", "--all")
	}
	return nil
}

// begin starts a life.
func (s *soak) begin(rules string) error {
	s.began = time.Now()
	return s.Start(rules)
}

// kill ends the process and starts it again.
func (s *soak) kill() error {
	s.Kill()
	s.lives = append(s.lives, Life{Began: s.began, Ended: time.Now()})
	return s.begin("")
}

// restart has the process end by itself and starts it again.
func (s *soak) restart() error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.begin("")
}

// sick runs the gateway for 20 s with failing steps.
func (s *soak) sick(rules string) error {
	if err := s.Stop(); err != nil {
		return err
	}
	if err := s.begin(rules); err != nil {
		return err
	}
	s.Hop.Down.Store(true) // so that the hold queue is needed
	s.Hop.Drop()
	time.Sleep(10 * time.Second)
	s.Hop.Down.Store(false)
	time.Sleep(10 * time.Second)
	return s.kill()
}

// crowd opens connections that never finish what they begin, and cuts them after 10 s.
func (s *soak) crowd(n int, say string) error {
	var conns []net.Conn
	for range n {
		c, err := net.DialTimeout("tcp", s.SMTP, 5*time.Second)
		if err != nil {
			continue
		}
		conns = append(conns, c)
		if say != "" {
			for line := range strings.SplitAfterSeq(say, "\r\n") {
				_, _ = io.WriteString(c, line)
				time.Sleep(time.Millisecond)
			}
			_, _ = io.WriteString(c, "Subject: half\r\n\r\nhalf")
		}
	}
	time.Sleep(10 * time.Second)
	for _, c := range conns {
		c.Close()
	}
	return nil
}

// lock holds the write lock of the database.
func (s *soak) lock() error {
	d, err := db.Open("sqlite:" + filepath.Join(s.Dir, "data", "gatepost.db"))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Write(context.Background(), func(*sql.Tx) error {
		time.Sleep(5 * time.Second)
		return nil
	})
}

// empty waits until nothing is on hold.
func (s *soak) empty() error {
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		out, err := s.Command("hold", "list", "--json")
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) == "[]" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mail stays on hold:\n%.2000s\n%s", out, s.Gateway.Log())
		}
		if _, err := s.Command("hold", "retry", "--all"); err != nil {
			return err
		}
	}
}

// rest waits until pooled connections are closed and memory was collected, and reads the vitals.
func (s *soak) rest() (Vitals, error) {
	time.Sleep(45 * time.Second)
	if _, err := s.metrics(); err != nil { // of which the first may make garbage
		return Vitals{}, err
	}
	text, err := s.metrics()
	if err != nil {
		return Vitals{}, err
	}
	value := func(name string) int64 {
		m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text)
		if m == nil {
			return -1
		}
		f, _ := strconv.ParseFloat(m[1], 64)
		return int64(f)
	}
	return Vitals{
		Goroutines: int(value("go_goroutines")), Files: int(value("process_open_fds")),
		Heap: value("go_memstats_heap_inuse_bytes"), RSS: value("process_resident_memory_bytes"),
	}, nil
}

func (s *soak) metrics() (string, error) {
	resp, err := http.Get("http://" + s.Admin + "/metrics")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
