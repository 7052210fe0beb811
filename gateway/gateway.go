package gateway

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/smtp"
	"gatepost/gateway/spool"
)

// A Gate says who may speak now, by counting: connections, messages, recipients. *access.Gate is the real one.
type Gate interface {
	// Connect counts one connection of addr and gives it back with leave; a Reply refuses it.
	Connect(ctx context.Context, addr netip.Addr) (leave func(), refusal *smtp.Reply)
	// Mail and Rcpt count one message and one recipient of it.
	Mail(ctx context.Context, env *mail.Envelope) *smtp.Reply
	Rcpt(ctx context.Context, env *mail.Envelope, rcpt mail.Address) *smtp.Reply
	// Content counts the bytes of a message that came, Refused what was refused, and Accepted who sent good mail.
	Content(ctx context.Context, env *mail.Envelope, size int64) *smtp.Reply
	Refused(ctx context.Context, env *mail.Envelope, r *smtp.Reply)
	Accepted(ctx context.Context, env *mail.Envelope, auth *filters.Auth, clean bool)
	// Doubted asks a doubtful message to come again later, unless its sender is known.
	Doubted(ctx context.Context, env *mail.Envelope, auth *filters.Auth, rcpts []mail.Address) *smtp.Reply
	// Queue takes note of whether the line of messages to be judged is full.
	Queue(full bool)
}

// A Carrier knows the next hops. *forward.Forwarder is the real one.
type Carrier interface {
	forward.Sender
	// Offer is what all next hops are known to take; not ok: nothing is known yet.
	Offer() (c smtp.Capabilities, ok bool)
	// Verify asks the recipient's next hop whether it would take mail for it.
	Verify(ctx context.Context, rcpt mail.Address) (forward.Standing, *smtp.Reply)
}

// A Namer finds the verified reverse-DNS name of a client; empty if there is none.
type Namer interface {
	Name(ctx context.Context, addr netip.Addr) string
}

// A Journal takes records, and says whether it can. *journal.Journal is the real one.
type Journal interface {
	Recorder
	Health() error
}

// Deps is what a Gateway is given.
type Deps struct {
	Hostname   string
	Instance   string // tells the gateways of one hostname apart
	Gate       Gate
	Carrier    Carrier
	Hold       Holder // nil: nothing is held, and every failure of a next hop is the client's to wait out
	Namer      Namer
	Spool      *spool.Spool
	Quarantine *quarantine.Store
	Journal    Journal
	Log        *slog.Logger
	Now        func() time.Time
}

// A Gateway takes messages from an SMTP server to where they belong. It is an smtp.Handler.
type Gateway struct {
	Deps
	snap  atomic.Pointer[Snapshot]
	seats seats
}

// New makes a gateway that judges by snap until Swap.
func New(d Deps, snap *Snapshot) *Gateway {
	g := &Gateway{Deps: d}
	g.seats.told = d.Gate.Queue
	g.Swap(snap)
	return g
}

// Swap makes s the snapshot of every transaction that begins from now on.
func (g *Gateway) Swap(s *Snapshot) {
	g.snap.Store(s)
	seats := s.Limits.Verdicts
	if seats <= 0 {
		seats = seatsPerCore * runtime.GOMAXPROCS(0)
	}
	g.seats.adjust(seats, s.Limits.Queue)
}

// seatsPerCore is how many messages are judged at once for each processor: they wait for the network most of the time, and
// the costly filters share a smaller number among themselves.
const seatsPerCore = 32

// Judging is how many messages are being judged now, and how many wait for that.
func (g *Gateway) Judging() (now, waiting int) { return g.seats.load() }

// Snapshot is the one that a transaction beginning now would see.
func (g *Gateway) Snapshot() *Snapshot { return g.snap.Load() }
