package forward

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
)

// A Standing is what the next hop says of a recipient.
type Standing int

// The standings. The zero Standing is no knowledge.
const (
	CannotSay Standing = iota // it could not be asked, or did not answer for good
	Known
	Unknown
)

// VerifyConfig is for Verify. Zero fields stand for the defaults.
type VerifyConfig struct {
	From  mail.Address  // reverse-path of probes; zero: <>
	Keep  time.Duration // how long a yes is good without asking again: 1 h
	Stale time.Duration // how long a yes is good while the next hop cannot be asked: 24 h
	No    time.Duration // how long a no is good: 5 min
	Most  int           // answers remembered: 100,000
}

func (c VerifyConfig) filled() VerifyConfig {
	if c.Keep <= 0 {
		c.Keep = time.Hour
	}
	if c.Stale <= 0 {
		c.Stale = 24 * time.Hour
	}
	if c.No <= 0 {
		c.No = 5 * time.Minute
	}
	if c.Most <= 0 {
		c.Most = 100_000
	}
	return c
}

// Verify asks the next hop, by MAIL and RCPT without content, whether it takes mail for rcpt; what Memory says of answers
// holds. The Reply is the next hop's own, nil if there is none.
func (f *Forwarder) Verify(ctx context.Context, rcpt mail.Address) (Standing, *smtp.Reply) {
	route := f.routes[rcpt.Domain()]
	if route == nil {
		return CannotSay, nil
	}
	return f.known.Ask(ctx, rcpt.Canonical(), func() (Standing, *smtp.Reply) { return f.probe(ctx, route, rcpt) })
}

// probe asks the first next hop that can be reached.
func (f *Forwarder) probe(ctx context.Context, route *Route, rcpt mail.Address) (Standing, *smtp.Reply) {
	for _, h := range f.order(ctx, route) {
		reply, err := h.probe(ctx, f.cfg.Verify.From, rcpt)
		if err == nil {
			return standing(reply), reply
		}
		var step *smtp.StepError
		if errors.As(err, &step) && step.Step == "MAIL" {
			refusal, _ := step.Err.(*smtp.Reply)
			return CannotSay, refusal
		}
		if ctx.Err() != nil {
			break
		}
	}
	return CannotSay, nil
}

// standing reads a reply to RCPT. A refusal that speaks of us rather than of the recipient, such as for want of rights
// or for a command out of place, says nothing about the recipient.
func standing(r *smtp.Reply) Standing {
	switch {
	case r.Code/100 == 2:
		return Known
	case r.Code/100 != 5, strings.HasPrefix(r.Enhanced, "5.7."), strings.HasPrefix(r.Enhanced, "5.5."), r.Code < 550:
		return CannotSay
	}
	return Unknown
}

// probe is send for a probe.
func (h *hop) probe(ctx context.Context, from, rcpt mail.Address) (*smtp.Reply, error) {
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	for {
		l, err := h.line(ctx)
		if err != nil {
			return nil, err
		}
		reply, err := l.Probe(ctx, from, rcpt)
		reused := l.used > 0
		l.used++
		alive := h.put(l)
		if err == nil || !reused || alive || ctx.Err() != nil {
			return reply, err
		}
		h.hangUp()
	}
}

// A Memory remembers the standings of recipients, a bounded number of them. Answers are remembered, and one address is
// asked for once at a time. While nobody can be asked, an old yes still counts; an old no does not, for it would make a
// permanent refusal out of a failure of ours. That nobody could say is never remembered (HOSTILE K-11). It is safe for
// concurrent use.
type Memory struct {
	cfg    VerifyConfig
	mu     sync.Mutex
	kept   map[string]answer
	asking map[string]*question
}

type answer struct {
	standing Standing
	reply    *smtp.Reply
	at       time.Time
}

// A question is a probe in progress; what it learnt may be read once done is closed.
type question struct {
	answer
	done chan struct{}
}

// NewMemory makes an empty Memory.
func NewMemory(cfg VerifyConfig) *Memory {
	return &Memory{cfg: cfg.filled(), kept: make(map[string]answer), asking: make(map[string]*question)}
}

// Ask is the standing of the recipient with a canonical address, from memory or by find.
func (m *Memory) Ask(ctx context.Context, key string, find func() (Standing, *smtp.Reply)) (Standing, *smtp.Reply) {
	if a, ok := m.answer(key); ok {
		return a.standing, a.reply
	}
	asking, first := m.ask(key)
	if !first {
		select {
		case <-asking.done:
			return asking.standing, asking.reply
		case <-ctx.Done():
			return CannotSay, nil
		}
	}
	asking.standing, asking.reply = find()
	m.learn(key, asking)
	return asking.standing, asking.reply
}

// succeed takes over what old remembers.
func (m *Memory) succeed(old *Memory) {
	old.mu.Lock()
	defer old.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, a := range old.kept {
		m.room(key)
		m.kept[key] = a
	}
}

// answer is what is remembered and needs no new question.
func (m *Memory) answer(key string) (answer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.kept[key]
	age := time.Since(a.at)
	return a, ok && (a.standing == Known && age < m.cfg.Keep || a.standing == Unknown && age < m.cfg.No)
}

// ask is the question in progress for key, begun now if first.
func (m *Memory) ask(key string) (q *question, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if q := m.asking[key]; q != nil {
		return q, false
	}
	q = &question{done: make(chan struct{})}
	m.asking[key] = q
	return q, true
}

// learn ends a question. Without an answer, an old yes becomes it.
func (m *Memory) learn(key string, q *question) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.asking, key)
	q.at = time.Now()
	if old := m.kept[key]; q.standing == CannotSay && old.standing == Known && time.Since(old.at) < m.cfg.Stale {
		q.standing, q.reply = Known, old.reply
	} else if q.standing != CannotSay {
		m.room(key)
		m.kept[key] = q.answer
	}
	close(q.done)
}

// room forgets one answer if all places are taken: the oldest of a few picked at random.
func (m *Memory) room(key string) {
	if _, ok := m.kept[key]; ok || len(m.kept) < m.cfg.Most {
		return
	}
	oldest, seen := "", 0
	for k, a := range m.kept {
		if oldest == "" || a.at.Before(m.kept[oldest].at) {
			oldest = k
		}
		if seen++; seen == 8 {
			break
		}
	}
	delete(m.kept, oldest)
}
