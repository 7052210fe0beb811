package config

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatepost/rules/conf"
)

// Listeners are where mail is received.
type Listeners []Listener

// A Listener is one address.
type Listener struct {
	Node conf.Node `yaml:",node"`

	Address       string    `yaml:"address" required:"true" doc:"HOST:PORT to listen on; without a host, on all addresses. Port 0 takes a free one."`
	TLS           string    `yaml:"tls" enum:"off|offered|observe|warn|required|implicit" default:"required" doc:"What is asked of clients: nothing (off), STARTTLS if they can (offered; observe is the same, on the way to required), STARTTLS soon (warn: replies in clear text say so), STARTTLS before any mail (required: senders that cannot encrypt are turned away), or a handshake first (implicit, port 465). gatepost tls report says who would be cut off."`
	TLSExempt     TLSExempt `yaml:"tls_exempt" doc:"Whom tls: warn and tls: required do not bind."`
	ProxyProtocol Networks  `yaml:"proxy_protocol" default:"[]" doc:"Load balancers that send the PROXY header. If any is named, nobody else may connect."`
}

// TLSExempt lists whom a listener's demand for TLS does not bind.
type TLSExempt struct {
	Networks      []netip.Prefix `yaml:"networks" default:"[]" doc:"Clients in these networks."`
	Recipients    []string       `yaml:"recipients" default:"[]" doc:"Mail to these addresses; postmaster, without a domain, stands for that of every domain. With one of them, or of tls.exempt_recipients, clients in clear text are turned away at RCPT, not at MAIL."`
	SenderDomains []string       `yaml:"sender_domains" default:"[]" doc:"Mail from these domains."`
}

// Empty reports whether nobody is exempt.
func (e TLSExempt) Empty() bool { return len(e.Networks)+len(e.Recipients)+len(e.SenderDomains) == 0 }

// TLS is what all listeners show.
type TLS struct {
	Certificates []Certificate `yaml:"certificates" default:"[]" doc:"Served by the name that a client asks for; the first is for clients that ask for none. An ECDSA and an RSA one for the same name may stand side by side."`
	ACME         ACME          `yaml:"acme" doc:"An authority that gives certificates without asking people (RFC 8555), in place of certificates. Until the first has come, a self-signed one is shown."`
	MinVersion   string        `yaml:"min_version" enum:"1.2|1.3" default:"1.2" doc:"The oldest version of TLS that is spoken."`
	Enforce      []Demand      `yaml:"enforce" default:"[]" doc:"Where TLS is asked for beyond what a listener asks; of the demands that match, the strictest holds. Postmaster is never asked."`
	Exempt       []string      `yaml:"exempt_recipients" default:"[]" doc:"Addresses that may always be written to in clear text, on every listener: those for reports about TLS (RFC 8460)."`
}

// ACME says whom to ask for certificates, and how. It is off unless Agree.
type ACME struct {
	Agree     bool        `yaml:"agree" default:"false" doc:"You agree to the authority's terms; without it nothing is asked."`
	Directory string      `yaml:"directory" default:"https://acme-v02.api.letsencrypt.org/directory" doc:"The authority: URL of its directory."`
	Email     string      `yaml:"email" doc:"Where the authority writes when something is wrong with the account."`
	Roots     conf.Path   `yaml:"roots" doc:"PEM file of roots by which the authority itself is verified, for one of your own. Default: the system's."`
	Names     []string    `yaml:"names" doc:"A certificate is had for each. Default: the hostname."`
	Keys      []string    `yaml:"keys" default:"[ecdsa, rsa]" doc:"Kinds of key, ecdsa or rsa: a certificate is had with each. ECDSA costs the server a third; some old senders know RSA alone."`
	ReuseKeys bool        `yaml:"reuse_keys" default:"false" doc:"A renewed certificate keeps its key, so that TLSA records (DANE) made for it stay good."`
	Challenge string      `yaml:"challenge" enum:"http|tls-alpn|dns" default:"http" doc:"How the authority sees that a name is ours: a page at port 80, a handshake at port 443, or a TXT record. Gateways that share a name take dns."`
	Listen    string      `yaml:"listen" doc:"HOST:PORT where http and tls-alpn are answered, only while a challenge lasts; what comes to port 80 or 443 of the name must reach it. Default: :80 or :443."`
	DNS       ACMERecords `yaml:"dns" doc:"Where the TXT records of challenge: dns are put."`
}

