package main

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"gatepost/filters"
	"gatepost/filters/traffic"
	"gatepost/gateway/journal"
	"gatepost/policy"
)

// A trail is what a running gateway remembers of its traffic. Until a memory is there, nothing is remembered and nothing stated, so
// that commands which judge files neither read nor write it. It is a traffic.Memory.
type trail struct {
	memory atomic.Pointer[trailMemory]
	half   atomic.Int64 // half-life of the filter in force; 0 while it is off: then nothing is learnt
	queue  chan lesson
}

// A trailMemory is where it is remembered, and what keys it.
type trailMemory struct {
	keeper
	key traffic.Key
}

// A keeper remembers traffic. *state.Local and *state.Redis are keepers.
type keeper interface {
	Ask(ctx context.Context, q traffic.Question) (traffic.Answer, error)
	Weigh(ctx context.Context, senders []string, w traffic.Weight) error
}

// maxLessons is how many lessons may wait. What comes while so many do is not learnt: mail never waits for it.
const maxLessons = 1024

func newTrail() *trail { return &trail{queue: make(chan lesson, maxLessons)} }

// follow begins to remember.
func (t *trail) follow(in keeper, key traffic.Key) { t.memory.Store(&trailMemory{in, key}) }

// Key implements traffic.Memory.
func (t *trail) Key() *traffic.Key {
	if m := t.memory.Load(); m != nil {
		return &m.key
	}
	return nil
}

// Ask implements traffic.Memory.
func (t *trail) Ask(ctx context.Context, q traffic.Question) (traffic.Answer, error) {
	t.half.Store(int64(q.HalfLife))
	return t.memory.Load().Ask(ctx, q)
}

// A lesson is what a message teaches of its sender: its record, or its id where that has to be looked up, and the weight.
type lesson struct {
	id      string
	senders []string
	weight  traffic.Weight
}

// learn takes a lesson in, later. It never blocks.
func (t *trail) learn(l lesson) {
	if t == nil || t.half.Load() == 0 {
		return
	}
	select {
	case t.queue <- l:
	default:
	}
}

// byPerson is how much people's judgment of one message weighs against what policy made of others by itself.
const byPerson = 5

// judged is what a person says of a message in the quarantine.
func (t *trail) judged(id string, wanted bool) {
	w := traffic.Weight{Unwanted: byPerson}
	if wanted {
		w = traffic.Weight{Wanted: byPerson}
	}
	t.learn(lesson{id: id, weight: w})
}

// came is what became of a message, as policy p judges.
func (t *trail) came(rec *journal.Record, p *policy.Policy) {
	if rec.Kind != journal.Message || rec.Decision == nil || rec.Report == nil || rec.Decision.Action == policy.Defer {
		return
	}
	w := weightOf(rec, p)
	w.Messages = 1
	t.learn(lesson{senders: traffic.IdentityOf(rec.Client, rec.Trusted, rec.Report).Keys(), weight: w})
}

// weightOf is what policy's own judgment of a message says for or against its sender. So that a reputation does not feed on itself, a
// judgment that would have been another without what the filter traffic found says nothing.
func weightOf(rec *journal.Record, p *policy.Policy) (w traffic.Weight) {
	d := *rec.Decision
	ours := func(f filters.Finding) bool { return f.Filter == "traffic" }
	if slices.ContainsFunc(rec.Report.Findings, ours) {
		env, err := rec.Envelope()
		if err != nil {
			return w
		}
		rep := *rec.Report
		rep.Findings = slices.DeleteFunc(slices.Clone(rep.Findings), ours)
		if d = p.Decide(env, &rep); d.Action != rec.Decision.Action {
			return w
		}
	}
	switch d.Action {
	case policy.Accept:
		if slices.ContainsFunc(rec.Fates, func(f journal.Fate) bool { return f.Fate != "refused" && f.Fate != "deferred" }) {
			w.Wanted = 1
		}
	case policy.Quarantine, policy.Reject:
		if d.Class == policy.Spam || d.Class == policy.Phish || d.Class == policy.Malware {
			w.Unwanted = 1
		}
	}
	return w
}

// follow begins to remember, among all gateways of the site where they share a state. The key is the site's own.
func (w *works) follow() {
	var in keeper = w.memory
	if w.shared != nil {
		in = w.shared
	}
	w.trail.follow(in, w.book.Secret("traffic"))
}

// run remembers what is learnt, until ctx ends. What the memory cannot take now is lost, as all of it may be; the filter tells of a memory
// that cannot be asked.
func (t *trail) run(ctx context.Context, w *works) {
	for {
		select {
		case l := <-t.queue:
			w.remember(ctx, l)
		case <-ctx.Done():
			return
		}
	}
}

// remember weighs one lesson.
func (w *works) remember(ctx context.Context, l lesson) {
	if l.id != "" {
		rec, err := w.reader.Lookup(ctx, l.id)
		if err != nil || rec.Report == nil {
			return // too old to be known
		}
		l.senders = traffic.IdentityOf(rec.Client, rec.Trusted, rec.Report).Keys()
	}
	if len(l.senders) == 0 {
		return
	}
	l.weight.HalfLife = time.Duration(w.trail.half.Load())
	_ = w.trail.memory.Load().Weigh(ctx, l.senders, l.weight)
}
