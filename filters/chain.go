package filters

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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
type Chain struct{ stages [AtDepth + 1][]Link }

// NewChain keeps links in the order given; reports follow it.
func NewChain(links []Link) *Chain {
	c := &Chain{}
	for _, l := range links {
		c.stages[l.Stage] = append(c.stages[l.Stage], l)
	}
	return c
}

// Names lists the filters of the chain by stage, in chain order.
func (c *Chain) Names() []string {
	var names []string
	for _, s := range c.stages {
		for _, l := range s {
			names = append(names, l.Name)
		}
	}
	return names
}

// A Warmer is a filter that can ask early what a message from an envelope will raise, so that the answers are at hand when
// its content has come.
type Warmer interface {
	Warm(ctx context.Context, env *mail.Envelope)
}

// Warm lets every filter that can ask its questions early. It finds out nothing, and a crash in it harms nobody.
func (c *Chain) Warm(ctx context.Context, env *mail.Envelope) {
	defer func() { _ = recover() }() // what crashes here crashes again in Check, where it is counted
	for _, s := range c.stages {
		for _, l := range s {
			if w, ok := l.Filter.(Warmer); ok {
				wctx, cancel := context.WithTimeout(ctx, l.Timeout)
				w.Warm(wctx, env)
				cancel()
			}
		}
	}
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
func (c *Chain) Run(ctx context.Context, stage Stage, m *mail.Mail, r *Report) <-chan struct{} {
	links := c.stages[stage]
	ended := make(chan struct{})
	results := make([]chan outcome, len(links))
	var last chan struct{}
	before := *r // what is added below, goes behind what it holds
	for i, l := range links {
		results[i] = make(chan outcome, 1)
		check := func(ctx context.Context) (Facts, error) { return check(ctx, l, m, before) }
		last = spawn(ctx, l.Timeout, check, results[i], last)
	}
	for i, l := range links {
		r.add(l, wait(ctx, l, results[i]))
	}
	if last == nil {
		close(ended)
		return ended
	}
	return last
}

// spawn runs one filter in its own goroutine. The channel it returns is closed when this filter and all before it
// have ended.
func spawn(ctx context.Context, timeout time.Duration, check func(context.Context) (Facts, error), result chan<- outcome, before chan struct{}) chan struct{} {
	ended := make(chan struct{})
	go func() {
		fctx, cancel := context.WithTimeout(ctx, timeout)
		start := time.Now()
		facts, err := check(fctx)
		cancel()
		result <- outcome{facts, err, time.Since(start)}
		if before != nil {
			<-before
		}
		close(ended)
	}()
	return ended
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

// wait takes the filter's result, or gives it up when it ignores its deadline.
func wait(ctx context.Context, l Link, result <-chan outcome) outcome {
	t := time.NewTimer(l.Timeout + grace)
	defer t.Stop()
	select {
	case o := <-result:
		return o
	case <-t.C:
		return outcome{err: fmt.Errorf("abandoned: %w", context.DeadlineExceeded), took: l.Timeout}
	case <-ctx.Done():
	}
	select {
	case o := <-result:
		return o
	case <-time.After(grace):
		return outcome{err: fmt.Errorf("abandoned: %w", ctx.Err()), took: l.Timeout}
	}
}

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
