package dns

import (
	"context"
	"errors"
	"time"

	mdns "github.com/miekg/dns"
)

// errServer is an answer that says the server could not or would not find out.
var errServer = errors.New("server misbehaving")

// lookup returns what is known about one question, asking if need be.
func (r *Resolver) lookup(ctx context.Context, name string, qtype uint16) *entry {
	n, ok := canonical(name)
	if !ok {
		return &entry{err: notFound(name)}
	}
	k := key{n, qtype}
	now := r.now().UnixNano()
	if e := r.cache.entry(k, now); e != nil {
		r.hits.Add(1)
		return e
	}
	deadline, ok := spend(ctx)
	if !ok {
		return &entry{err: temporary(n, "the message's budget of questions is used up", false)}
	}
	if !deadline.IsZero() {
		c, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		ctx = c
	}
	return r.join(ctx, k, now)
}

// atHand is what the cache holds about one question; nil if nothing.
func (r *Resolver) atHand(name string, qtype uint16) *entry {
	n, ok := canonical(name)
	if !ok {
		return nil
	}
	e := r.cache.entry(key{n, qtype}, r.now().UnixNano())
	if e != nil {
		r.hits.Add(1)
	}
	return e
}

// join waits for the answer to k together with all others who ask for it. The question outlives a caller who
// gives up: its answer is of use to the next.
func (r *Resolver) join(ctx context.Context, k key, now int64) *entry {
	r.mu.Lock()
	f := r.flights[k]
	if f == nil {
		if len(r.flights) >= maxFlights {
			r.mu.Unlock()
			return &entry{err: temporary(k.name, "too many questions at once", false)}
		}
		if !r.limit.allow(k.name, now) {
			r.mu.Unlock()
			return &entry{err: temporary(k.name, "too many questions about "+zoneOf(k.name), false)}
		}
		f = &flight{done: make(chan struct{})}
		r.flights[k] = f
		go r.fly(f, k)
	}
	r.mu.Unlock()
	select {
	case <-f.done:
		return f.e
	case <-ctx.Done():
		return &entry{err: temporary(k.name, "gave up waiting", errors.Is(ctx.Err(), context.DeadlineExceeded))}
	}
}

// fly finds the answer to k, remembers it and hands it to all who wait.
func (s *shared) fly(f *flight, k key) {
	f.e = &entry{err: temporary(k.name, errServer.Error(), false)}
	defer func() {
		if recover() != nil {
			s.failures.Add(1)
		}
		s.mu.Lock()
		delete(s.flights, k)
		s.mu.Unlock()
		close(f.done)
	}()
	s.misses.Add(1)
	blocked, probe := s.breaker.blocked(s.now().UnixNano())
	if blocked {
		f.e = &entry{err: temporary(k.name, "no answer", true)}
		if probe {
			go s.probe()
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), tries*s.timeout+time.Second)
	defer cancel()
	e, ttl := s.resolve(ctx, k)
	e.expires = s.now().Add(ttl).UnixNano()
	s.cache.put(k, e)
	f.e = e
}

// resolve asks the servers and says how long the answer is good for.
func (s *shared) resolve(ctx context.Context, k key) (*entry, time.Duration) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		s.failures.Add(1)
		return &entry{err: temporary(k.name, "too many questions at once", true)}, 0
	}
	m, err := s.ask(ctx, k)
	if err != nil {
		s.failures.Add(1)
		return &entry{err: temporary(k.name, why(err), !errors.Is(err, errServer))}, tempTTL
	}
	e, ttl := read(m, k)
	switch {
	case e.err == nil:
		return e, clamp(ttl, maxTTL)
	case e.err.IsNotFound:
		return e, clamp(ttl, maxNegative)
	}
	s.failures.Add(1)
	return e, tempTTL
}

// ask puts the question to the servers, beginning with the one that answered last, and keeps the breaker informed.
func (s *shared) ask(ctx context.Context, k key) (*mdns.Msg, error) {
	n := s.up.servers()
	first := int(s.first.Load())
	var last error
	heard := false
	for try := range tries {
		server := (first + try) % n
		m, err := s.up.exchange(ctx, server, k)
		if err != nil {
			last = err
			continue
		}
		heard = true
		if m.Rcode == mdns.RcodeSuccess || m.Rcode == mdns.RcodeNameError {
			m.AuthenticatedData = m.AuthenticatedData && s.up.local(server)
			s.first.Store(uint32(server))
			s.breaker.answered()
			return m, nil
		}
		last = errServer
		if n == 1 {
			break // it has made up its mind
		}
	}
	if heard {
		s.breaker.answered()
		return nil, errServer
	}
	if k.name != "" && s.breaker.failed(s.now().UnixNano()) {
		s.probe()
	}
	return nil, last
}

// probe asks for the root's name servers, which every resolver knows, and opens the breaker if nobody answers.
func (s *shared) probe() {
	ctx, cancel := context.WithTimeout(context.Background(), tries*s.timeout+time.Second)
	defer cancel()
	if _, err := s.ask(ctx, key{"", mdns.TypeNS}); err != nil && !errors.Is(err, errServer) {
		s.breaker.trip()
	}
}

// why puts a network error into words without addresses of this site.
func why(err error) string {
	if errors.Is(err, errServer) {
		return errServer.Error()
	}
	return "no answer" // how it failed depends on what was asked before; the same message must get the same words
}
