package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"sync"
	"time"

	"gatepost/filters/mail"
)

// Bounds of one receiver's queue.
const (
	maxWaiting = 1000 // notices; what comes beyond is dropped and counted
	maxTries   = 10   // of one notice: with Backoff, over some nine minutes
)

// Backoff is how long a receiver that did not take a notice is left alone: a second, doubled up to five minutes, and up
// to a quarter more, so that many gateways do not come back at once.
func Backoff(try int) time.Duration {
	d := min(time.Second<<min(try-1, 10), 5*time.Minute)
	return d + rand.N(d/4)
}

// A Status is how one receiver does since the gateway started.
type Status struct {
	Name      string    `json:"name"`
	Events    []Event   `json:"events"` // empty: all
	Delivered uint64    `json:"delivered"`
	Waiting   int       `json:"waiting"`
	Failed    uint64    `json:"failed"`  // given up: refused for good, or tried maxTries times
	Dropped   uint64    `json:"dropped"` // because too many waited
	LastOK    time.Time `json:"last_delivered,omitzero"`
	Since     time.Time `json:"failing_since,omitzero"` // zero: the last try was well
	Error     string    `json:"error,omitempty"`        // of the last try
}

// A sender tells one receiver, one notice after the other.
type sender struct {
	cfg     Config
	url     string
	http    *http.Client
	now     func() time.Time
	backoff func(int) time.Duration
	queue   chan Notice
	ctx     context.Context
	stop    context.CancelFunc
	done    chan struct{}

	mu   sync.Mutex
	seq  uint64
	stat Status
}

// targetOf is where a hook leads.
func targetOf(c Config) (*url.URL, error) {
	if why := faultOf(c.URL.Reveal()); why != "" {
		return nil, errors.New(why)
	}
	u, err := url.Parse(c.URL.Reveal())
	if err != nil {
		return nil, errors.New("not a URL")
	}
	return u, nil
}

func newSender(c Config, d Deps) (*sender, error) {
	u, err := targetOf(c)
	if err != nil {
		return nil, err
	}
	s := &sender{cfg: c, url: u.String(), now: d.Now, backoff: d.Backoff, queue: make(chan Notice, maxWaiting), done: make(chan struct{}),
		http: client(&dialer{resolver: d.Resolver, networks: c.Networks, clear: u.Scheme == "http"}), stat: Status{Name: c.Title(), Events: c.Events}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// same reports whether s is the sender of c.
func (s *sender) same(c Config) bool { return reflect.DeepEqual(s.cfg, c) }

func (s *sender) start() { go s.run() }

// put queues a notice, or drops it.
func (s *sender) put(n Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	n.Seq = s.seq
	select {
	case s.queue <- n:
	default:
		s.stat.Dropped++
	}
}

func (s *sender) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stat
	st.Waiting += len(s.queue)
	return st
}

// run sends what is queued until the sender is stopped.
func (s *sender) run() {
	defer close(s.done)
	defer s.http.CloseIdleConnections()
	for {
		select {
		case n := <-s.queue:
			s.deliver(n)
		case <-s.ctx.Done():
			return
		}
	}
}

// deliver tries until the notice is taken, refused for good, or has been tried enough.
func (s *sender) deliver(n Notice) {
	b, err := body(n, s.cfg.Details)
	if err != nil { // ours: it marshals
		s.failed(err, true)
		return
	}
	s.underWay(1)
	defer s.underWay(-1)
	for try := 1; ; try++ {
		final, err := s.try(n, b)
		if err == nil {
			s.delivered()
			return
		}
		final = final || try == maxTries
		s.failed(err, final)
		if final {
			return
		}
		select {
		case <-time.After(s.backoff(try)):
		case <-s.ctx.Done():
			return
		}
	}
}

// underWay counts the notice that is being sent among those that wait.
func (s *sender) underWay(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stat.Waiting += n
}

func (s *sender) delivered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stat.Delivered++
	s.stat.LastOK, s.stat.Since, s.stat.Error = s.now().UTC(), time.Time{}, ""
}

func (s *sender) failed(err error, final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if final {
		s.stat.Failed++
	}
	if s.stat.Since.IsZero() {
		s.stat.Since = s.now().UTC()
	}
	s.stat.Error = mail.Printable(err.Error(), 200)
}

// try sends once. final means that trying again would not help: the receiver said so (4xx, but for 408, 425 and 429).
func (s *sender) try(n Notice, b []byte) (final bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, tryTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(b))
	if err != nil {
		return true, errors.New("make request")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Gatepost")
	r.Header.Set("Gatepost-Event", string(n.Event))
	r.Header.Set("Gatepost-Delivery", n.ID)
	r.Header.Set("Gatepost-Signature", Sign([]byte(s.cfg.Secret.Reveal()), s.now(), b))
	resp, err := s.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, which is a secret
		}
		return false, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection can be used again; what it says is no concern
	switch c := resp.StatusCode; {
	case c >= 200 && c < 300:
		return false, nil
	case c >= 300 && c < 400:
		return true, fmt.Errorf("answered %d: redirects are not followed", c)
	case c >= 400 && c < 500 && c != http.StatusRequestTimeout && c != http.StatusTooEarly && c != http.StatusTooManyRequests:
		return true, fmt.Errorf("answered %d", c)
	default:
		return false, fmt.Errorf("answered %d", c)
	}
}

// Sign is the value of the field Gatepost-Signature: "t=SECONDS,v1=HEX", HEX being HMAC-SHA256 (RFC 2104) with the secret
// over the seconds since 1970 in decimal, a full stop, and the body. A receiver compares in constant time, and refuses
// what is older than some minutes, which keeps a request that somebody recorded from being used again.
func Sign(secret []byte, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(t + "."))
	m.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(m.Sum(nil))
}

// patience is how long a receiver may fail before that is a trouble.
const patience = time.Minute

// Trouble is what a person should know of: that the receiver fails for a while, or takes so little that events were
// dropped lately.
func (s Status) Trouble(now time.Time) error {
	if s.Since.IsZero() || now.Sub(s.Since) < patience {
		return nil
	}
	return errors.New(s.Error)
}
