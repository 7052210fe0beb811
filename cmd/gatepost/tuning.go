package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway"
	"gatepost/gateway/access"
	"gatepost/gateway/certs"
	"gatepost/gateway/config"
	"gatepost/gateway/smtp"
	"gatepost/rules/conf"
)

func dur(d time.Duration) conf.Duration { return conf.Duration(d) }

// crowd is what the gate counts by.
func crowd(c *config.Config) access.Config {
	return access.Config{
		Limits: c.Limits.ClientLimits, Connections: affordable(c.Limits.SessionLimits, openable()).Connections,
		Greet: c.Timeouts.Greet, StressGreet: c.Timeouts.StressGreet, Greylist: c.Greylist, Trusted: c.TrustedNetworks,
	}
}

// messageLimits are those of the path of a message.
func messageLimits(c *config.Config) gateway.Limits {
	l := &c.Limits
	return gateway.Limits{
		MessageBytes: int64(l.MessageBytes), Recipients: l.SessionLimits.Recipients, Received: l.Received, Verdicts: l.Verdicts, Queue: l.Queue,
	}
}

// smtpConfig is the server's.
func (w *works) smtpConfig() smtp.Config {
	return smtp.Config{
		Hostname: w.cfg.Hostname, Limits: affordable(w.cfg.Limits.SessionLimits, openable()), Timeouts: w.cfg.Timeouts.Timeouts,
		Reserved: w.gate.Trusts, Stress: w.gate.Stress, Served: w.gate.Served, Go: filters.NewCrew().Go,
		GreetDelay:      func(p smtp.Peer) time.Duration { return w.gate.Greet(context.Background(), p.Remote) },
		AllowTLS:        func(p smtp.Peer) *smtp.Reply { return w.gate.TLS(context.Background(), p.Remote) },
		NormalizeBareLF: w.cfg.NormalizeBareLF,
		Panicked: func(v any, stack []byte) {
			w.log.Error("session crashed", "panic", fmt.Sprint(v), "stack", string(stack))
		},
	}
}

// listenerOptions are one listener's. What it asks as to TLS may change at a reload; whether it has TLS at all may not.
func (w *works) listenerOptions(l config.Listener) smtp.ListenerOptions {
	o := smtp.ListenerOptions{Name: l.Address, ProxyProtocol: l.ProxyProtocol, Certificates: newFace(w.certs, &w.leastTLS).config}
	switch l.TLS {
	case "off":
		o.TLS = smtp.TLSOff
	case "implicit":
		o.TLS = smtp.TLSImplicit
	default:
		o.TLS = smtp.TLSRequired
		o.PlainAllowed = func(peer netip.Addr, from, rcpt mail.Address) bool {
			return w.gateway.Snapshot().TLS.PlainAllowed(l.Address, peer, from, rcpt)
		}
	}
	return o
}

// A face is what one listener shows in a handshake: a configuration of its own, and with it ticket keys of its own, made
// once, and again when the oldest version that is spoken has changed.
type face struct {
	store *certs.Store
	least *atomic.Uint32 // version

	mu   sync.Mutex
	made uint16
	cfg  *tls.Config
}

func newFace(store *certs.Store, least *atomic.Uint32) *face {
	return &face{store: store, least: least}
}

// config is the configuration for the next handshake.
func (f *face) config() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if least := uint16(f.least.Load()); f.cfg == nil || least != f.made {
		f.cfg, f.made = f.store.Config(least), least
	}
	return f.cfg
}

// tlsPolicy is what a configuration asks of clients as to TLS.
func tlsPolicy(c *config.Config) gateway.TLSPolicy {
	p := gateway.TLSPolicy{Listeners: map[string]gateway.ListenerTLS{}, Exempt: setOf(c.TLS.Exempt)}
	for _, l := range c.Listeners {
		stage, _ := gateway.StageOf(l.TLS) // off, offered and implicit ask nothing more
		e := l.TLSExempt
		p.Listeners[l.Address] = gateway.ListenerTLS{Stage: stage, Networks: e.Networks, Senders: setOf(e.SenderDomains), Recipients: setOf(e.Recipients)}
	}
	for _, d := range c.TLS.Enforce {
		stage, _ := gateway.StageOf(d.Stage)
		p.Rules = append(p.Rules, gateway.TLSRule{
			Stage: stage, Least: d.Oldest(), Networks: d.Networks, Senders: setOf(d.Senders), Recipients: setOf(d.Recipients),
		})
	}
	return p
}

// setOf is a list as a set; nil for none.
func setOf(list []string) map[string]bool {
	if len(list) == 0 {
		return nil
	}
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}
