package auth

import (
	"sync"

	"gatepost/filters"
)

// maxRecent is how many records of one kind are kept in the form that they were read as; each is of at most maxRecord bytes.
const maxRecent = 1024

// A recent keeps what records say, by their text: the same few are met again and again, and reading a key costs as much as
// a lookup. What is kept is shared and never modified. A nil recent keeps nothing.
type recent[V any] struct {
	mu   sync.RWMutex
	read map[string]V
}

// of is what parse makes of text.
func (r *recent[V]) of(text string, parse func(string) (V, error)) (V, error) {
	if r == nil {
		return parse(text)
	}
	r.mu.RLock()
	v, ok := r.read[text]
	r.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := parse(text)
	if err != nil {
		return v, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read == nil || len(r.read) >= maxRecent { // whoever fills it makes us read again, and no more
		r.read = make(map[string]V)
	}
	r.read[text] = v
	return v, nil
}

// readings are the records that were read of late.
type readings struct {
	spf  *recent[*spfRecord]
	keys *recent[*key]
}

func newReadings() readings {
	return readings{&recent[*spfRecord]{}, &recent[*key]{}}
}

// An early is what is known about a client before its content has come, by the id of the envelope: Check need not find out
// again what Warm did. Of those who never send content nothing is kept for long.
type early struct {
	mu    sync.Mutex
	known map[string]preview
}

// A preview is what depends on the envelope alone.
type preview struct {
	path, helo filters.SPF
	iprev      iprev
}

// maxEarly is how many envelopes may wait for their content.
const maxEarly = 4096

// put keeps p until its content comes.
func (e *early) put(id string, p preview) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil || len(e.known) >= maxEarly {
		e.known = make(map[string]preview)
	}
	e.known[id] = p
}

// take gives what is kept, once.
func (e *early) take(id string) (preview, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.known[id]
	delete(e.known, id)
	return p, ok
}

// final reports whether asking again would change nothing soon: no question was left without an answer.
func (p *preview) final() bool {
	return p.path.Result != resultTemperror && p.helo.Result != resultTemperror && p.iprev.result != resultTemperror
}
