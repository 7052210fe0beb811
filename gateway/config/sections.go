package config

import (
	"net/netip"
	"strings"
	"time"

	"gatepost/gateway/disk"
	"gatepost/rules/conf"
)

// DNS says whom to ask.
type DNS struct {
	Servers []string      `yaml:"servers" default:"[]" doc:"Name servers, ADDRESS or ADDRESS:PORT; without any, those of /etc/resolv.conf. A caching resolver on this machine is best."`
	Timeout time.Duration `yaml:"timeout" default:"2s" min:"100ms" max:"30s" doc:"How long one try waits for an answer; a question gets two tries."`
}

// Store names the durable store.
type Store struct {
	URL conf.Secret `yaml:"url" default:"sqlite:gatepost.db" doc:"sqlite:FILE, relative to data_dir."`
}

// State names the shared memory of a site.
type State struct {
	URL      conf.Secret `yaml:"url" doc:"redis:// or rediss:// (TLS), USER:PASSWORD@HOST:PORT/NUMBER. Empty: every gateway counts for itself, in its own memory."`
	Gateways int         `yaml:"gateways" default:"2" min:"1" max:"1000" doc:"How many gateways share it; while it cannot be reached, each allows this part of every rate."`
}

// Quarantine says how long what is kept.
type Quarantine struct {
	Retention Retention `yaml:"retention" doc:"How long a message is kept, by what is wrong with it."`
	// Key is read anew at a restart.
	Key conf.Secret `yaml:"key" doc:"Encrypts the content of what is held, with AES-256: keys of 64 hexadecimal digits, one a line, such as openssl rand -hex 32 makes, usually {file: PATH}. The first is for what comes in, the others open what is there: to change the key put a new one first. Without its key a message cannot be read again by anybody. What lists show (addresses, subject) and mail on hold are not encrypted by it."`
	// KeepRefused is the answer to a wrong refusal.
	KeepRefused bool      `yaml:"keep_refused" default:"false" doc:"Keep a copy, for retention.refused, of every message that is refused for its content: its sender is told no at once, and a reviewer can release it all the same."`
	MaxBytes    conf.Size `yaml:"max_bytes" default:"20GiB" min:"100MiB" doc:"Most bytes of compressed content; mail that would have to be held beyond it is deferred with 452."`
}

// CheckConf looks at the keys, without a word of them in the problem.
func (q *Quarantine) CheckConf(n conf.Node) []conf.Problem {
	if _, err := disk.ParseKeys(q.Key.Reveal()); err != nil {
		return []conf.Problem{n.Key("key").Problemf("%v", err)}
	}
	return nil
}

// Retention is a time for each class.
type Retention struct {
	Spam    time.Duration `yaml:"spam" default:"30d" min:"1h" doc:"Spam."`
	Phish   time.Duration `yaml:"phish" default:"30d" min:"1h" doc:"Phishing and impersonation."`
	Malware time.Duration `yaml:"malware" default:"14d" min:"1h" doc:"Malware."`
	Policy  time.Duration `yaml:"policy" default:"30d" min:"1h" doc:"What a site's own rule held."`
	Refused time.Duration `yaml:"refused" default:"14d" min:"1h" doc:"Copies of what was refused."`
}

// ARCSeal is the key that forwarded mail is sealed with.
type ARCSeal struct {
	Node     conf.Node   `yaml:",node"`
	Domain   string      `yaml:"domain" doc:"Who seals (d=); its key is published at SELECTOR._domainkey.DOMAIN."`
	Selector string      `yaml:"selector" doc:"Which of the domain's keys (s=)."`
	Key      conf.Secret `yaml:"key" doc:"Private key in PEM, RSA of at least 1024 bits or Ed25519: {file: /etc/gatepost/arc.pem}."`
}

// On reports whether anything is sealed.
func (a ARCSeal) On() bool { return a.Domain != "" }

// Hold bounds the hold queue.
type Hold struct {
	Lifetime time.Duration `yaml:"lifetime" default:"5d" min:"1m" max:"30d" doc:"How long delivery is tried; what is left then goes to the quarantine, and an alarm is raised. Senders never get a bounce."`
	MaxBytes conf.Size     `yaml:"max_bytes" default:"20GiB" min:"1MiB" doc:"Most bytes of content on hold; mail that would have to be held beyond it is deferred with 452."`
}

