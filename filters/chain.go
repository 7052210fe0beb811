package filters

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"gatepost/filters/mail"
)

// A Link is one filter in a chain.
type Link struct {
	Name    string
	Stage   Stage
	Timeout time.Duration // of one Check; the message's own deadline counts as well
	Filter  Filter
}

// A Chain runs filters. It is immutable and safe for concurrent use.
type Chain struct {
	stages [AtDepth + 1]stage
	crew   *Crew
}

// A stage is the filters that run at once. Those with the same timeout share a deadline: patience has each timeout once, in
// rising order, and turn, for each filter, the place of its own.
type stage struct {
	links    []Link
	patience []time.Duration
	turn     []int
}

// NewChain keeps links in the order given; reports follow it.
func NewChain(links []Link) *Chain {
	c := &Chain{crew: NewCrew()}
	for _, l := range links {
		s := &c.stages[l.Stage]
		s.links, s.patience = append(s.links, l), append(s.patience, l.Timeout)
	}
	for i := range c.stages {
		s := &c.stages[i]
		slices.Sort(s.patience)
		s.patience = slices.Compact(s.patience)
		for _, l := range s.links {
			at, _ := slices.BinarySearch(s.patience, l.Timeout)
			s.turn = append(s.turn, at)
		}
	}
	return c
}

// Names lists the filters of the chain by stage, in chain order.
func (c *Chain) Names() []string {
	var names []string
	for _, s := range c.stages {
		for _, l := range s.links {
			names = append(names, l.Name)
		}
	}
	return names
}

// Has reports whether any filter runs at a stage.
func (c *Chain) Has(at Stage) bool { return len(c.stages[at].links) > 0 }

// A Warmer is a filter that can ask early what a message from an envelope will raise, so that the answers are at hand when
// its content has come.
type Warmer interface {
	Warm(ctx context.Context, env *mail.Envelope)
}

// Warm lets every filter that can ask its questions early, in the background. It finds out nothing, and a crash in it harms
// nobody.
func (c *Chain) Warm(ctx context.Context, env *mail.Envelope) {
	c.crew.Go(func() {
		defer func() { _ = recover() }() // what crashes here crashes again in Check, where it is counted
		for _, s := range c.stages {
			for _, l := range s.links {
				if w, ok := l.Filter.(Warmer); ok {
					wctx, cancel := context.WithTimeout(ctx, l.Timeout)
					w.Warm(wctx, env)
					cancel()
				}
			}
		}
	})
}

// outcome is what one filter came back with.
type outcome struct {
	facts Facts
	err   error
	took  time.Duration
}

// Run checks m with every filter of the stage at once and adds what they found to r, in chain order. A filter that
// fails, panics or ignores its deadline becomes a Failure; the others are not disturbed. The returned channel is
// closed when the last filter has really ended: only then may the message's Source be closed.
func (c *Chain) Run(ctx context.Context, at Stage, m *mail.Mail, r *Report) <-chan struct{} {
	s := &c.stages[at]
	n := &running{stage: s, crew: c.crew, ctx: ctx, mail: m, before: *r, outcomes: make([]outcome, len(s.links)), came: make(chan int, len(s.links)), ended: make(chan struct{})}
	if len(s.links) == 0 {
		close(n.ended)
		return n.ended
	}
	n.begin()
	given := n.wait()
	for i, l := range s.links {
		if given[i] == nil {
			r.add(l, n.outcomes[i])
			continue
		}
		r.add(l, outcome{err: given[i], took: l.Timeout})
	}
	return n.ended
}

// A running is one stage at work on one message.
type running struct {
	*stage
	crew     *Crew
	ctx      context.Context
	mail     *mail.Mail
	before   Report // of the stages before; what is added to it later goes behind what it holds
	start    time.Time
	outcomes []outcome // each written by its filter alone, before its number goes through came
	came     chan int  // numbers of filters that have ended
	left     atomic.Int32
	cancels  []context.CancelFunc
	ended    chan struct{}
}

