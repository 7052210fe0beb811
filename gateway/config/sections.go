package config

import (
	"net/netip"
	"slices"
	"time"

	"gatepost/gateway/access"
	"gatepost/gateway/admin"
	"gatepost/gateway/disk"
	"gatepost/gateway/smtp"
	"gatepost/rules/conf"
)

// DNS says whom to ask.
type DNS struct {
	Servers []string      `yaml:"servers" default:"[]" doc:"Name servers, ADDRESS or ADDRESS:PORT; without any, those of /etc/resolv.conf. A caching resolver on this machine is best."`
	Trusted []string      `yaml:"trusted_servers" default:"[]" doc:"Addresses of name servers elsewhere whose word that an answer is authentic (DNSSEC) is taken, as that of those on this machine is. Nobody may sit between: downstream_tls: dane rests on it."`
	Timeout time.Duration `yaml:"timeout" default:"2s" min:"100ms" max:"30s" doc:"How long one try waits for an answer; a question gets two tries."`
}

// Store names the durable store.
type Store struct {
	URL conf.Secret `yaml:"url" default:"sqlite:gatepost.db" doc:"sqlite:FILE, relative to data_dir, for one gateway; or postgres://USER:PASSWORD@HOST:PORT/DATABASE, PostgreSQL 12 or later, which the gateways of a site share: the quarantine with its content, accounts and sessions, what was taught, who writes, and the journal of all. To another machine it takes TLS and verifies the name (sslmode=verify-full, with sslrootcert=FILE for an authority of your own); sslmode=disable says that the network is safe. What is special in the password is written as %XX. Several hosts, HOST:PORT,HOST:PORT, are tried until one takes writes. The server must run with fsync=on."`
}

// Geo names files that say where addresses are.
type Geo struct {
	Databases []conf.Path `yaml:"databases" default:"[]" doc:"Files of the MaxMind format (.mmdb) with countries, networks (ASN) or both; the first that knows counts. They are read again when they change."`
}

// State names the shared memory of a site.
type State struct {
	URL      conf.Secret `yaml:"url" doc:"redis://USER:PASSWORD@HOST:PORT/NUMBER, redis-sentinel://HOST:PORT,HOST:PORT/MASTER/NUMBER or redis-cluster://HOST:PORT,HOST:PORT; with rediss in place of redis under TLS. Empty: every gateway counts for itself, in its own memory."`
	Gateways int         `yaml:"gateways" default:"2" min:"1" max:"1000" doc:"How many gateways share it; while it cannot be reached, each allows this part of every rate."`
}

// Quarantine says how long what is kept.
type Quarantine struct {
	Retention Retention    `yaml:"retention" doc:"How long a message is kept, by what is wrong with it."`
	Digest    admin.Digest `yaml:"digest" doc:"Mail that tells people what is held for them. The hold on a message is decided on a page behind a signed link, never by the link itself."`
	// Key is read anew at a restart.
	Key conf.Secret `yaml:"key" doc:"Encrypts the content of what is held, with AES-256: keys of 64 hexadecimal digits, one a line, such as openssl rand -hex 32 makes, usually {file: PATH}. The first is for what comes in, the others open what is there: to change the key put a new one first. Without its key a message cannot be read again by anybody. The content of mail on hold is encrypted by it as well; what lists show (addresses, subject) is not."`
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
	Lifetime time.Duration `yaml:"lifetime" default:"5d" min:"1m" max:"30d" doc:"How long delivery is tried; what is left then goes to the quarantine, and an alarm is raised."`
	Notify   string        `yaml:"notify_senders" enum:"off|authenticated" default:"off" doc:"Whether senders are told by mail (RFC 3464) when the next hop refuses for good what was on hold; people find it in the quarantine in any case. authenticated: those whose domain passed SPF, or DKIM with a signature of their domain, of mail with nothing wrong that is no bulk and no automatic answer; at most 5 an hour to an address, 50 to a domain, 200 in all. The notice leaves by the next hop that refused, which must relay for this gateway."`
	MaxBytes conf.Size     `yaml:"max_bytes" default:"20GiB" min:"1MiB" doc:"Most bytes of content on hold; mail that would have to be held beyond it is deferred with 452."`
}

