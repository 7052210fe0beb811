package smtp

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"time"

	"gatepost/filters/mail"
)

// A Config is what a Server is made of. Only Hostname is needed; a zero limit or timeout means its default.
type Config struct {
	Hostname string // in the banner and the EHLO reply; also the domain of <postmaster>
	Limits   Limits
	Timeouts Timeouts

	// TLS returns the certificates and settings for the next handshake, or nil if there are none now. It is asked
	// each time, so a reload takes effect without a restart; a returned Config is never modified, by either side.
	TLS func() *tls.Config
	// GreetDelay is how long a client must stay silent before it sees the banner.
	GreetDelay func(Peer) time.Duration
	// AllowTLS is asked before a handshake; a non-nil Reply is sent instead (454 4.7.0 for a rate).
	AllowTLS func(Peer) *Reply
	// Reserved reports who may use the reserved part of Limits.Connections.
	Reserved func(netip.Addr) bool
	// Stress reports whether the stress column of the timeouts and limits holds now.
	Stress func() bool
	// NormalizeBareLF lists the networks whose bare LF in content is made CRLF instead of being refused.
	NormalizeBareLF []netip.Prefix
	// Panicked is told of a panic in a Session; the session has been ended, the process lives.
	Panicked func(value any, stack []byte)
}

// Limits are the wire's own limits. A limit of n allows n; the next one is refused.
type Limits struct {
	MessageBytes int64 `yaml:"message_bytes" doc:"Most bytes of one message; the next hop's own limit counts too. 552 5.3.4"`
	Recipients   int   `yaml:"recipients" doc:"Most recipients of one message; 100 is the least that RFC 5321 allows. 452 4.5.3"`
	Connections  int   `yaml:"connections" doc:"Most open connections of all listeners together. 421 4.3.2"`
	Reserve      int   `yaml:"reserve_percent" doc:"Part of connections, in percent, that only reserved networks may use"`
	Messages     int   `yaml:"messages_per_session" doc:"Most messages in one session. 421 4.7.0"`

	CommandBytes int   `yaml:"command_bytes" doc:"Longest command line with its CRLF, at most 4096. 500 5.5.2 and close"`
	LineBytes    int64 `yaml:"line_bytes" doc:"Longest text line without its CRLF. 550 5.6.0"`
	HeaderBytes  int64 `yaml:"header_bytes" doc:"Largest header section. 550 5.6.0"`
	FieldBytes   int64 `yaml:"header_field_bytes" doc:"Largest header field with its folds. 550 5.6.0"`
	Fields       int   `yaml:"header_fields" doc:"Most header fields. 550 5.6.0"`

	SoftErrors       int `yaml:"soft_errors" doc:"Errors after which every further one is answered late"`
	Errors           int `yaml:"errors" doc:"Most errors in one session. 421 4.7.0"`
	UnknownCommands  int `yaml:"unknown_commands" doc:"Most commands in one session that are none of SMTP's. 421 4.7.0"`
	Junk             int `yaml:"junk_commands" doc:"Most commands in a row that bring no mail forward: NOOP, RSET, VRFY, a further EHLO. 421 4.7.0"`
	SoftUnknownRcpts int `yaml:"soft_unknown_recipients" doc:"Unknown recipients after which every further one is answered late"`
	UnknownRcpts     int `yaml:"unknown_recipients" doc:"Most unknown recipients in one session. 421 4.7.0"`
	ExcessRcpts      int `yaml:"excess_recipients" doc:"Most recipients beyond the limit that are answered 452 before the session ends. 421 4.7.0"`
	NullSenderRcpts  int `yaml:"null_sender_recipients" doc:"Most recipients of a message from the null sender. 452 4.5.3"`
	StressErrors     int `yaml:"stress_errors" doc:"Errors allowed under stress. 421 4.7.0"`
	StressJunk       int `yaml:"stress_junk_commands" doc:"Junk commands allowed under stress. 421 4.7.0"`
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
	Normal Pace `yaml:"normal" doc:"In ordinary times"`
	Stress Pace `yaml:"stress" doc:"Under stress"`
}

