package gateway

import (
	"context"
	"net/netip"
	"time"

	"gatepost/filters"
	"gatepost/filters/auth"
	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/policy"
)

// A Snapshot is all that an administrator can change, compiled. It is immutable; a transaction sees exactly one.
type Snapshot struct {
	Gen     uint64
	Chain   *filters.Chain
	Policy  *policy.Policy
	Domains map[string]Domain // by canonical name: whom mail is accepted for
	Sealer  *auth.Sealer      // seals what is forwarded; nil: nothing is sealed
	Home    string            // the domain whose postmaster answers for the gateway itself
	Budget  time.Duration     // from the end of data to a decision
	Limits  Limits
	Trusted []netip.Prefix // clients that are not counted, delayed or greylisted
	TLS     TLSPolicy
	Geo     Locator // where clients are; nil: nobody knows
	// OwnName lets strangers greet with our own name or address, which cannot be theirs.
	OwnName bool
	// KeepRefused keeps copies in the quarantine of messages that are refused for what they are.
	KeepRefused bool
	// Bound, if set, bounds what the filters of one message may ask of the network.
	Bound func(context.Context) context.Context
}

// Limits are those of one message, and of how many are judged at once.
type Limits struct {
	MessageBytes int64
	Recipients   int
	Received     int // fields that end a loop (RFC 5321 section 6.3)
	Verdicts     int // at once; 0: by the number of processors
	Queue        int // that wait for it
}

// A Locator says in which country and network an address is; empty and 0 where nobody knows. *geo.Locator is one.
type Locator interface {
	Locate(addr netip.Addr) (country string, asn uint32)
}

// Locate fills in where the client of env is.
func (s *Snapshot) Locate(env *mail.Envelope) {
	if s.Geo != nil {
		env.Country, env.ASN = s.Geo.Locate(env.Remote)
	}
}

// A Domain is one that mail is accepted for.
type Domain struct {
	Route      string          // the same for domains whose mail may share a transaction
	Recipients string          // who says which recipients exist: downstream, any, file, ldap
	Users      map[string]bool // of file: canonical addresses
	Directory  Directory       // of ldap
	Hold       bool            // keep its mail while its next hops are down
}

// A Directory says which recipients exist. *directory.Directory is one.
type Directory interface {
	Verify(ctx context.Context, rcpt mail.Address) forward.Standing
}

// An Inspection is what was found out about one message and what follows from it.
type Inspection struct {
	Message  *mail.Message
	Report   filters.Report
	Decision policy.Decision
	Parsed   time.Duration
	Took     time.Duration
	// Ended is closed when no filter reads the source any more; only then may it be closed.
	Ended <-chan struct{}
}

// Inspect parses the content once, runs the filters and judges what they found. It serves the wire and the
// offline scan alike. Filters that ran at the envelope may have left facts in before.
func (s *Snapshot) Inspect(ctx context.Context, env *mail.Envelope, src mail.Source, before filters.Report) *Inspection {
	start := time.Now()
	in := &Inspection{Message: mail.Parse(src), Report: before}
	in.Parsed = time.Since(start)
	if s.Budget > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Budget)
		defer cancel()
	}
	ctx = s.bound(ctx)
	m := &mail.Mail{Envelope: env, Message: in.Message}
	atMessage := s.Chain.Run(ctx, filters.AtMessage, m, &in.Report)
	in.Ended = atMessage
	if s.Chain.Has(filters.AtDepth) && !s.Policy.Settled(env, &in.Report) {
		in.Ended = both(atMessage, s.Chain.Run(ctx, filters.AtDepth, m, &in.Report))
	}
	in.Decision = s.Policy.Decide(env, &in.Report)
	in.Took = time.Since(start)
	return in
}

// bound applies Bound.
func (s *Snapshot) bound(ctx context.Context) context.Context {
	if s.Bound == nil {
		return ctx
	}
	return s.Bound(ctx)
}

// both is closed when a and b are.
func both(a, b <-chan struct{}) <-chan struct{} {
	for _, c := range []<-chan struct{}{a, b} {
		select {
		case <-c:
		default:
			all := make(chan struct{})
			go func() {
				<-a
				<-b
				close(all)
			}()
			return all
		}
	}
	return a
}
