package forward

import (
	"container/heap"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
)

// retryPauses are the waits after each attempt; the last is repeated. They are shorter than RFC 5321 section 4.5.4.1 asks,
// which speaks of other people's hosts: these next hops are our own.
var retryPauses = [...]time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
}

func retryPause(attempts int) time.Duration {
	return around(retryPauses[min(max(attempts, 0), len(retryPauses)-1)])
}

// attemptTime bounds one attempt: the deadlines of the conversation add up to less for all but the largest messages.
const attemptTime = 20 * time.Minute

// An item is one message in the index; what else there is to know is in its file.
type item struct {
	id     string
	size   int64
	next   time.Time
	tries  int
	aged   time.Duration // when loaded
	loaded time.Time
	busy   bool
	unread bool  // as after a start, until Load comes to it; busy too
	urgent bool  // of those unread: due at once
	done   []int // who has the message although its file could not be made to say so
	stale  bool  // expired while no next hop could be reached: not worth another attempt
	lane   *lane
	place  int // in the lane
}

// age is how long the message is on hold. It runs by the monotonic clock: a wall clock that jumps expires nothing.
func (it *item) age() time.Duration { return it.aged + time.Since(it.loaded) }

// A lane is all mail of one domain. While the domain's next hops cannot be reached it has one message to try them with;
// when they can again, the number of attempts at once doubles with each success up to the limit, so that a hop that just
// came back is not run over.
type lane struct {
	waiting  byNext
	busy     int
	allow    int
	failures int // in a row to reach a next hop
	resume   time.Time
	swept    time.Time // when expired messages were last looked for
}

// byNext is a heap of items, the one due first on top.
type byNext []*item

func (q byNext) Len() int           { return len(q) }
func (q byNext) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q byNext) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].place, q[j].place = i, j }
func (q *byNext) Push(x any)        { it := x.(*item); it.place = len(*q); *q = append(*q, it) }
func (q *byNext) Pop() any {
	old := *q
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return it
}

func (l *lane) remove(it *item) { heap.Remove(&l.waiting, it.place) }

// add puts an item, whose bytes are counted already, into the index and into its domain's lane.
func (h *Hold) add(it *item, domain string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lane(domain)
	it.lane = l
	h.items[it.id] = it
	heap.Push(&l.waiting, it)
}

// lane is that of a domain, made if need be; h.mu is held.
func (h *Hold) lane(domain string) *lane {
	l := h.lanes[domain]
	if l == nil {
		l = &lane{allow: 1}
		h.lanes[domain] = l
	}
	return l
}

// signal tells Run that something is due earlier than it knows.
func (h *Hold) signal() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// Run delivers what is due until ctx ends, and returns when the attempts in progress have ended.
func (h *Hold) Run(ctx context.Context) {
	defer h.running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, wait := h.due(time.Now())
		for _, it := range due {
			h.running.Go(func() { h.attempt(ctx, it) })
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-h.changed:
		case <-timer.C:
		}
	}
}

// due takes what may be tried now out of the lanes, and tells how long nothing else will be due.
func (h *Hold) due(now time.Time) (due []*item, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait = time.Hour
	for domain, l := range h.lanes {
		if len(l.waiting) == 0 && l.busy == 0 {
			delete(h.lanes, domain)
			continue
		}
		due = append(due, h.expired(l, now)...)
		for len(l.waiting) > 0 && l.busy < min(l.allow, h.cfg.Parallel) {
			next := l.waiting[0].next
			if l.resume.After(next) {
				next = l.resume
			}
			if next.After(now) {
				wait = min(wait, next.Sub(now))
				break
			}
			due = append(due, l.take(l.waiting[0]))
		}
		if l.failures > 0 && len(l.waiting) > 0 {
			wait = min(wait, sweepEvery)
		}
	}
	return due, wait
}

func (l *lane) take(it *item) *item {
	heap.Remove(&l.waiting, it.place)
	it.busy = true
	l.busy++
	return it
}

const (
	sweepEvery = time.Minute
	maxExpired = 10 // given up at once
)