// A Pace is one column of timeouts.
type Pace struct {
	Idle       time.Duration `yaml:"idle" doc:"Wait for the next command. 421 4.4.2"`
	IdleDoubt  time.Duration `yaml:"idle_doubt" doc:"The same after an error, and before TLS where TLS is required"`
	Command    time.Duration `yaml:"command" doc:"One command, from its first byte to its line end. 421 4.4.2"`
	Handshake  time.Duration `yaml:"tls_handshake" doc:"One TLS handshake; then the connection is closed"`
	DataIdle   time.Duration `yaml:"data_idle" doc:"Wait for more content. 421 4.4.2"`
	DataTotal  time.Duration `yaml:"data_total" doc:"The whole content of one message. 421 4.4.2"`
	DataRate   int64         `yaml:"data_rate" doc:"Least bytes of content per second after the grace. 421 4.4.2"`
	DataGrace  time.Duration `yaml:"data_grace" doc:"Time for which data_rate does not hold"`
	Session    time.Duration `yaml:"session" doc:"One session. 421 4.4.2"`
	Write      time.Duration `yaml:"write" doc:"Wait for the client to take a reply; then the connection is closed"`
	Verdict    time.Duration `yaml:"verdict" doc:"From the final dot until the checks are cancelled. 451 4.4.5"`
	ErrorDelay time.Duration `yaml:"error_delay" doc:"Delay of each answer beyond the soft limits"`
	Proxy      time.Duration `yaml:"proxy_header" doc:"Wait for a proxy's header; then the connection is closed"`
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
	// PlainAllowed exempts clear-text mail from TLSRequired. It is asked at each step with what is known by then:
	// nothing but the peer at HELO, the sender at MAIL, sender and recipient at RCPT; what is not known yet is the
	// zero Address. True at one step promises nothing for the next, so a server that exempts a single recipient
	// answers true at MAIL. Nil exempts nobody.
	PlainAllowed func(peer netip.Addr, from, rcpt mail.Address) bool
	// ProxyProtocol lists the proxies that this listener serves. If it is not empty, every connection must come from
	// one of them and open with a PROXY header, version 1 or 2; anything else is closed without a word.
	ProxyProtocol []netip.Prefix
}

// withDefaults fills what is zero.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, p := range []struct {
		have *int
		def  int
	}{
		{&l.Recipients, d.Recipients}, {&l.Connections, d.Connections}, {&l.Reserve, d.Reserve}, {&l.Messages, d.Messages},
		{&l.CommandBytes, d.CommandBytes}, {&l.Fields, d.Fields}, {&l.SoftErrors, d.SoftErrors}, {&l.Errors, d.Errors},
		{&l.UnknownCommands, d.UnknownCommands}, {&l.Junk, d.Junk}, {&l.SoftUnknownRcpts, d.SoftUnknownRcpts},
		{&l.UnknownRcpts, d.UnknownRcpts}, {&l.ExcessRcpts, d.ExcessRcpts}, {&l.NullSenderRcpts, d.NullSenderRcpts},
		{&l.StressErrors, d.StressErrors}, {&l.StressJunk, d.StressJunk},
	} {
		if *p.have <= 0 {
			*p.have = p.def
		}
	}
	for _, p := range []struct {
		have *int64
		def  int64
	}{
		{&l.MessageBytes, d.MessageBytes}, {&l.LineBytes, d.LineBytes},
		{&l.HeaderBytes, d.HeaderBytes}, {&l.FieldBytes, d.FieldBytes},
	} {
		if *p.have <= 0 {
			*p.have = p.def
		}
	}
	l.CommandBytes = min(l.CommandBytes, smallBuffer)
	return l
}

// withDefaults fills what is zero.
func (t Timeouts) withDefaults() Timeouts {
	d := DefaultTimeouts()
	return Timeouts{Normal: t.Normal.withDefaults(d.Normal), Stress: t.Stress.withDefaults(d.Stress)}
}

// withDefaults fills what is zero from d.
func (p Pace) withDefaults(d Pace) Pace {
	for _, v := range []struct{ have, def *time.Duration }{
		{&p.Idle, &d.Idle}, {&p.IdleDoubt, &d.IdleDoubt}, {&p.Command, &d.Command}, {&p.Handshake, &d.Handshake},
		{&p.DataIdle, &d.DataIdle}, {&p.DataTotal, &d.DataTotal}, {&p.DataGrace, &d.DataGrace},
		{&p.Session, &d.Session}, {&p.Write, &d.Write}, {&p.Verdict, &d.Verdict}, {&p.ErrorDelay, &d.ErrorDelay},
		{&p.Proxy, &d.Proxy},
	} {
		if *v.have <= 0 {
			*v.have = *v.def
		}
	}
	if p.DataRate <= 0 {
		p.DataRate = d.DataRate
	}
	return p
}