// Admin says where people look at the gateway.
type Admin struct {
	Address     string        `yaml:"address" default:"127.0.0.1:8025" doc:"HOST:PORT of the review pages, the API, metrics and health."`
	BaseURL     string        `yaml:"base_url" doc:"How browsers reach the pages, if a proxy stands before them: https://gate.example.com."`
	Metrics     bool          `yaml:"metrics" default:"true" doc:"Serve /metrics."`
	SessionIdle time.Duration `yaml:"session_idle" default:"30m" min:"1m" doc:"A session ends after so long without a request."`
	SessionLife time.Duration `yaml:"session_life" default:"12h" min:"1m" doc:"A session ends after so long whatever happens."`
}

// CheckConf looks at the address.
func (a *Admin) CheckConf(n conf.Node) []conf.Problem {
	if _, _, ok := splitAddress(a.Address); !ok {
		return []conf.Problem{n.Key("address").Problemf("expected HOST:PORT such as 127.0.0.1:8025, with an IP address as HOST, found %q", a.Address)}
	}
	if u := a.BaseURL; u != "" && !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
		return []conf.Problem{n.Key("base_url").Problemf("expected a URL such as https://gate.example.com, found %q", u)}
	}
	return nil
}

// Limits are the bounds of the SMTP dialogue.
type Limits struct {
	MessageBytes conf.Size `yaml:"message_bytes" default:"25MiB" min:"64KiB" max:"2GiB" doc:"Most bytes of a message; never more than the next hop takes. 552 5.3.4"`
	Recipients   int       `yaml:"recipients" default:"100" min:"1" max:"10000" doc:"Most recipients of a message. 452 4.5.3"`
	Connections  int       `yaml:"connections" default:"10000" min:"1" max:"1000000" doc:"Most connections at once, on all listeners together. 421 4.3.2"`
	Reserve      int       `yaml:"reserve_percent" default:"10" min:"0" max:"90" doc:"Part of connections, in percent, that is kept for trusted networks and the allow list."`
	Messages     int       `yaml:"messages_per_session" default:"100" min:"1" doc:"Most messages in a session. 421 4.7.0"`

	ClientConnections  int `yaml:"client_connections" default:"20" min:"1" doc:"Most connections at once from one IPv4 address or IPv6 /64. 421 4.7.0"`
	NetworkConnections int `yaml:"network_connections" default:"60" min:"1" doc:"Most connections at once from one IPv4 /24 or IPv6 /48. 421 4.7.0"`
	ConnectRate        int `yaml:"connects_per_minute" default:"60" min:"1" doc:"Most connections a minute from one client. 421 4.7.0"`
	MessageRate        int `yaml:"messages_per_minute" default:"120" min:"1" doc:"Most messages a minute from one client. 450 4.7.1"`
	RecipientRate      int `yaml:"recipients_per_minute" default:"600" min:"1" doc:"Most recipients a minute from one client. 450 4.7.1"`

	ByteRate    conf.Size `yaml:"bytes_per_minute" default:"1GiB" min:"1MiB" doc:"Most bytes of messages a minute from one client. 450 4.7.1"`
	ErrorRate   int       `yaml:"errors_per_minute" default:"120" min:"1" doc:"Most commands and recipients of one client that are refused for good in a minute; then it is turned away for a minute. 421 4.7.0"`
	UnknownRate int       `yaml:"unknown_recipients_per_minute" default:"40" min:"1" doc:"Most unknown recipients a minute from one client; then it is turned away for ten minutes. 421 4.7.0"`
	TLSRate     int       `yaml:"tls_per_minute" default:"60" min:"1" doc:"Most TLS handshakes a minute with one client. 454 4.7.0"`

	CommandBytes int       `yaml:"command_bytes" default:"2048" min:"512" max:"4096" doc:"Longest command line. 500 5.5.2 and close"`
	LineBytes    conf.Size `yaml:"line_bytes" default:"64KiB" min:"998" doc:"Longest line of text. 550 5.6.0"`
	HeaderBytes  conf.Size `yaml:"header_bytes" default:"512KiB" min:"16KiB" doc:"Largest header. 550 5.6.0"`
	FieldBytes   conf.Size `yaml:"header_field_bytes" default:"128KiB" min:"998" doc:"Largest header field. 550 5.6.0"`
	Fields       int       `yaml:"header_fields" default:"1000" min:"50" doc:"Most header fields. 550 5.6.0"`
	Received     int       `yaml:"received" default:"50" min:"25" max:"100" doc:"Most Received fields: more is a loop. 554 5.4.6"`

	SoftErrors       int `yaml:"soft_errors" default:"5" min:"0" doc:"Errors after which each further one is answered a second later."`
	Errors           int `yaml:"errors" default:"15" min:"1" doc:"Most errors in a session. 421 4.7.0"`
	UnknownCommands  int `yaml:"unknown_commands" default:"5" min:"1" doc:"Most commands in a session that are none of SMTP's. 421 4.7.0"`
	Junk             int `yaml:"junk_commands" default:"50" min:"1" doc:"Most commands in a row that bring no mail forward. 421 4.7.0"`
	SoftUnknownRcpts int `yaml:"soft_unknown_recipients" default:"10" min:"0" doc:"Unknown recipients after which each further one is answered a second later."`
	UnknownRcpts     int `yaml:"unknown_recipients" default:"20" min:"1" doc:"Most unknown recipients in a session. 421 4.7.0"`
	ExcessRcpts      int `yaml:"excess_recipients" default:"100" min:"1" doc:"Most recipients beyond the limit before the session ends. 421 4.7.0"`
	NullSenderRcpts  int `yaml:"null_sender_recipients" default:"1" min:"1" doc:"Most recipients of a message from the null sender. 452 4.5.3"`
	StressErrors     int `yaml:"stress_errors" default:"1" min:"1" doc:"Errors allowed under stress. 421 4.7.0"`
	StressJunk       int `yaml:"stress_junk_commands" default:"1" min:"1" doc:"Junk commands allowed under stress. 421 4.7.0"`

	Memory conf.Size `yaml:"memory" default:"512MiB" min:"16MiB" doc:"Most memory for messages being received; then 452 4.3.1 at MAIL."`
}