// SessionLimits and ClientLimits are named here so that Limits can hold both.
type (
	SessionLimits = smtp.Limits
	ClientLimits  = access.Limits
)

// Limits are the bounds of the SMTP dialogue: of one session, of one client over its sessions, and of the process.
type Limits struct {
	SessionLimits
	ClientLimits

	Received int       `yaml:"received" default:"50" min:"25" max:"100" doc:"Most Received fields: more is a loop. 554 5.4.6"`
	Memory   conf.Size `yaml:"memory" default:"512MiB" min:"16MiB" doc:"Most memory for messages being received; then 452 4.3.1 at MAIL."`
	Verdicts int       `yaml:"verdicts" default:"0" min:"0" max:"100000" doc:"Most messages that are judged at once; 0: 32 for each processor."`
	Queue    int       `yaml:"verdict_queue" default:"256" min:"0" max:"100000" doc:"Most messages that wait to be judged. 451 4.3.2"`
}

// A pair is two limits of which the one must not be more than the other.
type pair struct {
	small, large string
	inOrder      func() bool
	lower, raise func() // makes the one as large as the other
	problem      string
}

// atMost makes a pair of two limits of one kind.
func atMost[T int | conf.Size](small string, a *T, large string, b *T) pair {
	return pair{small, large, func() bool { return *a <= *b }, func() { *a = *b }, func() { *b = *a }, small + " is more than " + large + ", and would never be reached"}
}

// pairs are the limits that bound each other, the outer ones first.
func (l *Limits) pairs() []pair {
	perMinute := atMost("message_bytes", &l.MessageBytes, "bytes_per_minute", &l.Bytes)
	perMinute.problem = "bytes_per_minute is less than message_bytes: a message of the largest size could never be sent"
	return []pair{
		perMinute,
		atMost("header_bytes", &l.HeaderBytes, "message_bytes", &l.MessageBytes),
		atMost("header_field_bytes", &l.FieldBytes, "header_bytes", &l.HeaderBytes),
		atMost("network_connections", &l.PerNetwork, "connections", &l.SessionLimits.Connections),
		atMost("client_connections", &l.PerClient, "network_connections", &l.PerNetwork),
		atMost("soft_errors", &l.SoftErrors, "errors", &l.SessionLimits.Errors),
		atMost("soft_unknown_recipients", &l.SoftUnknownRcpts, "unknown_recipients", &l.UnknownRcpts),
		atMost("stress_below_percent", &l.StressBelow, "stress_above_percent", &l.StressAbove),
	}
}

// CheckConf looks for limits that could never be reached. One that the file does not name follows the other, so that
// whoever sets one limit need not know all that lie within it.
func (l *Limits) CheckConf(n conf.Node) []conf.Problem {
	unsaid := func(key string) bool { return n.Key(key).IsNull() }
	pairs := l.pairs()
	for _, p := range pairs {
		if !p.inOrder() && unsaid(p.small) {
			p.lower()
		}
	}
	for _, p := range slices.Backward(pairs) {
		if !p.inOrder() && unsaid(p.large) {
			p.raise()
		}
	}
	var out []conf.Problem
	for _, p := range pairs {
		if !p.inOrder() {
			out = append(out, conf.Problem{Pos: either(n, p.small, p.large), Message: p.problem})
		}
	}
	return out
}

// either is the position of the first of two keys that is there.
func either(n conf.Node, a, b string) conf.Pos {
	if at := n.Key(a); !at.IsNull() {
		return at.Pos()
	}
	return n.Key(b).Pos()
}

// Timeouts are how long the SMTP server waits.
type Timeouts struct {
	Greet       time.Duration `yaml:"greet_delay" default:"3s" max:"30s" doc:"How long a client must wait in silence for the banner; who speaks first is no mail server. Not for trusted networks, nor for the time of limits.known_client after a message was accepted."`
	StressGreet time.Duration `yaml:"stress_greet_delay" default:"1s" max:"30s" doc:"The same under stress, if it is shorter."`
	smtp.Timeouts
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
