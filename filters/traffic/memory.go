package traffic

import (
	"context"
	"net/netip"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A Memory remembers what came to this site lately. The real ones are those of gateway/state.
type Memory interface {
	// Key keys what is asked about; nil where nobody remembers, as in a scan of files. Nothing is asked then.
	Key() *Key
	// Ask notes the sighting of the question and tells what is known. An error means that the memory cannot be asked now.
	Ask(ctx context.Context, q Question) (Answer, error)
}

// A Question is all that the memory is asked about one message.
type Question struct {
	Senders  []string      // keys of an Identity
	HalfLife time.Duration // of what is remembered of senders
	Bands    []string      // keys of the body; none: it is neither noted nor asked about
	Sighting Sighting      // this message
	Window   time.Duration // how long sightings count
}

// An Answer has what is known in the order of the question.
type Answer struct {
	Senders []Standing
	Bands   [][]Sighting // of each, the last MaxSightings within the window, with this message
}

// A Standing is what is remembered of a sender, aged to now. The zero Standing is of somebody unknown.
type Standing struct {
	Wanted, Unwanted float64       // aged sums of messages
	Hour             int           // messages of this hour so far
	Usual            float64       // messages in an hour in which it sent any, by the last such hours
	Hours            int           // how many such hours there were
	Known            time.Duration // since it was first seen
}

// A Weight is what one message, or somebody's judgment of it, adds to a Standing.
type Weight struct {
	Wanted, Unwanted float64
	Messages         int // that came with it: 0 for a judgment
	HalfLife         time.Duration
}

// MaxSightings is how many sightings under one key are remembered.
const MaxSightings = 24

// MaxDomains is how many authenticated domains of a sighting are remembered.
const MaxDomains = 3

// A Sighting is one message with a body, by keyed hashes.
type Sighting struct {
	At      time.Time          // set by the memory
	Letter  uint64             // the same when one message is tried again
	Network uint64             // 0: a relay's of our own
	Domains [MaxDomains]uint64 // authenticated; 0: none
}

// An Identity is the keys under which a sender is remembered; each may be empty.
type Identity struct {
	Domain  string // the author's organisational domain, where DMARC passes and not everybody can have a mailbox there
	Network string // the client's
}

// What comes before the names of senders in their keys.
const (
	domainKey  = "traffic domain "
	networkKey = "traffic network "
)

// IdentityOf tells who sends, by what the filters before found. The networks of trusted clients say nothing, those of forwarders are
// taken from what they say of their own clients.
func IdentityOf(client netip.Addr, trusted bool, rep *filters.Report) Identity {
	var id Identity
	if a := rep.Auth; a != nil {
		if free := rep.Sender != nil && rep.Sender.FreeMail; a.DMARC.Result == "pass" && a.Domain != "" && !free {
			id.Domain = domainKey + organisational(a.Domain)
		}
		if a.Origin != "" {
			client, _ = netip.ParseAddr(a.Origin) // the zero address if the forwarder does not know
		}
	}
	if n := networkOf(client); n.IsValid() && !trusted {
		id.Network = networkKey + n.String()
	}
	return id
}

// Keys are the keys that are not empty.
func (id Identity) Keys() []string {
	var list []string
	for _, k := range [...]string{id.Domain, id.Network} {
		if k != "" {
			list = append(list, k)
		}
	}
	return list
}

// networkOf is the /24 or /48 around an address.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	size := 48
	if a.Is4() {
		size = 24
	}
	p, err := a.Prefix(size)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// organisational is the organisational domain of d, or d itself under which others are registered.
func organisational(d string) string {
	if o := mail.OrganizationalDomain(d); o != "" {
		return o
	}
	return d
}