// ACMERecords is a zone that takes dynamic updates.
type ACMERecords struct {
	Server    string        `yaml:"server" doc:"HOST:PORT of the zone's primary server, which takes dynamic updates (RFC 2136)."`
	Zone      string        `yaml:"zone" doc:"The zone that holds the names."`
	Key       string        `yaml:"key" doc:"Name of the key that signs the updates (TSIG, RFC 8945); empty: they are not signed."`
	Secret    conf.Secret   `yaml:"secret" doc:"The key, in base64."`
	Algorithm string        `yaml:"algorithm" enum:"hmac-sha224|hmac-sha256|hmac-sha384|hmac-sha512" default:"hmac-sha256" doc:"Algorithm of the key."`
	Settle    time.Duration `yaml:"settle" default:"10s" max:"1h" doc:"How long the other servers of the zone take to follow."`
}

// A Demand asks for TLS between some senders and some recipients.
type Demand struct {
	Node       conf.Node      `yaml:",node"`
	Networks   []netip.Prefix `yaml:"networks" doc:"Clients in these networks."`
	Senders    []string       `yaml:"sender_domains" doc:"Mail from these domains, by its reverse-path."`
	Recipients []string       `yaml:"recipient_domains" doc:"Mail to these domains."`
	Stage      string         `yaml:"stage" enum:"observe|warn|required" default:"observe" doc:"Only count who would be cut off (observe), say so in the reply to RCPT (warn), or refuse with 550 5.7.1 (required)."`
	MinVersion string         `yaml:"min_version" enum:"1.2|1.3" default:"1.2" doc:"The oldest version of TLS that will do."`
}

// oldest is a version as crypto/tls has it.
func oldest(version string) uint16 {
	if version == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// Oldest is MinVersion as crypto/tls has it.
func (d Demand) Oldest() uint16 { return oldest(d.MinVersion) }

// Oldest is MinVersion as crypto/tls has it.
func (t TLS) Oldest() uint16 { return oldest(t.MinVersion) }

// A Certificate is a chain and its key, in PEM.
type Certificate struct {
	Node conf.Node `yaml:",node"`
	Cert conf.Path `yaml:"cert" required:"true" doc:"The certificate, followed by those that lead to its root."`
	Key  conf.Path `yaml:"key" required:"true" doc:"Its private key, readable for the gateway alone."`
}

// Networks are networks that get a privilege. A wide one, that may hold strangers, is refused unless it says that this
// is known.
type Networks []netip.Prefix

// The widest networks that need no word: 4096 IPv4 addresses, and the IPv6 network of one site.
const (
	widest4 = 20
	widest6 = 48
)

// UnmarshalConf reads a list whose items are networks, or {network: …, i_know: true}.
func (l *Networks) UnmarshalConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	var items []conf.Node
	if problems = n.Decode(&items); len(problems) > 0 {
		var plain []netip.Prefix // says what is expected, in words about networks
		return n.Decode(&plain)
	}
	for _, item := range items {
		entry := struct {
			Network netip.Prefix `yaml:"network" required:"true"`
			IKnow   bool         `yaml:"i_know"`
		}{}
		into := any(&entry.Network)
		if item.Kind() == conf.Mapping {
			into = &entry
		}
		if p := item.Decode(into); len(p) > 0 {
			problems = append(problems, p...)
			continue
		}
		switch p := entry.Network; {
		case p.Bits() == 0:
			problems = append(problems, item.Problemf("%s is everybody; name the networks that are meant", p))
		case tooWide(p) && !entry.IKnow:
			problems = append(problems, item.Problemf("%s may hold strangers, such as other customers of a cloud; name a smaller network, or write {network: %q, i_know: true}", p, p))
		default:
			*l = append(*l, p)
		}
	}
	return problems
}

func tooWide(p netip.Prefix) bool {
	if a := p.Addr(); a.IsPrivate() || a.IsLoopback() {
		return false
	}
	return p.Addr().Is4() && p.Bits() < widest4 || p.Addr().Is6() && p.Bits() < widest6
}

// ConfType says what a document may write.
func (Networks) ConfType() string { return "list of networks" }

// ConfSchema says what a document may write.
func (Networks) ConfSchema() map[string]any {
	return map[string]any{"type": "array", "items": map[string]any{"type": []string{"string", "object"}}}
}

// splitAddress reads HOST:PORT as a listener takes it: HOST is empty or an IP address, PORT a number.
func splitAddress(s string) (host netip.Addr, port int, ok bool) {
	h, p, err := net.SplitHostPort(s)
	if err != nil {
		return host, 0, false
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || strings.HasPrefix(p, "+") {
		return host, 0, false
	}
	if h == "localhost" {
		h = "127.0.0.1"
	}
	if h != "" {
		if host, err = netip.ParseAddr(h); err != nil {
			return host, 0, false
		}
		host = host.Unmap()
	}
	return host, int(n), true
}
