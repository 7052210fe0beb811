package config

import (
	"encoding/base64"
	"net"
	"net/netip"
	"strings"

	"gatepost/gateway/directory"
	"gatepost/rules/conf"
)

// A Domain is one domain that mail is accepted for. Its subdomains are not part of it.
type Domain struct {
	Node conf.Node `yaml:",node"`

	Name       string     `yaml:"name" required:"true" doc:"The domain, with or without letters outside ASCII. Subdomains are domains of their own."`
	Downstream []string   `yaml:"downstream" required:"true" doc:"Next hops, HOST:PORT (port 25 if none is given), in order of preference."`
	TLS        string     `yaml:"downstream_tls" enum:"off|opportunistic|required|verify|pin|dane" doc:"How the connection to the next hop is protected: verify asks for a certificate that a public authority signed for its name, pin for one of downstream_pins, dane for one that its TLSA records name (RFC 7672; dns needs a resolver that checks DNSSEC), required for any. Mail waits where that cannot be had. Without this key: verify, or off where every next hop is on this machine."`
	Pins       []string   `yaml:"downstream_pins" default:"[]" doc:"For downstream_tls: pin, keys that the next hop may have: sha256/BASE64 of the public key, as gatepost doctor shows them. Have a second one ready for the day the key changes."`
	Protocol   string     `yaml:"downstream_protocol" enum:"smtp|lmtp" default:"smtp" doc:"What the next hop speaks."`
	Chunking   bool       `yaml:"downstream_chunking" default:"false" doc:"Send content by BDAT (RFC 3030) where the next hop offers CHUNKING, and by DATA where it does not. It saves a round trip for a message to several recipients, and nothing measurable for one; software between that does not know BDAT breaks it."`
	Recipients Recipients `yaml:"recipients" default:"downstream" doc:"Who exists: ask the next hop with RCPT and remember its answer (downstream), every address (any), the addresses in a file, one a line ({file: users.txt}), or those that a directory finds ({ldap: {urls: [ldaps://dc.example.com], base: \"dc=example,dc=com\"}}; the keys of ldap are in gateway/directory's README)."`
	WhenDown   string     `yaml:"when_down" enum:"defer|hold" default:"defer" doc:"While no next hop takes mail: let the sender try again (defer), or keep the mail and try ourselves (hold)."`
}

// Recipients says how it is known who exists.
type Recipients struct {
	Mode string           // downstream, any, file, ldap
	File conf.Path        // of mode file
	LDAP directory.Config // of mode ldap
}

// UnmarshalConf reads downstream, any, {file: PATH} or {ldap: {…}}.
func (r *Recipients) UnmarshalConf(n conf.Node) []conf.Problem {
	const form = "expected downstream, any, {file: PATH} or {ldap: {…}}"
	if n.Kind() == conf.Mapping {
		if ldap := n.Key("ldap"); !ldap.IsNull() {
			var in struct {
				LDAP directory.Config `yaml:"ldap"`
			}
			p := n.Decode(&in)
			*r = Recipients{Mode: "ldap", LDAP: in.LDAP}
			return p
		}
		var in struct {
			File conf.Path `yaml:"file" required:"true"`
		}
		p := n.Decode(&in)
		*r = Recipients{Mode: "file", File: in.File}
		return p
	}
	switch s := n.String(); s {
	case "downstream", "any":
		*r = Recipients{Mode: s}
		return nil
	case "":
		return []conf.Problem{n.Problemf(form)}
	case "file":
		return []conf.Problem{n.Problemf("which file? write {file: PATH}")}
	default:
		p := n.Problemf("%s, found %q", form, s)
		p.Hint = conf.Suggest(s, []string{"downstream", "any"})
		return []conf.Problem{p}
	}
}

// ConfType says what a document may write.
func (Recipients) ConfType() string { return "`downstream`, `any`, `{file: PATH}` or `{ldap: {…}}`" }

// ConfSchema says what a document may write.
func (Recipients) ConfSchema() map[string]any {
	return map[string]any{"oneOf": []any{
		map[string]any{"enum": []string{"downstream", "any"}},
		map[string]any{"type": "object", "required": []string{"file"}, "additionalProperties": false,
			"properties": map[string]any{"file": map[string]any{"type": "string"}}},
		map[string]any{"type": "object", "required": []string{"ldap"}, "additionalProperties": false,
			"properties": map[string]any{"ldap": map[string]any{"type": "object"}}},
	}}
}

// A hop is one next hop, taken apart.
type hop struct {
	host string // lower case
	ip   netip.Addr
	port string
}

// splitHop reads HOST, HOST:PORT, [IPv6] or [IPv6]:PORT.
func splitHop(s string) (hop, bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), "25"
	}
	h := hop{host: strings.ToLower(strings.TrimSuffix(host, ".")), port: port}
	if _, n, ok := splitAddress(":" + port); !ok || n == 0 {
		return h, false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		h.ip = ip.Unmap()
		return h, true
	}
	name, err := canonical(host)
	h.host = name
	return h, err == nil
}

// String is HOST:PORT.
func (h hop) String() string { return net.JoinHostPort(h.host, h.port) }

// here reports whether the hop is certainly on this machine.
func (h hop) here() bool { return h.host == "localhost" || h.ip.IsLoopback() }

// validPin reports whether s is sha256/ and the Base64 of 32 bytes.
func validPin(s string) bool {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "sha256/"))
	return err == nil && len(b) == 32 && strings.HasPrefix(s, "sha256/")
}
