package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/admin"
	"gatepost/gateway/forward"
)

// digests prepares the digests and sets them going; nil if none are wanted.
func (s *service) digests(accounts *admin.Accounts) (*admin.Digests, error) {
	c := s.cfg.Quarantine.Digest
	if len(c.Times) == 0 {
		return nil, nil
	}
	base := strings.TrimSuffix(s.cfg.Admin.BaseURL, "/")
	if base == "" {
		base = "http://" + s.cfg.Admin.Address
	}
	g, err := admin.NewDigests(c, admin.DigestDeps{
		Quarantine: s.quarantine, Own: func(addresses ...string) admin.Quarantine { return s.quarantine.For(addresses...) }, Accounts: accounts,
		Courier: courier{s.carrier}, BaseURL: base, Hostname: s.cfg.Hostname, Log: s.log, Now: time.Now,
	})
	if err == nil {
		s.running.Go(func() { g.Run(s.background) })
	}
	return g, err
}

// A courier takes mail of our own to people's mail servers, past the filters: it is ours.
type courier struct{ sender forward.Sender }

// Send implements admin.Courier. The reverse-path is null, so that nobody answers a machine.
func (c courier) Send(ctx context.Context, to string, message []byte) error {
	rcpt, err := mail.ParseAddress(to)
	if err != nil {
		return fmt.Errorf("read address: %w", err)
	}
	env := &mail.Envelope{ID: mail.NewID(time.Now()), Time: time.Now(), Rcpts: []mail.Address{rcpt}, ESMTP: true}
	out := c.sender.Send(ctx, forward.Delivery{Envelope: env, Rcpts: env.Rcpts, Source: mail.Memory(message)})
	if len(out) != 1 || out[0].Reply == nil || !out[0].Reply.Positive() {
		return fmt.Errorf("the next hop did not take it: %v", out)
	}
	return nil
}
