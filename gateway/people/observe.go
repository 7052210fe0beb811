package people

import (
	"context"
	"time"

	"gatepost/filters/mail"
	"gatepost/filters/spoof"
	"gatepost/rules/sites"
)

// An Observation is one message that was accepted as clean.
type Observation struct {
	Time   time.Time
	Author string // canonical address of the author
	Name   string // display name
	Proven bool   // the author's domain was authenticated
	Ours   bool   // it is one of this site's
	Rcpts  []Reader
	Links  []string // registered domains that it links to
}

// A Reader is one recipient, with the name that the message gives him.
type Reader struct{ Address, Name string }

// maxQueue is how many observations may wait. What comes while it is full is not observed: mail never waits for it.
const maxQueue = 1024

// The most that one message teaches.
const (
	maxRcpts = 20
	maxLinks = 20
)

// Observe takes note of a message, later. It never blocks.
func (b *Book) Observe(o Observation) {
	if o.Author == "" {
		return
	}
	select {
	case b.queue <- o:
	default:
		b.dropped.Add(1)
	}
}

// Dropped is how many messages were not observed because too many came at once.
func (b *Book) Dropped() int64 { return b.dropped.Load() }

// flushEvery is how long what was observed may wait to be written down.
const flushEvery = 5 * time.Second

// maxPending is how many observations share one transaction.
const maxPending = 500

// pruneEvery is how often old memories are dropped.
const pruneEvery = 24 * time.Hour

// shareEvery is how often what other gateways wrote down is read, where they share a store.
const shareEvery = time.Hour

// Run observes what is queued and writes it down, until ctx ends; then it writes the rest. failed is told of every write that failed
// and, with nil, of the next one that did not.
func (b *Book) Run(ctx context.Context, s *Store, failed func(error)) {
	flush, prune := time.NewTicker(flushEvery), time.NewTicker(pruneEvery)
	defer flush.Stop()
	defer prune.Stop()
	share := time.NewTicker(shareEvery)
	defer share.Stop()
	var pending []Observation
	write := func(ctx context.Context) {
		if len(pending) > 0 {
			if err := s.Add(ctx, b, pending); err != nil {
				failed(err)
				if len(pending) < 4*maxPending {
					return // they are tried again with the next
				}
			} else {
				failed(nil)
			}
			pending = pending[:0]
		}
	}
	for {
		select {
		case o := <-b.queue:
			b.learn(&o)
			if pending = append(pending, o); len(pending) >= maxPending {
				write(ctx)
			}
		case <-flush.C:
			write(ctx)
			failed(s.follow(ctx, b))
			b.compile()
		case <-share.C:
			if s.db.Shared() {
				failed(s.Load(ctx, b))
			}
		case <-prune.C:
			failed(s.prune(ctx, b, time.Now()))
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			write(last)
			cancel()
			return
		}
	}
}

// learn takes an observation into memory.
func (b *Book) learn(o *Observation) {
	today := dayOf(o.Time)
	org := mail.OrganizationalDomain(o.Author[lastAt(o.Author)+1:])
	key := spoof.Key(b.look, o.Name)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.when(today)
	b.messages = min(b.messages+1, 1<<30)
	b.sender(b.key(o.Author), sender{today, today, 1, one(o.Proven)})
	for _, r := range o.Rcpts[:min(len(o.Rcpts), maxRcpts)] {
		if k := b.key(o.Author, r.Address); len(b.contacts) < b.limits.Contacts || b.contacts[k] != 0 {
			b.contacts[k] = today
		}
		if name := spoof.Key(b.look, r.Name); name != "" && o.Proven {
			b.name(name, &bearer{address: r.Address, source: org, last: today, count: 1, sources: 1})
		}
	}
	for _, d := range o.Links[:min(len(o.Links), maxLinks)] {
		b.link(b.key(d), linked{today, today})
	}
	if !o.Proven || org == "" {
		return
	}
	if o.Ours {
		if key != "" {
			b.name(key, &bearer{address: o.Author, source: org, last: today, count: 1, own: true})
		}
		return
	}
	b.partner(org, partner{today, 1, 1})
	if key != "" {
		b.writer(key, writer{org, today, 1})
	}
}

func lastAt(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '@' {
			return i
		}
	}
	return -1
}

func one(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// when notes a day of which something is remembered.
func (b *Book) when(d day) {
	if b.oldest == 0 || d < b.oldest {
		b.oldest = d
	}
	b.newest = max(b.newest, d)
}

// sender adds to what is remembered of an address.
func (b *Book) sender(k uint64, s sender) {
	old := b.senders[k]
	if old == nil {
		if len(b.senders) < b.limits.Senders {
			b.senders[k] = &s
		}
		return
	}
	old.first, old.last = min(old.first, s.first), max(old.last, s.last)
	old.count, old.proven = min(old.count+s.count, maxCount), min(old.proven+s.proven, maxCount)
}

// link adds to what is remembered of a domain that was linked to.
func (b *Book) link(k uint64, l linked) {
	old := b.links[k]
	if old == nil {
		if len(b.links) < b.limits.Links {
			b.links[k] = &l
		}
		return
	}
	old.first, old.last = min(old.first, l.first), max(old.last, l.last)
}

// name adds to what is remembered of a name of ours.
func (b *Book) name(key string, n *bearer) {
	list := b.names[key]
	for _, old := range list {
		if old.address != n.address {
			continue
		}
		if n.source != "" && n.source != old.source {
			old.source = n.source
			old.sources += n.sources
		}
		old.last, old.count, old.own = max(old.last, n.last), min(old.count+n.count, maxCount), old.own || n.own
		return
	}
	if len(list) <= maxBearers && len(b.names) < b.limits.Ours {
		b.names[key] = append(list, n)
	}
}

// writer adds to what is remembered of a name of others.
func (b *Book) writer(key string, w writer) {
	if b.sites.Class(w.domain).Is(sites.Freemail) {
		return
	}
	list := b.writers[key]
	for _, old := range list {
		if old.domain == w.domain {
			old.last, old.count = max(old.last, w.last), min(old.count+w.count, maxCount)
			return
		}
	}
	if len(list) <= maxBearers && len(b.writers) < b.limits.Senders {
		b.writers[key] = append(list, &w)
	}
}

// partner adds to what is remembered of a domain that writes.
func (b *Book) partner(domain string, p partner) {
	old := b.domains[domain]
	if old == nil {
		if len(b.domains) < b.limits.Senders {
			b.domains[domain] = &p
		}
		return
	}
	was := old.is()
	if p.last > old.last {
		old.last, old.days = p.last, min(old.days+p.days, maxCount)
	}
	old.count = min(old.count+p.count, maxCount)
	b.changed = b.changed || old.is() != was
}
