package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"gatepost/gateway/dns"
)

// A Plan is one run.
type Plan struct {
	Binary   string // with failpoints
	Dir      string // empty, for the gateway's files
	WhenDown string // defer, hold
	Letters  int    // at least
	Clients  int    // at once; 8
	Seed     uint64
	Points   []string      // failpoints at which lives end, in turn; every fourth life ends at random
	Pace     time.Duration // between letters of one client
	Each     int           // how often the gateway must have died at each point before a run ends
	Life     time.Duration // the longest life before a kill; 2 s
	Moods    Moods
	Log      func(format string, args ...any) // nil: silent
}

// config is the gateway's. With when_down: hold content goes by BDAT, else by DATA.
const config = `version: 1
hostname: mx.gatepost.example
data_dir: %[1]s/data
listeners:
  - {address: "%[2]s", tls: "off"}
domains:
  - {name: example.com, downstream: ["%[3]s"], downstream_tls: "off", recipients: any, when_down: %[4]s, downstream_chunking: %[7]v}
trusted_networks: [127.0.0.0/8]
dns: {servers: ["%[5]s"], timeout: 1s}
admin: {address: "127.0.0.1:0"}
limits: {messages_per_session: 100000}
timeouts: {greet_delay: 0s}
quarantine: {key: %[8]s}
%[6]s`

// key seals what is kept and what is on hold.
const key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// A Scene is a gateway with what it talks to.
type Scene struct {
	*Gateway
	Hop  *hop
	zone *dns.Server
}

