package admin

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatepost/gateway/journal"
	"gatepost/policy"
)

// An Outcome is what became of one message or attempt, as totals count it.
type Outcome string

// The outcomes, in the order in which charts stack them.
const (
	Delivered Outcome = "delivered"
	Held      Outcome = "held"     // in quarantine, for one recipient at least
	Deferred  Outcome = "deferred" // told to come back
	Refused   Outcome = "refused"
	Discarded Outcome = "discarded"
)

// Outcomes lists them in that order.
func Outcomes() []Outcome { return []Outcome{Delivered, Held, Deferred, Refused, Discarded} }

func (o Outcome) key() string {
	switch o {
	case Delivered:
		return "outcome.delivered"
	case Held:
		return "outcome.held"
	case Deferred:
		return "outcome.deferred"
	case Refused:
		return "outcome.refused"
	case Discarded:
		return "outcome.discarded"
	}
	return string(o)
}

// OutcomeOf sorts a record: a message by the worst that happened to a copy that we did take, else by the reply.
func OutcomeOf(r *journal.Record) Outcome {
	if r.Kind == journal.Message {
		for _, f := range r.Fates {
			if f.Fate == "quarantined" {
				return Held
			}
		}
		if r.Decision != nil && r.Decision.Action == policy.Discard {
			return Discarded
		}
	}
	switch r.Reply.Code / 100 {
	case 2:
		return Delivered
	case 4:
		return Deferred
	}
	return Refused
}

// A Meter counts what the journal records, for /metrics and for the overview. Observe it with every record; prime it
// at start with those of the last day. It is safe for concurrent use.
type Meter struct {
	registry *prometheus.Registry
	messages *prometheus.CounterVec
	refusals *prometheus.CounterVec
	filters  *prometheus.CounterVec
	seconds  prometheus.Histogram
	size     prometheus.Histogram
	tls      *prometheus.CounterVec

	mu    sync.Mutex
	hours [24]hour // by hour of the epoch modulo 24
}

// An hour holds the counts of one hour.
type hour struct {
	start    int64 // hours since 1970
	outcomes map[Outcome]int
	reasons  map[string]int
	senders  map[string]int
	tls, all int
	micros   [len(latencyBounds) + 1]int
}

// latencyBounds are the upper bounds of the overview's latency buckets, in microseconds.
var latencyBounds = [...]int64{500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 30_000_000}

// maxNames bounds the different reasons, and the different senders, that one hour remembers.
const maxNames = 2000

// NewMeter returns a meter that has counted nothing.
func NewMeter() *Meter {
	m := &Meter{
		registry: prometheus.NewPedanticRegistry(),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatepost_messages_total",
			Help: "Messages that reached the end of data, by outcome and class."}, []string{"outcome", "class"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatepost_refusals_total",
			Help: "Connections and commands refused before the content, by command and reply code."}, []string{"verb", "code"}),
		filters: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatepost_filter_failures_total",
			Help: "Filters that could not look at a message."}, []string{"filter"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gatepost_message_seconds",
			Help:    "Time from the end of data to the reply.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60}}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gatepost_message_bytes",
			Help: "Size of messages.", Buckets: prometheus.ExponentialBuckets(1024, 4, 8)}),
		tls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatepost_message_tls_total",
			Help: "Messages by protection of the session they came in."}, []string{"version"}),
	}
	m.registry.MustRegister(m.messages, m.refusals, m.filters, m.seconds, m.size, m.tls)
	return m
}

// Observe counts one record, in the metrics and in the overview.
func (m *Meter) Observe(r *journal.Record) {
	switch r.Kind {
	case journal.Message:
		class := ""
		if r.Decision != nil {
			class = string(r.Decision.Class)
		}
		m.messages.WithLabelValues(string(OutcomeOf(r)), class).Inc()
		m.size.Observe(float64(r.Size))
		m.tls.WithLabelValues(knownTLS(r.TLS.Version)).Inc()
		if us, ok := r.Micros["total"]; ok {
			m.seconds.Observe(float64(us) / 1e6)
		}
		if r.Report != nil {
			for _, f := range r.Report.Failures {
				m.filters.WithLabelValues(f.Filter).Inc()
			}
		}
	case journal.Refusal:
		m.refusals.WithLabelValues(knownVerb(r.Verb), strconv.Itoa(r.Reply.Code)).Inc()
	default:
		return
	}
	m.Prime(r)
}

// Prime counts a record of the past for the overview alone. Records older than a day are ignored.
func (m *Meter) Prime(r *journal.Record) {
	if r.Kind != journal.Message && r.Kind != journal.Refusal {
		return
	}
	n := r.Time.Unix() / 3600
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &m.hours[((n%24)+24)%24]
	if h.start > n {
		return
	}
	if h.start < n {
		*h = hour{start: n, outcomes: make(map[Outcome]int), reasons: make(map[string]int), senders: make(map[string]int)}
	}
	h.add(r)
}

