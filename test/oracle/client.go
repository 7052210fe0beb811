package oracle

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// An Attempt is one time that a client tried to hand over a letter.
type Attempt struct {
	Dotted bool // the end of data was sent, or some of it
	Code   int  // the last reply; 0: the connection ended without one
	Text   string
}

// unanswered reports whether the client cannot know what became of the attempt.
func (a Attempt) unanswered() bool { return a.Dotted && a.Code == 0 }

// A Story is everything that a client saw of one letter.
type Story struct {
	*Letter
	Attempts []Attempt
}

// last is the attempt that settled the letter.
func (s *Story) last() Attempt { return s.Attempts[len(s.Attempts)-1] }

// id is the transaction in which the letter was accepted; empty if it was not.
func (s *Story) id() string {
	a := s.last()
	if a.Code != 250 {
		return ""
	}
	_, id, _ := strings.Cut(a.Text, "reference ")
	return id
}

// clients hand over letters until there are none left, each letter until it is accepted or refused for good.
type clients struct {
	addr string
	seed uint64
	pace time.Duration // between letters of one client

	mu      sync.Mutex
	next    int
	stories []*Story
	stopped bool
}

// most is how often a letter is tried before a run is given up.
const most = 5000

// run has n clients work, and returns when all letters are settled.
func (c *clients) run(n int) error {
	errs := make(chan error, n)
	for range n {
		go func() { errs <- c.work() }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// take is the next letter; nil if there is none.
func (c *clients) take() *Story {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	s := &Story{Letter: Write(c.seed, c.next)}
	c.next++
	c.stories = append(c.stories, s)
	return s
}

// stop makes the clients end with the letters that they have.
func (c *clients) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
}

// begun is how many letters were begun.
func (c *clients) begun() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

// work hands over one letter after the other.
func (c *clients) work() error {
	for s := c.take(); s != nil; s = c.take() {
		for len(s.Attempts) < most {
			a := Offer(c.addr, s.Letter)
			s.Attempts = append(s.Attempts, a)
			if a.Code == 250 || a.Code/100 == 5 {
				break
			}
			time.Sleep(time.Duration(10+rand.IntN(150)) * time.Millisecond)
		}
		if a := s.last(); a.Code != 250 && a.Code/100 != 5 {
			return fmt.Errorf("letter %s was never settled; last: %d %s", s.ID, a.Code, a.Text)
		}
		time.Sleep(c.pace)
	}
	return nil
}

// Offer tries to hand over one letter, over a connection of its own.
func Offer(addr string, l *Letter) (a Attempt) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return a
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	r := bufio.NewReaderSize(conn, 4096)
	say := func(line, want string) bool {
		if line != "" {
			if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
				a.Code, a.Text = 0, ""
				return false
			}
		}
		a.Code, a.Text = reply(r)
		return strings.HasPrefix(fmt.Sprint(a.Code), want)
	}
	steps := []struct{ line, want string }{{"", "220"}, {"EHLO client.example", "250"}, {"MAIL FROM:<" + l.from() + ">", "250"}}
	for _, rcpt := range l.Rcpts {
		steps = append(steps, struct{ line, want string }{"RCPT TO:<" + rcpt + ">", "250"})
	}
	steps = append(steps, struct{ line, want string }{"DATA", "354"})
	for _, s := range steps {
		if !say(s.line, s.want) {
			return a
		}
	}
	content := strings.ReplaceAll(l.Content, "\r\n.", "\r\n..")
	a = Attempt{}
	if _, err := conn.Write([]byte(content)); err != nil {
		return a
	}
	a.Dotted = true
	say(".", "250")
	if a.Code == 250 {
		_, _ = conn.Write([]byte("QUIT\r\n"))
	}
	return a
}

// reply reads one reply; its code is 0 if none came.
func reply(r *bufio.Reader) (code int, text string) {
	for {
		line, err := r.ReadString('\n')
		if err != nil || len(line) < 4 {
			return 0, ""
		}
		if line[3] != '-' {
			_, _ = fmt.Sscanf(line[:3], "%d", &code)
			return code, strings.TrimSpace(line[4:])
		}
	}
}