// CheckConf looks for limits that could never be reached.
func (l *Limits) CheckConf(n conf.Node) []conf.Problem {
	var out []conf.Problem
	for _, p := range []struct {
		small, large string
		a, b         int64
	}{
		{"soft_errors", "errors", int64(l.SoftErrors), int64(l.Errors)},
		{"soft_unknown_recipients", "unknown_recipients", int64(l.SoftUnknownRcpts), int64(l.UnknownRcpts)},
		{"client_connections", "network_connections", int64(l.ClientConnections), int64(l.NetworkConnections)},
		{"network_connections", "connections", int64(l.NetworkConnections), int64(l.Connections)},
		{"header_field_bytes", "header_bytes", int64(l.FieldBytes), int64(l.HeaderBytes)},
		{"header_bytes", "message_bytes", int64(l.HeaderBytes), int64(l.MessageBytes)},
	} {
		if p.a > p.b && !(n.Key(p.small).IsNull() && n.Key(p.large).IsNull()) {
			at := n.Key(p.small)
			if at.IsNull() {
				at = n.Key(p.large)
			}
			out = append(out, conf.Problem{Pos: at.Pos(), Message: p.small + " is more than " + p.large + ", and would never be reached"})
		}
	}
	return out
}

// Timeouts are how long the SMTP server waits.
type Timeouts struct {
	Greet  time.Duration `yaml:"greet_delay" default:"3s" max:"30s" doc:"How long a client must wait in silence for the banner; who speaks first is no mail server. Not for trusted networks, nor for thirty days after a message was accepted. At most one second under stress."`
	Normal Normal        `yaml:"normal" doc:"In ordinary times."`
	Stress Stress        `yaml:"stress" doc:"While the gateway has more to do than it can."`
}

