package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gatepost/rules/conf"
)

// MTASTS is the policy by which senders that verify know that mail for us must be encrypted (RFC 8461).
type MTASTS struct {
	Mode   string        `yaml:"mode" enum:"off|testing|enforce|none" default:"off" doc:"off serves nothing; testing asks senders to report failures (TLS-RPT), enforce to send only to a verified MX, none to forget what they were told before."`
	MX     []string      `yaml:"mx" default:"[]" doc:"The MX hosts that senders may use, such as mx.example.com or *.example.com. Default: the gateway's hostname."`
	MaxAge time.Duration `yaml:"max_age" default:"7d" min:"1d" max:"365d" doc:"How long senders may go by it without asking again."`
}

// CheckConf looks for hosts that no sender would take.
func (m *MTASTS) CheckConf(n conf.Node) []conf.Problem {
	for _, h := range m.MX {
		if name := strings.TrimPrefix(h, "*."); !strings.Contains(name, ".") || strings.ContainsAny(name, "*: \t\r\n/") {
			return []conf.Problem{n.Key("mx").Problemf("%q is no host name, nor *. and a domain", h)}
		}
	}
	return nil
}

// Policy is the text of the policy, "" if there is none (RFC 8461 section 3.2).
func (m *MTASTS) Policy() string {
	if m.Mode == "" || m.Mode == "off" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", m.Mode)
	for _, h := range m.MX {
		fmt.Fprintf(&b, "mx: %s\r\n", h)
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", int64(m.MaxAge.Seconds()))
	return b.String()
}

// ID is what the TXT record at _mta-sts says of a policy: it changes whenever the policy does (RFC 8461 section 3.1).
func (m *MTASTS) ID() string {
	sum := sha256.Sum256([]byte(m.Policy()))
	return hex.EncodeToString(sum[:10])
}

// mtaSTS serves the policy; it is the same under every name by which a proxy sends senders here.
func mtaSTS(d *desk, v *visit) error {
	policy := d.cfg.MTASTS.Policy()
	if policy == "" {
		return errNotFound
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.WriteHeader(http.StatusOK)
	_, err := io.WriteString(v.w, policy)
	return err
}
