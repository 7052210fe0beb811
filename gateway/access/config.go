package access

import (
	"net/netip"
	"time"

	"gatepost/rules/conf"
)

// A Config is what a Gate counts by. Adjust replaces it while the gate is in use.
type Config struct {
	Limits      Limits
	Connections int // open at once, of all clients
	// Greet is how long a stranger waits for the banner, and StressGreet the same under stress.
	Greet, StressGreet time.Duration
	Greylist           Greylist
	Trusted            []netip.Prefix // counted, but never refused
}

// Limits are the numbers that one client and its network may reach, and what follows. A client is an IPv4 address or an
// IPv6 /64, its network the /24 or /48 around it. A limit of n allows n; a rate of 0 is none.
type Limits struct {
	PerClient  int `yaml:"client_connections" min:"1" doc:"Most connections at once from one IPv4 address or IPv6 /64. 421 4.7.0"`
	PerNetwork int `yaml:"network_connections" min:"1" doc:"Most connections at once from one IPv4 /24 or IPv6 /48. 421 4.7.0"`

	Connects   int       `yaml:"connects_per_minute" min:"1" doc:"Most connections a minute from one client. 421 4.7.0"`
	Messages   int       `yaml:"messages_per_minute" min:"1" doc:"Most messages a minute from one client. 450 4.7.1"`
	Recipients int       `yaml:"recipients_per_minute" min:"1" doc:"Most recipients a minute from one client. 450 4.7.1"`
	Bytes      conf.Size `yaml:"bytes_per_minute" min:"1MiB" doc:"Most bytes of messages a minute from one client; not less than message_bytes. 450 4.7.1"`
	Errors     int       `yaml:"errors_per_minute" min:"1" doc:"Most commands and recipients of one client that are refused for good in a minute; then it is turned away for errors_ban. 421 4.7.0"`
	Unknown    int       `yaml:"unknown_recipients_per_minute" min:"1" doc:"Most unknown recipients a minute from one client; then it is turned away for unknown_recipients_ban. 421 4.7.0"`
	Handshakes int       `yaml:"tls_per_minute" min:"1" doc:"Most TLS handshakes a minute with one client. 454 4.7.0"`
	Share      int       `yaml:"network_share" min:"1" max:"1000" doc:"How many clients' rates the network of a client has."`

	ErrorsBan  time.Duration `yaml:"errors_ban" min:"1s" max:"30d" doc:"How long a client that errs too often is turned away."`
	UnknownBan time.Duration `yaml:"unknown_recipients_ban" min:"1s" max:"30d" doc:"How long a client that tries addresses is turned away."`
	Pass       time.Duration `yaml:"known_client" max:"366d" doc:"How long a client whose message was accepted is spared the greet delay."`

	StressAbove  int           `yaml:"stress_above_percent" min:"1" max:"100" doc:"Above this part of connections, in percent, the gateway is under stress: the stress column of timeouts holds, strangers that erred before are turned away, and those that are idle longest make room."`
	StressBelow  int           `yaml:"stress_below_percent" min:"1" max:"100" doc:"Below this part of connections stress ends, after stress_calm."`
	StressCalm   time.Duration `yaml:"stress_calm" doc:"How long connections must be few, and messages judged at once, before stress ends."`
	StressQueue  time.Duration `yaml:"stress_queue" doc:"How long the queue of messages to be judged is full before there is stress."`
	StressAccept time.Duration `yaml:"stress_accept" min:"10ms" doc:"How long a connection may wait to be attended to: if one in twenty of the last ten seconds waited longer, there is stress."`
}

// DefaultLimits are the limits that hold where the administrator sets none (HOSTILE 3.3, 3.4).
func DefaultLimits() Limits {
	return Limits{
		PerClient: 20, PerNetwork: 60,
		Connects: 60, Messages: 120, Recipients: 600, Bytes: 1 << 30, Errors: 120, Unknown: 40, Handshakes: 60, Share: 3,
		ErrorsBan: time.Minute, UnknownBan: 10 * time.Minute, Pass: 30 * 24 * time.Hour,
		StressAbove: 80, StressBelow: 60, StressCalm: 30 * time.Second, StressQueue: 5 * time.Second, StressAccept: time.Second,
	}
}

// Greylist says how long doubtful mail of an unknown sender waits.
type Greylist struct {
	Delay  time.Duration `yaml:"delay" min:"1s" max:"1d" doc:"How long a sender must wait before it is let through. 450 4.7.1"`
	Window time.Duration `yaml:"window" min:"1m" max:"30d" doc:"How long after its first try it may come back; later it begins anew."`
	Life   time.Duration `yaml:"lifetime" min:"1h" max:"366d" doc:"How long is remembered, from its last message on, who came back."`
}

// DefaultGreylist is what holds where the administrator sets nothing.
func DefaultGreylist() Greylist {
	return Greylist{Delay: time.Minute, Window: 24 * time.Hour, Life: 36 * 24 * time.Hour}
}