// NewScene sets everything up in dir but starts no gateway. more is added to its configuration.
func NewScene(binary, dir, whenDown string, hop *hop, more string) (*Scene, error) {
	zone, err := dns.ServeZone(Zone)
	if err != nil {
		return nil, err
	}
	addr, err := FixedAddress()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(config, dir, addr, hop.Address(), whenDown, zone.Addr(), more, whenDown == "hold", key)
	if err := os.WriteFile(filepath.Join(dir, "gatepost.yaml"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	return &Scene{Gateway: &Gateway{Binary: binary, Dir: dir, SMTP: addr}, Hop: hop, zone: zone}, nil
}

// Close ends what is around the gateway.
func (s *Scene) Close() {
	s.Hop.Close()
	s.zone.Close()
}

// A Life is one time that the gateway ran.
type Life struct {
	Point string // the failpoint that ended it; empty: a kill at random
	Began time.Time
	Ended time.Time
}

// Do carries out the plan and judges it.
func (p Plan) Do() (*Report, error) {
	if p.Clients == 0 {
		p.Clients = 8
	}
	if p.Life == 0 {
		p.Life = 2 * time.Second
	}
	if p.Log == nil {
		p.Log = func(string, ...any) {}
	}
	h, err := newHop(p.Seed, p.Moods, false)
	if err != nil {
		return nil, err
	}
	s, err := NewScene(p.Binary, p.Dir, p.WhenDown, h, "hold: {notify_senders: authenticated}\n")
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c := &clients{addr: s.SMTP, seed: p.Seed, pace: p.Pace}
	began := time.Now()
	over := make(chan struct{})
	var sent error
	go func() {
		sent = c.run(p.Clients)
		close(over)
	}()
	lives, err := p.live(s, c, over)
	if err != nil {
		return nil, err
	}
	if sent != nil {
		return nil, sent
	}
	if err := s.settle(p.WhenDown == "hold"); err != nil {
		return nil, err
	}
	rep, err := judge(p.Dir, c.stories, h.copies(), lives)
	if rep != nil {
		rep.Took, rep.Lines = time.Since(began), senders(h)
	}
	return rep, err
}

// live starts and kills the gateway until the clients are through.
func (p Plan) live(s *Scene, c *clients, over <-chan struct{}) ([]Life, error) {
	r := rand.New(rand.NewPCG(p.Seed, 2))
	var weather sync.WaitGroup
	defer weather.Wait()
	calm := make(chan struct{})
	defer close(calm)
	weather.Go(func() { p.weather(s, calm) })
	var lives []Life
	agenda := newAgenda(p)
	for n := 0; ; n++ {
		if c.begun() >= p.Letters && agenda.done() {
			c.stop()
		}
		life := Life{Point: agenda.next(n)}
		rules := ""
		if life.Point != "" {
			turn := 1 + r.IntN(4)
			if life.Point == "FP-23" {
				turn = 1 // a life sees one reload
			}
			rules = fmt.Sprintf("%s=kill9@%d", life.Point, turn)
		}
		if err := s.Start(rules); err != nil {
			return nil, err
		}
		life.Began = time.Now()
		if life.Point == "FP-23" {
			s.Signal(syscall.SIGHUP)
		}
		lasts := p.Life/4 + time.Duration(r.Int64N(int64(p.Life)))
		if life.Point != "" {
			lasts = 5 * p.Life // what ends it is the point, which some mail has to come to first
		}
		end := time.NewTimer(lasts)
		select {
		case <-over:
			end.Stop()
			s.Kill()
			return append(lives, Life{Began: life.Began, Ended: time.Now()}), nil
		case <-s.Exited():
			if !s.Killed() {
				return nil, fmt.Errorf("gatepost ended by itself:\n%s", s.Log())
			}
			agenda.died(life.Point)
		case <-end.C:
			life.Point = ""
			s.Kill()
		}
		end.Stop()
		life.Ended = time.Now()
		lives = append(lives, life)
		if n%20 == 19 {
			p.Log("%d lives, %d letters begun", n+1, c.begun())
		}
	}
}

// An agenda says at which point the gateway is to die next.
type agenda struct {
	points []string
	each   int
	deaths map[string]int
	tries  map[string]int
	at     int
}

func newAgenda(p Plan) *agenda {
	return &agenda{points: p.Points, each: p.Each, deaths: map[string]int{}, tries: map[string]int{}}
}

// next is the point for the life numbered n; empty for one that ends at random.
func (a *agenda) next(n int) string {
	if len(a.points) == 0 || n%4 == 3 {
		return ""
	}
	for range a.points { // the one that is due, and has not had its deaths before others
		p := a.points[a.at%len(a.points)]
		a.at++
		if a.done() || a.deaths[p] < a.each && a.tries[p] < 6*a.each {
			a.tries[p]++
			return p
		}
	}
	return ""
}

// died notes that a life ended at its point.
func (a *agenda) died(point string) { a.deaths[point]++ }

// done reports whether every point had its deaths, or was tried often enough: not every mode comes past every point.
func (a *agenda) done() bool {
	for _, p := range a.points {
		if a.deaths[p] < a.each && a.tries[p] < 6*a.each {
			return false
		}
	}
	return true
}

// weather takes the next hop down and up again, and has what is on hold tried.
func (p Plan) weather(s *Scene, calm <-chan struct{}) {
	r := rand.New(rand.NewPCG(p.Seed, 3))
	for {
		select {
		case <-calm:
			return
		case <-time.After(500*time.Millisecond + time.Duration(r.IntN(2000))*time.Millisecond):
		}
		down := !s.Hop.Down.Load() && p.WhenDown == "hold" || !s.Hop.Down.Load() && r.IntN(4) == 0
		s.Hop.Down.Store(down)
		if down {
			s.Hop.Drop()
		} else if p.WhenDown == "hold" {
			_, _ = s.Command("hold", "retry", "--all") // the gateway may be dead at this moment
		}
	}
}

// settle lets a gateway without faults finish what is left, and stops it.
func (s *Scene) settle(held bool) error {
	s.Hop.Down.Store(false)
	s.Hop.Quiet.Store(true)
	if err := s.Start(""); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Minute); held; time.Sleep(200 * time.Millisecond) {
		out, err := s.Command("hold", "list", "--json")
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) == "[]" {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mail stays on hold:\n%.2000s\n%s", out, s.Log())
		}
		if _, err := s.Command("hold", "retry", "--all"); err != nil {
			return err
		}
	}
	return s.Stop()
}

// senders are the reverse-paths that the next hop was told.
func senders(h *hop) map[string]int {
	found := map[string]int{}
	for _, line := range h.Lines() {
		if _, rest, ok := strings.Cut(line, " MAIL FROM:"); ok {
			from, _, _ := strings.Cut(rest, " ")
			found[from]++
		}
	}
	return found
}
