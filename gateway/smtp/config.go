package smtp

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"time"

	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// A Config is what a Server is made of. Only Hostname is needed.
type Config struct {
	Hostname string // in the banner and the EHLO reply; also the domain of <postmaster>
	Limits   Limits
	Timeouts Timeouts

	// TLS returns the certificates and settings for the next handshake, or nil if there are none now, for listeners that
	// have none of their own. It is asked each time, so a reload takes effect without a restart; a returned Config is
	// never modified, by either side.
	TLS func() *tls.Config
	// GreetDelay is how long a client must stay silent before it sees the banner.
	GreetDelay func(Peer) time.Duration
	// AllowTLS is asked before a handshake; a non-nil Reply is sent instead (454 4.7.0 for a rate).
	AllowTLS func(Peer) *Reply
	// Reserved reports who may use the reserved part of Limits.Connections.
	Reserved func(netip.Addr) bool
	// Stress reports whether the stress column of the timeouts and limits holds now.
	Stress func() bool
	// Served is told of each connection how long it waited from the moment it was accepted until the Handler had answered
	// Connect. What the client lets us wait for before that, the header of a proxy, does not count.
	Served func(wait time.Duration)
	// Go begins the function that serves a connection and does not wait for it; nil is the go statement.
	Go func(serve func())
	// NormalizeBareLF lists the networks whose bare LF in content is made CRLF instead of being refused.
	NormalizeBareLF []netip.Prefix
	// Panicked is told of a panic in a Session; the session has been ended, the process lives.
	Panicked func(value any, stack []byte)
}

// Limits are the limits of sessions. A limit of n allows n; the next one is refused. The zero Limits means
// DefaultLimits; any other is taken as it is.
type Limits struct {
	MessageBytes conf.Size `yaml:"message_bytes" min:"64KiB" max:"2GiB" doc:"Most bytes of a message; never more than the next hop takes. 552 5.3.4"`
	Recipients   int       `yaml:"recipients" min:"1" max:"10000" doc:"Most recipients of a message. 452 4.5.3"`
	Connections  int       `yaml:"connections" min:"1" max:"1000000" doc:"Most connections at once, on all listeners together; fewer where the process may open too few files, which is said at the start. 421 4.3.2"`
	Reserve      int       `yaml:"reserve_percent" min:"0" max:"90" doc:"Part of connections, in percent, that is kept for trusted networks."`
	Messages     int       `yaml:"messages_per_session" min:"1" doc:"Most messages in a session. 421 4.7.0"`

	CommandBytes int       `yaml:"command_bytes" min:"512" max:"4096" doc:"Longest command line. 500 5.5.2 and close"`
	LineBytes    conf.Size `yaml:"line_bytes" min:"998" doc:"Longest line of text. 550 5.6.0"`
	HeaderBytes  conf.Size `yaml:"header_bytes" min:"16KiB" doc:"Largest header. 550 5.6.0"`
	FieldBytes   conf.Size `yaml:"header_field_bytes" min:"998" doc:"Largest header field. 550 5.6.0"`
	Fields       int       `yaml:"header_fields" min:"50" doc:"Most header fields. 550 5.6.0"`

	SoftErrors       int `yaml:"soft_errors" min:"0" doc:"Errors after which each further one is answered late; 0: none is."`
	Errors           int `yaml:"errors" min:"1" doc:"Most errors in a session. 421 4.7.0"`
	UnknownCommands  int `yaml:"unknown_commands" min:"1" doc:"Most commands in a session that are none of SMTP's. 421 4.7.0"`
	Junk             int `yaml:"junk_commands" min:"1" doc:"Most commands in a row that bring no mail forward: NOOP, RSET, VRFY, a further EHLO. 421 4.7.0"`
	SoftUnknownRcpts int `yaml:"soft_unknown_recipients" min:"0" doc:"Unknown recipients after which each further one is answered late; 0: none is."`
	UnknownRcpts     int `yaml:"unknown_recipients" min:"1" doc:"Most unknown recipients in a session. 421 4.7.0"`
	ExcessRcpts      int `yaml:"excess_recipients" min:"1" doc:"Most recipients beyond the limit that are answered 452 before the session ends. 421 4.7.0"`
	NullSenderRcpts  int `yaml:"null_sender_recipients" min:"1" doc:"Most recipients of a message from the null sender. 452 4.5.3"`
	StressErrors     int `yaml:"stress_errors" min:"1" doc:"Errors allowed under stress. 421 4.7.0"`
	StressJunk       int `yaml:"stress_junk_commands" min:"1" doc:"Junk commands allowed under stress. 421 4.7.0"`
}

// DefaultLimits are the limits that hold where the administrator sets none.
func DefaultLimits() Limits {
	return Limits{
		MessageBytes: 25 << 20, Recipients: 100, Connections: 10000, Reserve: 10, Messages: 100,
		CommandBytes: 2048, LineBytes: 64 << 10, HeaderBytes: 512 << 10, FieldBytes: 128 << 10, Fields: 1000,
		SoftErrors: 5, Errors: 15, UnknownCommands: 5, Junk: 50, SoftUnknownRcpts: 10, UnknownRcpts: 20,
		ExcessRcpts: 100, NullSenderRcpts: 1, StressErrors: 1, StressJunk: 1,
	}
}

// Timeouts are how long the server waits; the stress column holds while Config.Stress says so.
type Timeouts struct {
	Normal Pace `yaml:"normal" doc:"In ordinary times."`
	Stress Pace `yaml:"stress" doc:"While the gateway has more to do than it can."`
}

