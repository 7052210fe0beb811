package auth

import "sync"

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
