package main

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/gateway/smtp"
)

// A carrier is the way to the next hops as it is now: a reload replaces what is behind it. It is a gateway.Carrier.
type carrier struct {
	now atomic.Pointer[ways]
}

// ways are a forwarder and what it was made for.
type ways struct {
	*forward.Forwarder
	domains []forward.Domain
}

// warmTime is how long the start waits for next hops to say what they can take.
const warmTime = 2 * time.Second

// Send implements forward.Sender.
func (c *carrier) Send(ctx context.Context, d forward.Delivery) []forward.Outcome {
	return c.now.Load().Send(ctx, d)
}

// Offer implements gateway.Carrier.
func (c *carrier) Offer() (smtp.Capabilities, bool) { return c.now.Load().Offer() }

// Verify implements gateway.Carrier.
func (c *carrier) Verify(ctx context.Context, rcpt mail.Address) (forward.Standing, *smtp.Reply) {
	return c.now.Load().Verify(ctx, rcpt)
}

// set makes f the way from now on. What the one before had begun it finishes.
func (c *carrier) set(f *forward.Forwarder, domains []forward.Domain) {
	old := c.now.Load()
	if old != nil {
		f.Succeed(old.Forwarder)
	}
	c.now.Store(&ways{f, domains})
	if old != nil {
		old.Close()
	}
}

// leads reports whether the ways are already those of domains.
func (c *carrier) leads(domains []forward.Domain) bool {
	w := c.now.Load()
	return w != nil && reflect.DeepEqual(w.domains, domains)
}

// hops are the states of the next hops.
func (c *carrier) hops() []forward.HopState {
	if w := c.now.Load(); w != nil {
		return w.Hops()
	}
	return nil
}

// domainsOf are the domains whose mail goes to the next hop at address.
func (c *carrier) domainsOf(address string) []string {
	w := c.now.Load()
	if w == nil {
		return nil
	}
	var names []string
	for _, d := range w.domains {
		for _, a := range d.Downstream {
			if a == address {
				names = append(names, d.Name)
				break
			}
		}
	}
	return names
}

// close ends the ways.
func (c *carrier) close() {
	if w := c.now.Load(); w != nil {
		w.Close()
	}
}
