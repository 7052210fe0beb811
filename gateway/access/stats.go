package access

import "sync/atomic"

// An event is something that a Gate counts: a limit that was hit, a wait that was spared.
type event int

const (
	perClient event = iota
	perNetwork
	connections
	connects
	messages
	recipients
	bytes
	errorRate
	unknown
	handshakes
	banned
	stressed
	policyLimit
	greetWaited
	greetSpared
	greyWaiting
	greyPassed
	greyKnown
	eventCount
)

// eventNames are the metric label of each event: the key of the limit that was hit, or what happened.
var eventNames = [eventCount]string{
	"client_connections", "network_connections", "connections", "connects_per_minute", "messages_per_minute",
	"recipients_per_minute", "bytes_per_minute", "errors_per_minute", "unknown_recipients_per_minute", "tls_per_minute",
	"banned", "stress", "policy_limit", "greet_delay", "greet_delay_spared", "greylist_waiting", "greylist_passed", "greylist_known",
}

// String is the event's name in metrics.
func (e event) String() string { return eventNames[e] }

// counters count events; they are safe for concurrent use.
type counters [eventCount]atomic.Int64

// Stats are the numbers of what a Gate has seen since it was made, by name; all names are there.
func (g *Gate) Stats() map[string]int64 {
	all := make(map[string]int64, eventCount)
	for e := range eventCount {
		all[e.String()] = g.counts[e].Load()
	}
	return all
}

func (g *Gate) count(e event) { g.counts[e].Add(1) }
