package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/admin"
	"gatepost/gateway/journal"
	"gatepost/gateway/people"
	"gatepost/gateway/state"
)

// A porch is the senders who were asked to come again, as the review pages see them.
type porch struct{ w *works }

// Waiting implements admin.Waiters.
func (p porch) Waiting(ctx context.Context, limit int) ([]admin.Waiter, error) {
	visits, err := p.w.waiting.Visits(ctx)
	if err != nil {
		return nil, fmt.Errorf("list waiting senders: %w", err)
	}
	delay := p.w.gate.Config().Greylist.Delay
	var out []admin.Waiter
	for _, v := range slices.Backward(visits) { // the newest come first, and the pages want the oldest
		if !v.Passed && len(out) < limit {
			out = append(out, admin.Waiter{Key: v.ID, Client: v.Who, Sender: v.From, Rcpt: v.Rcpt, First: v.First, Ready: v.First.Add(delay), Attempts: v.Tries})
		}
	}
	return out, nil
}

// LetThrough implements admin.Waiters.
func (p porch) LetThrough(ctx context.Context, key string) error {
	_, err := p.w.waiting.Pass(ctx, key, p.w.gate.Config().Greylist.Life)
	if errors.Is(err, state.ErrNoVisit) {
		return fmt.Errorf("%w: %w", admin.ErrNoWaiter, err)
	}
	return err
}

// A census is who sends without TLS, counted from the journal.
type census struct{ w *works }

// censusTime is how long a page may count.
const censusTime = 20 * time.Second

// Readiness implements admin.TLSReadiness.
func (c census) Readiness(ctx context.Context, since time.Time) (admin.TLSReport, error) {
	ctx, cancel := context.WithTimeout(ctx, censusTime)
	defer cancel()
	report := gateway.NewTLSReport(&c.w.gateway.Snapshot().TLS)
	err := c.w.reader.Scan(ctx, since, time.Time{}, func(r *journal.Record) error {
		report.Add(r)
		return nil
	})
	if err != nil {
		return admin.TLSReport{}, fmt.Errorf("count senders: %w", err)
	}
	s := report.Summary(since)
	out := admin.TLSReport{Messages: s.Messages, Clear: s.Plain}
	for _, r := range s.CutOff {
		out.Senders = append(out.Senders, admin.TLSSender{Domain: senderName(r), Clear: r.Messages, Wanted: r.Wanted, Stage: r.Stage, Last: r.Last, Error: r.Error})
	}
	return out, nil
}

// A memory is who was learnt from mail, as the review pages see it.
type memory struct{ store *people.Store }

// Known implements admin.Acquaintances.
func (m memory) Known(ctx context.Context, kind, text string, limit int) ([]admin.Acquaintance, error) {
	list, err := m.store.List(ctx, people.Query{Kind: people.Kind(kind), Word: text, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]admin.Acquaintance, len(list))
	for i, e := range list {
		out[i] = admin.Acquaintance{Address: e.Who, Name: e.Name, Messages: e.Messages, First: e.First, Last: e.Last, Proved: e.Proven > 0 && e.Kind != people.Ours}
	}
	return out, nil
}

// Forget implements admin.Acquaintances.
func (m memory) Forget(ctx context.Context, who string) error {
	n, err := m.store.Forget(ctx, who)
	if err == nil && n == 0 {
		return admin.ErrNoneSuch
	}
	return err
}
