package journal

import (
	"cmp"
	"slices"
	"sync"
)

// Counters are the metrics that follow from records. The zero value is ready and safe for concurrent use.
type Counters struct {
	mu       sync.Mutex
	records  map[Outcome]uint64
	fates    map[string]uint64
	findings map[string]uint64
	failures map[string]uint64
	totals   Totals
}

// An Outcome is what one record counts as.
type Outcome struct {
	Kind   Kind
	Action string // of the decision, or of the person; the verb, for a refusal
	Class  string
	Code   string // of the reply: "550 5.7.1"
}

// A Tally is a name with its number.
type Tally[K comparable] struct {
	Name K
	N    uint64
}

// Totals are sums over all messages.
type Totals struct {
	Bytes    uint64                    // of content
	Messages uint64                    // with a time
	Micros   uint64                    // their times from end of data to reply, microseconds
	Within   [len(Bounds{}) + 1]uint64 // how many took at most Limits()[i]; the last counts the rest
}

// Bounds are limits of the histogram, in microseconds.
type Bounds [12]int64

// Limits are the limits of Totals.Within, in microseconds: 1 ms to 60 s.
func Limits() Bounds {
	return Bounds{1e3, 2500, 5e3, 1e4, 25e3, 5e4, 1e5, 25e4, 5e5, 1e6, 1e7, 6e7}
}

// maxNames bounds each map, whatever the records say.
const maxNames = 1000

// Add counts r.
func (c *Counters) Add(r *Record) {
	o := Outcome{Kind: r.Kind, Action: r.Action}
	if r.Reply.Code != 0 {
		o.Code = code(r)
	}
	switch {
	case r.Decision != nil:
		o.Action, o.Class = string(r.Decision.Action), string(r.Decision.Class)
	case r.Kind == Refusal:
		o.Action = r.Verb
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = count(c.records, o)
	for _, f := range r.Fates {
		c.fates = count(c.fates, f.Fate)
	}
	if r.Kind != Message {
		return
	}
	if r.Report != nil {
		for i := range r.Report.Findings {
			c.findings = count(c.findings, r.Report.Findings[i].Code)
		}
		for i := range r.Report.Failures {
			c.failures = count(c.failures, r.Report.Failures[i].Filter)
		}
	}
	c.totals.add(r)
}

// add counts size and time of a message.
func (t *Totals) add(r *Record) {
	t.Bytes += uint64(max(r.Size, 0))
	took, ok := r.Micros["total"]
	if !ok || took < 0 {
		return
	}
	t.Messages++
	t.Micros += uint64(took)
	limits := Limits()
	i, _ := slices.BinarySearch(limits[:], took)
	t.Within[i]++
}

// count adds one to m[name], making m if needed; names beyond the bound are counted under the zero name.
func count[K comparable](m map[K]uint64, name K) map[K]uint64 {
	if m == nil {
		m = map[K]uint64{}
	}
	if _, ok := m[name]; !ok && len(m) >= maxNames {
		var other K
		name = other
	}
	m[name]++
	return m
}

// Records are the numbers of records by outcome.
func (c *Counters) Records() []Tally[Outcome] {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := tally(c.records)
	slices.SortFunc(list, func(a, b Tally[Outcome]) int {
		x, y := a.Name, b.Name
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Action, y.Action), cmp.Compare(x.Class, y.Class), cmp.Compare(x.Code, y.Code))
	})
	return list
}

// Fates are the numbers of copies by fate.
func (c *Counters) Fates() []Tally[string] {
	return c.named(func() map[string]uint64 { return c.fates })
}

// Findings are the numbers of findings by code.
func (c *Counters) Findings() []Tally[string] {
	return c.named(func() map[string]uint64 { return c.findings })
}

// Failures are the numbers of messages that a filter could not look at, by filter.
func (c *Counters) Failures() []Tally[string] {
	return c.named(func() map[string]uint64 { return c.failures })
}

// Totals are the sums.
func (c *Counters) Totals() Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.totals
}

// named lists one map by name.
func (c *Counters) named(m func() map[string]uint64) []Tally[string] {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := tally(m())
	slices.SortFunc(list, func(a, b Tally[string]) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// tally lists a map.
func tally[K comparable](m map[K]uint64) []Tally[K] {
	list := make([]Tally[K], 0, len(m))
	for k, n := range m {
		list = append(list, Tally[K]{k, n})
	}
	return list
}