// Normal are the timeouts of ordinary times.
type Normal struct {
	Idle      time.Duration `yaml:"idle" default:"5m" min:"1s" doc:"Wait for the next command. 421 4.4.2"`
	IdleDoubt time.Duration `yaml:"idle_doubt" default:"1m" min:"1s" doc:"The same after an error, and before TLS where it is required."`
	Command   time.Duration `yaml:"command" default:"30s" min:"1s" doc:"One command, from its first byte to its line end. 421 4.4.2"`
	Handshake time.Duration `yaml:"tls_handshake" default:"1m" min:"1s" doc:"One TLS handshake."`
	DataIdle  time.Duration `yaml:"data_idle" default:"3m" min:"1s" doc:"Wait for more of a message. 421 4.4.2"`
	DataTotal time.Duration `yaml:"data_total" default:"20m" min:"1s" doc:"The whole of a message. 421 4.4.2"`
	DataRate  conf.Size     `yaml:"data_rate" default:"500" doc:"Least bytes of a message per second, after the grace. 421 4.4.2"`
	DataGrace time.Duration `yaml:"data_grace" default:"30s" doc:"Time without a least rate."`
	Session   time.Duration `yaml:"session" default:"30m" min:"1s" doc:"One session. 421 4.4.2"`
	Write     time.Duration `yaml:"write" default:"1m" min:"1s" doc:"Wait for the client to take a reply."`
	Verdict   time.Duration `yaml:"verdict" default:"270s" min:"1s" max:"9m" doc:"From the final dot until the checks are cancelled; clients wait ten minutes. 451 4.4.5"`
	Delay     time.Duration `yaml:"error_delay" default:"1s" doc:"How much later an answer beyond the soft limits comes."`
	Proxy     time.Duration `yaml:"proxy_header" default:"5s" min:"1s" doc:"Wait for a proxy's header."`
}

// Stress are the timeouts under stress.
type Stress struct {
	Idle      time.Duration `yaml:"idle" default:"10s" min:"1s" doc:"Wait for the next command. 421 4.4.2"`
	IdleDoubt time.Duration `yaml:"idle_doubt" default:"10s" min:"1s" doc:"The same after an error, and before TLS where it is required."`
	Command   time.Duration `yaml:"command" default:"10s" min:"1s" doc:"One command, from its first byte to its line end. 421 4.4.2"`
	Handshake time.Duration `yaml:"tls_handshake" default:"10s" min:"1s" doc:"One TLS handshake."`
	DataIdle  time.Duration `yaml:"data_idle" default:"10s" min:"1s" doc:"Wait for more of a message. 421 4.4.2"`
	DataTotal time.Duration `yaml:"data_total" default:"5m" min:"1s" doc:"The whole of a message. 421 4.4.2"`
	DataRate  conf.Size     `yaml:"data_rate" default:"2000" doc:"Least bytes of a message per second, after the grace. 421 4.4.2"`
	DataGrace time.Duration `yaml:"data_grace" default:"10s" doc:"Time without a least rate."`
	Session   time.Duration `yaml:"session" default:"5m" min:"1s" doc:"One session. 421 4.4.2"`
	Write     time.Duration `yaml:"write" default:"10s" min:"1s" doc:"Wait for the client to take a reply."`
	Verdict   time.Duration `yaml:"verdict" default:"20s" min:"1s" max:"9m" doc:"From the final dot until the checks are cancelled. 451 4.4.5"`
	Delay     time.Duration `yaml:"error_delay" default:"1s" doc:"How much later an answer beyond the soft limits comes."`
	Proxy     time.Duration `yaml:"proxy_header" default:"2s" min:"1s" doc:"Wait for a proxy's header."`
}

// Log says what is told to standard error.
type Log struct {
	Format string `yaml:"format" enum:"json|text" default:"json" doc:"One line for each event, for programs or for people."`
	Level  string `yaml:"level" enum:"debug|info|warn|error" default:"info" doc:"The least that is told."`
}

// validServer reports whether dns.servers may hold s: an IP address, with or without a port.
func validServer(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	host, port, ok := splitAddress(s)
	return ok && host.IsValid() && port != 0
}