// expired takes messages out of a lane whose next hops cannot be reached, when their time is over: they need not wait for
// an attempt that fails.
func (h *Hold) expired(l *lane, now time.Time) (due []*item) {
	if l.failures == 0 || now.Sub(l.swept) < sweepEvery {
		return nil
	}
	var old []*item
	for _, it := range l.waiting {
		if len(old) < maxExpired && !it.next.After(now) && it.age() >= h.cfg.Lifetime {
			old = append(old, it)
		}
	}
	if len(old) < maxExpired {
		l.swept = now
	}
	for _, it := range old {
		it.stale = true
		due = append(due, l.take(it))
	}
	return due
}

// Retry makes messages due now; with no ids, all. Their domains are taken to be reachable.
func (h *Hold) Retry(ids ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(ids) == 0 {
		for id := range h.items {
			ids = append(ids, id)
		}
	}
	var unknown error
	for _, id := range ids {
		it := h.items[id]
		if it == nil {
			unknown = ErrNotHeld
			continue
		}
		it.urgent = it.unread
		if it.lane == nil || it.busy {
			continue
		}
		it.next = time.Now()
		it.lane.resume = time.Time{}
		heap.Fix(&it.lane.waiting, it.place)
	}
	h.signal()
	return unknown
}

// Wake tells that next hops of these domains may be reached again; see Config.Changed.
func (h *Hold) Wake(domains ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range domains {
		if l := h.lanes[d]; l != nil && !l.resume.IsZero() {
			l.resume = time.Time{}
			// One message goes ahead whenever it was due; the others follow when they are, once it gets through.
			if now := time.Now(); len(l.waiting) > 0 && l.waiting[0].next.After(now) {
				l.waiting[0].next = now
			}
		}
	}
	h.signal()
}

// attempt tries to deliver one message and settles what can be settled.
func (h *Hold) attempt(ctx context.Context, it *item) {
	f, err := h.open(it.id)
	if err != nil {
		if errors.Is(err, ErrHoldFile) || errors.Is(err, fs.ErrNotExist) {
			h.setAside(it, err)
		} else {
			h.trouble(it.id, err)
			h.postpone(it, retryPause(it.tries), true)
		}
		return
	}
	defer f.Close()
	for _, place := range it.done {
		if !slices.Contains(f.progress.Done, place) {
			f.progress.Done = append(f.progress.Done, place)
		}
	}
	if f.progress.Cancelled != "" {
		if err := h.cancelled(it.id, f); err != nil {
			h.trouble(it.id, err)
			h.postpone(it, retryPause(it.tries), true)
			return
		}
		h.finish(it, f, true)
		return
	}
	if len(f.progress.Lost) > 0 && !h.keepLost(ctx, it, f) {
		h.postpone(it, retryPause(it.tries), true)
		return
	}
	if len(f.open()) == 0 {
		h.end(ctx, it, f, true)
		return
	}
	src, err := f.source()
	if err != nil { // its key is not here, or the disk cannot read: that may be mended
		h.trouble(it.id, err)
		h.postpone(it, retryPause(it.tries), true)
		return
	}
	out := h.send(ctx, it, f.delivery(src))
	if ctx.Err() != nil && !slices.ContainsFunc(out, func(o Outcome) bool { return o.Err == nil }) {
		h.postpone(it, 0, true)
		return
	}
	held := f.held(it.id)
	progress := h.judge(it, f, out)
	h.trouble(it.id, failpoint.Hit(failpoint.AfterTaken))
	if len(progress.Untold) > 0 {
		h.trouble(it.id, f.note(progress))
	}
	if h.cfg.Tried != nil {
		h.cfg.Tried(held, out)
	}
	progress.Untold = nil
	h.settle(ctx, it, f, attempted{progress, slices.ContainsFunc(out, func(o Outcome) bool { return !o.Down() })})
}

// send makes the attempt.
func (h *Hold) send(ctx context.Context, it *item, d Delivery) []Outcome {
	if !it.stale {
		ctx, cancel := context.WithTimeout(ctx, attemptTime)
		defer cancel()
		return h.cfg.Sender.Send(ctx, d)
	}
	out := make([]Outcome, len(d.Rcpts))
	for i, r := range d.Rcpts {
		out[i] = Outcome{Rcpt: r, Reply: excuse(ErrDown), Err: ErrDown}
	}
	return out
}

// An attempted is what came of an attempt: the progress, and whether a next hop was reached at all.
type attempted struct {
	progress holdProgress
	reached  bool
}