// A Pace is one column of timeouts. The zero Pace means the default one; any other is taken as it is.
type Pace struct {
	Idle       time.Duration `yaml:"idle" min:"1s" doc:"Wait for the next command. 421 4.4.2"`
	IdleDoubt  time.Duration `yaml:"idle_doubt" min:"1s" doc:"The same after an error, and before TLS where it is required."`
	Command    time.Duration `yaml:"command" min:"1s" doc:"One command, from its first byte to its line end. 421 4.4.2"`
	Handshake  time.Duration `yaml:"tls_handshake" min:"1s" doc:"One TLS handshake."`
	DataIdle   time.Duration `yaml:"data_idle" min:"1s" doc:"Wait for more of a message. 421 4.4.2"`
	DataTotal  time.Duration `yaml:"data_total" min:"1s" doc:"The whole of a message. 421 4.4.2"`
	DataRate   conf.Size     `yaml:"data_rate" min:"1" doc:"Least bytes of a message per second, after the grace. 421 4.4.2"`
	DataGrace  time.Duration `yaml:"data_grace" doc:"Time without a least rate."`
	Session    time.Duration `yaml:"session" min:"1s" doc:"One session. 421 4.4.2"`
	Write      time.Duration `yaml:"write" min:"1s" doc:"Wait for the client to take a reply."`
	Verdict    time.Duration `yaml:"verdict" min:"1s" max:"9m" doc:"From the final dot until the checks are cancelled; clients wait ten minutes. 451 4.4.5"`
	ErrorDelay time.Duration `yaml:"error_delay" doc:"How much later an answer beyond the soft limits comes."`
	Proxy      time.Duration `yaml:"proxy_header" min:"1s" doc:"Wait for a proxy's header."`
}

// DefaultTimeouts are the timeouts that hold where the administrator sets none.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Normal: Pace{
			Idle: 300 * time.Second, IdleDoubt: 60 * time.Second, Command: 30 * time.Second, Handshake: 60 * time.Second,
			DataIdle: 180 * time.Second, DataTotal: 20 * time.Minute, DataRate: 500, DataGrace: 30 * time.Second,
			Session: 30 * time.Minute, Write: 60 * time.Second, Verdict: 270 * time.Second,
			ErrorDelay: time.Second, Proxy: 5 * time.Second,
		},
		Stress: Pace{
			Idle: 10 * time.Second, IdleDoubt: 10 * time.Second, Command: 10 * time.Second, Handshake: 10 * time.Second,
			DataIdle: 10 * time.Second, DataTotal: 5 * time.Minute, DataRate: 2000, DataGrace: 10 * time.Second,
			Session: 5 * time.Minute, Write: 10 * time.Second, Verdict: 20 * time.Second,
			ErrorDelay: time.Second, Proxy: 2 * time.Second,
		},
	}
}

// A TLSMode is what a listener does about TLS.
type TLSMode int

// The modes of a listener.
const (
	TLSOff      TLSMode = iota // clear text only
	TLSOffered                 // STARTTLS is offered
	TLSRequired                // no mail before STARTTLS, but for exemptions
	TLSImplicit                // the handshake comes first (RFC 8314)
)

// tlsModes are the names of the modes.
var tlsModes = [...]string{"off", "offered", "required", "implicit"}

// String is the mode's name in the configuration.
func (m TLSMode) String() string {
	if m < 0 || int(m) >= len(tlsModes) {
		return fmt.Sprintf("TLSMode(%d)", int(m))
	}
	return tlsModes[m]
}

// MarshalText writes the mode's name.
func (m TLSMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the mode's name.
func (m *TLSMode) UnmarshalText(b []byte) error {
	for i, name := range tlsModes {
		if string(b) == name {
			*m = TLSMode(i)
			return nil
		}
	}
	return fmt.Errorf("unknown TLS mode %q: use off, offered, required or implicit", mail.Printable(string(b), 32))
}

// ListenerOptions are what one listener does its own way.
type ListenerOptions struct {
	Name string // given to the Handler as Peer.Listener
	TLS  TLSMode
	// Certificates, if set, takes the place of Config.TLS: a listener with a Config of its own has ticket keys of its own.
	Certificates func() *tls.Config
	// PlainAllowed exempts clear-text mail from TLSRequired. It is asked at each step with what is known by then:
	// nothing but the peer at HELO, the sender at MAIL, sender and recipient at RCPT; what is not known yet is the
	// zero Address. True at one step promises nothing for the next, so a server that exempts a single recipient
	// answers true at MAIL. Nil exempts nobody.
	PlainAllowed func(peer netip.Addr, from, rcpt mail.Address) bool
	// ProxyProtocol lists the proxies that this listener serves. If it is not empty, every connection must come from
	// one of them and open with a PROXY header, version 1 or 2; anything else is closed without a word.
	ProxyProtocol []netip.Prefix
}

// orDefault is l, or the defaults if it is zero.
func (l Limits) orDefault() Limits {
	if l == (Limits{}) {
		l = DefaultLimits()
	}
	l.CommandBytes = min(l.CommandBytes, smallBuffer)
	return l
}

// orDefault is t, with the default for each column that is zero.
func (t Timeouts) orDefault() Timeouts {
	d := DefaultTimeouts()
	if t.Normal == (Pace{}) {
		t.Normal = d.Normal
	}
	if t.Stress == (Pace{}) {
		t.Stress = d.Stress
	}
	return t
}