func (h *hour) add(r *journal.Record) {
	o := OutcomeOf(r)
	h.outcomes[o]++
	if o == Refused || o == Held {
		_, domain, _ := strings.Cut(r.From, "@")
		if domain == "" {
			domain = "<>"
		}
		if r.From != "" || r.Kind == journal.Message {
			count(h.senders, strings.ToLower(domain))
		}
	}
	if r.Kind == journal.Refusal {
		count(h.reasons, strings.TrimSpace(strconv.Itoa(r.Reply.Code)+" "+r.Reply.Enhanced))
		return
	}
	h.all++
	if r.TLS.On() {
		h.tls++
	}
	if us, ok := r.Micros["total"]; ok {
		i, _ := slices.BinarySearch(latencyBounds[:], us)
		h.micros[i]++
	}
	if r.Decision != nil && o != Delivered {
		for _, code := range r.Decision.Decided {
			count(h.reasons, code)
		}
	}
}

// count adds one to a name, unless there are too many names to take another.
func count(m map[string]int, name string) {
	if _, ok := m[name]; ok || len(m) < maxNames {
		m[name]++
	}
}

// knownVerb keeps what clients send from becoming endless label values.
func knownVerb(v string) string {
	switch v {
	case "", "HELO", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "VRFY", "EXPN", "QUIT", "STARTTLS", "AUTH", "HELP", "CONNECT":
		return strings.ToLower(v)
	}
	return "other"
}

func knownTLS(v string) string {
	switch v {
	case "":
		return "none"
	case "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3":
		return v
	}
	return "other"
}

// A Summary is the last 24 hours in totals.
type Summary struct {
	Hours    []HourTotals    `json:"hours"` // oldest first
	Totals   map[Outcome]int `json:"totals"`
	Messages int             `json:"messages"` // that reached the end of data
	Reasons  []Total         `json:"reasons"`
	Senders  []Total         `json:"senders_refused"`
	TLS      int             `json:"tls_messages"`
	P50, P99 time.Duration   `json:"-"`
	P50Micro int64           `json:"p50_us"`
	P99Micro int64           `json:"p99_us"`
}

// HourTotals are the counts of one hour.
type HourTotals struct {
	Start  time.Time       `json:"start"`
	Counts map[Outcome]int `json:"counts"`
}

// A Total is a name and how often it was counted.
type Total struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// Summary adds up the 24 hours that end with now's.
func (m *Meter) Summary(now time.Time) Summary {
	s := Summary{Totals: make(map[Outcome]int)}
	reasons, senders := make(map[string]int), make(map[string]int)
	var micros [len(latencyBounds) + 1]int
	last := now.Unix() / 3600
	m.mu.Lock()
	for n := last - 23; n <= last; n++ {
		h := &m.hours[n%24]
		t := HourTotals{Start: time.Unix(n*3600, 0).UTC(), Counts: make(map[Outcome]int)}
		if h.start == n {
			for o, k := range h.outcomes {
				t.Counts[o] = k
				s.Totals[o] += k
			}
			for name, k := range h.reasons {
				reasons[name] += k
			}
			for name, k := range h.senders {
				senders[name] += k
			}
			for i, k := range h.micros {
				micros[i] += k
			}
			s.TLS += h.tls
			s.Messages += h.all
		}
		s.Hours = append(s.Hours, t)
	}
	m.mu.Unlock()
	s.Reasons, s.Senders = top(reasons, 8), top(senders, 8)
	s.P50Micro, s.P99Micro = quantile(micros[:], 50), quantile(micros[:], 99)
	s.P50, s.P99 = time.Duration(s.P50Micro)*time.Microsecond, time.Duration(s.P99Micro)*time.Microsecond
	return s
}

// top returns the n names counted most, ties by name.
func top(m map[string]int, n int) []Total {
	out := make([]Total, 0, len(m))
	for name, k := range m {
		out = append(out, Total{name, k})
	}
	slices.SortFunc(out, func(a, b Total) int {
		if a.N != b.N {
			return b.N - a.N
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out[:min(n, len(out))]
}

// quantile is the upper bound of the bucket in which percent of the counts are reached, 0 if nothing was counted.
func quantile(buckets []int, percent int) int64 {
	all := 0
	for _, k := range buckets {
		all += k
	}
	if all == 0 {
		return 0
	}
	seen := 0
	for i, k := range buckets {
		if seen += k; seen*100 >= all*percent {
			return latencyBounds[min(i, len(latencyBounds)-1)]
		}
	}
	return latencyBounds[len(latencyBounds)-1]
}