// begin starts every filter in its own goroutine.
func (n *running) begin() {
	n.start = time.Now()
	n.left.Store(int32(len(n.links)))
	contexts := make([]context.Context, len(n.patience))
	n.cancels = make([]context.CancelFunc, len(n.patience))
	for i, d := range n.patience {
		contexts[i], n.cancels[i] = context.WithDeadline(n.ctx, n.start.Add(d))
	}
	for i := range n.links {
		n.crew.Go(func() { n.one(contexts[n.turn[i]], i) })
	}
}

// one runs one filter. The last to end closes ended.
func (n *running) one(ctx context.Context, i int) {
	start := time.Now()
	o := &n.outcomes[i]
	o.facts, o.err = check(ctx, n.links[i], n.mail, n.before)
	o.took = time.Since(start)
	n.came <- i
	if n.left.Add(-1) > 0 {
		return
	}
	for _, cancel := range n.cancels {
		cancel()
	}
	close(n.ended)
}

// wait returns once every filter has ended or was given up because it ignores its deadline, or the end of the message's
// own time; those have an error, in the order of the chain. Their outcome must not be read: they may still write it.
func (n *running) wait() []error {
	given := make([]error, len(n.links))
	here := make([]bool, len(n.links))
	waiting := len(n.links)
	stage := 0 // of patience: the deadline that is waited for
	t := time.NewTimer(n.patience[0] + grace)
	defer t.Stop()
	over := n.ctx.Done()
	var why error = context.DeadlineExceeded
	for waiting > 0 {
		select {
		case i := <-n.came:
			if !here[i] {
				here[i], waiting = true, waiting-1
			}
			continue
		case <-over:
			over, why, stage = nil, n.ctx.Err(), len(n.patience)-1
			t.Reset(grace)
			continue
		case <-t.C:
		}
		for i := range n.links {
			if n.turn[i] <= stage && !here[i] {
				here[i], waiting = true, waiting-1
				given[i] = fmt.Errorf("abandoned: %w", why)
			}
		}
		if stage++; stage < len(n.patience) {
			t.Reset(time.Until(n.start.Add(n.patience[stage] + grace)))
		}
	}
	return given
}

// check calls the filter and turns a panic into an error: a crash must never become a fact.
func check(ctx context.Context, l Link, m *mail.Mail, before Report) (facts Facts, err error) {
	defer func() {
		if p := recover(); p != nil {
			facts, err = Facts{}, &PanicError{Value: fmt.Sprint(p), Stack: debug.Stack()}
		}
	}()
	if f, ok := l.Filter.(Follower); ok {
		return f.Follow(ctx, m, before)
	}
	return l.Filter.Check(ctx, m)
}

// A PanicError is a filter that crashed.
type PanicError struct {
	Value string
	Stack []byte
}

func (e *PanicError) Error() string { return "crash: " + e.Value }

// grace is how long past its deadline a filter may take to notice that it is over.
const grace = 100 * time.Millisecond

// add appends one filter's outcome.
func (r *Report) add(l Link, o outcome) {
	f := o.facts
	for i := range f.Findings {
		f.Findings[i].Filter = l.Name
	}
	r.Findings = append(r.Findings, f.Findings...)
	if f.Message != nil {
		r.Message = f.Message
	}
	if f.Auth != nil {
		r.Auth = f.Auth
	}
	if f.Attachments != nil {
		r.Attachments = append(r.Attachments, f.Attachments...)
	}
	if f.URLs != nil {
		r.URLs = append(r.URLs, f.URLs...)
	}
	if f.Text != nil {
		r.Text = f.Text
	}
	if f.Sender != nil {
		r.Sender = f.Sender
	}
	if o.err != nil {
		r.Failures = append(r.Failures, Failure{Filter: l.Name, Error: reason(l, o.err)})
	}
	r.Timings = append(r.Timings, Timing{Filter: l.Name, Micros: o.took.Microseconds()})
}

// reason puts an error into one printable line.
func reason(l Link, err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("timeout after %s", l.Timeout)
	}
	return mail.Printable(err.Error(), 200)
}
