package main

import (
	"context"
	"fmt"
	"time"

	"gatepost/gateway/admin"
	"gatepost/gateway/webhook"
)

const (
	hookEffect = "None on mail. What happens is not told to it, and is dropped when it waits too long."
	hookHint   = "Look at the receiver, the way to it, and networks if it is one of your own."
)

// healthEvery is how often health is looked at to tell what changed.
const healthEvery = 10 * time.Second

// tellHealth tells webhooks what goes wrong and becomes well, until ctx ends.
func (s *service) tellHealth(ctx context.Context) {
	t := time.NewTicker(healthEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if len(s.hooks.Status()) == 0 {
			continue
		}
		var now []webhook.Condition
		for _, c := range s.health() {
			now = append(now, webhook.Condition{Name: c.Name, OK: c.OK, Severity: string(c.Severity), Since: c.Since, Effect: c.Effect, Hint: c.Hint, Detail: c.Detail})
		}
		s.hooks.Look(now)
	}
}

// hookGauges are what was told to each webhook.
func (s *service) hookGauges() []admin.Gauge {
	var all []admin.Gauge
	list := s.hooks.Status()
	for _, g := range []struct {
		name, help string
		counter    bool
		value      func(webhook.Status) float64
	}{
		{"gatepost_webhook_delivered_total", "Events that the webhook took.", true, func(h webhook.Status) float64 { return float64(h.Delivered) }},
		{"gatepost_webhook_failed_total", "Events that the webhook refused, or did not take in time.", true, func(h webhook.Status) float64 { return float64(h.Failed) }},
		{"gatepost_webhook_dropped_total", "Events that were dropped because too many waited for the webhook.", true, func(h webhook.Status) float64 { return float64(h.Dropped) }},
		{"gatepost_webhook_waiting", "Events that wait for the webhook.", false, func(h webhook.Status) float64 { return float64(h.Waiting) }},
	} {
		for _, h := range list {
			all = append(all, admin.Gauge{Name: g.name, Help: g.help, Value: g.value(h), Label: "webhook", Of: h.Name, Counter: g.counter})
		}
	}
	return all
}

// hookHealth connects to every webhook, and sends nothing.
func (s *site) hookHealth(ctx context.Context) []diagnosis {
	var list []diagnosis
	for _, c := range s.cfg.Webhooks {
		d := diagnosis{Name: "webhook " + c.Title(), State: isWell, Detail: fmt.Sprintf("can be reached; %s", told(c))}
		probe, cancel := context.WithTimeout(ctx, 10*time.Second)
		if err := webhook.Probe(probe, c, s.resolver); err != nil {
			d = diagnosis{d.Name, isWarning, err.Error(), hookEffect, hookHint}
		}
		cancel()
		list = append(list, d)
	}
	return list
}

// told says what a webhook is told.
func told(c webhook.Config) string {
	if len(c.Events) == 0 {
		return "is told of every event"
	}
	return fmt.Sprintf("is told of %d kinds of event", len(c.Events))
}