// settle acts on what came of an attempt.
func (h *Hold) settle(ctx context.Context, it *item, f *holdFile, a attempted) {
	pause := retryPause(it.tries)
	a.progress.Next = time.Now().Add(pause)
	if before := f.progress; len(a.progress.Lost) == 0 {
		f.progress = a.progress
		if len(f.open()) == 0 && len(a.progress.Notice) == 0 { // then its removal says so
			h.finish(it, f, a.reached)
			return
		}
		f.progress = before
	}
	it.tries++
	if err := f.advance(a.progress); err != nil { // this process at least remembers who has the message
		h.trouble(it.id, err)
		it.done = a.progress.Done
	} else if (len(a.progress.Lost) == 0 || h.keepLost(ctx, it, f)) && len(f.open()) == 0 {
		h.end(ctx, it, f, a.reached)
		return
	}
	h.postpone(it, pause, a.reached)
}

// judge is the progress after an attempt.
func (h *Hold) judge(it *item, f *holdFile, out []Outcome) holdProgress {
	expired := it.age() >= h.cfg.Lifetime
	progress := holdProgress{Done: slices.Clone(f.progress.Done), Notice: f.progress.Notice, Attempts: f.progress.Attempts + 1}
	places := f.open()
	for i, o := range out {
		progress.Last = mail.Printable(o.Reply.Error(), 512)
		switch {
		case o.Reply.Code/100 == 2:
			progress.Done = append(progress.Done, places[i])
			progress.Untold = append(progress.Untold, saidOf(places[i], o))
		case expired || o.Reply.Code/100 == 5 && !o.Early: // a hop that is out of order must not end the whole queue
			progress.Lost = append(progress.Lost, saidOf(places[i], o))
		}
	}
	return progress
}

// keepLost has the copies that nothing more is tried for kept elsewhere. The file says already that they are lost, and
// says afterwards that they are settled: whatever crash comes in between, they are not delivered as well.
func (h *Hold) keepLost(ctx context.Context, it *item, f *holdFile) bool {
	held := f.held(it.id)
	held.Rcpts = nil
	why := f.outcomes(f.progress.Lost)
	for _, o := range why {
		held.Rcpts = append(held.Rcpts, o.Rcpt)
	}
	src, err := f.source()
	if err == nil {
		err = h.cfg.GiveUp(ctx, held, src, why)
	}
	if err != nil {
		h.trouble(it.id, err)
		return false
	}
	h.trouble(it.id, failpoint.Hit(failpoint.GaveUp))
	progress := f.progress
	for _, l := range progress.Lost {
		progress.Done = append(progress.Done, l.Place)
	}
	progress.Notice = append(progress.Notice, h.toTell(held, src, f)...)
	progress.Lost = nil
	if err := f.advance(progress); err != nil {
		h.trouble(it.id, err)
		f.progress, it.done = progress, progress.Done
	}
	h.trouble(it.id, failpoint.Hit(failpoint.BetweenRcpts))
	return true
}

// finish removes a message whose recipients are all settled.
func (h *Hold) finish(it *item, f *holdFile, reached bool) {
	if err := h.release(it); err != nil { // then at least the file says so
		h.trouble(it.id, errors.Join(err, f.advance(f.progress)))
	}
	h.mu.Lock()
	h.after(it.lane, reached)
	h.mu.Unlock()
	h.signal()
}

// postpone puts an item back into its lane.
func (h *Hold) postpone(it *item, pause time.Duration, reached bool) {
	h.mu.Lock()
	it.busy, it.stale = false, false
	it.next = time.Now().Add(pause)
	heap.Push(&it.lane.waiting, it)
	h.after(it.lane, reached)
	h.mu.Unlock()
	h.signal()
}

// after adapts a lane to the end of an attempt; h.mu is held.
func (h *Hold) after(l *lane, reached bool) {
	l.busy--
	if reached {
		l.allow = min(l.allow*2, h.cfg.Parallel)
		l.failures, l.resume = 0, time.Time{}
		return
	}
	l.allow = 1
	l.resume = time.Now().Add(min(retryPause(l.failures), 5*time.Minute))
	l.failures++
}

// setAside keeps a damaged file out of the way and forgets its message; whoever lists the directory finds it.
func (h *Hold) setAside(it *item, cause error) {
	h.trouble(it.id, errors.Join(cause, h.cfg.Directory.Rename(it.id+holdSuffix, it.id+damagedSuffix)))
	h.mu.Lock()
	h.forget(it.id, it.size)
	h.after(it.lane, true)
	h.mu.Unlock()
}
