package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/admin"
	"gatepost/gateway/journal"
	"gatepost/gateway/state"
)

// senders is what the review pages see of those who wait, and of those who send in clear text.
type senders struct{ w *works }

// Waiting implements admin.Waiters.
func (s senders) Waiting(ctx context.Context, limit int) ([]admin.Waiter, error) {
	list, err := s.w.waiting.Visits(ctx)
	if err != nil {
		return nil, err
	}
	delay := s.w.gate.Config().Greylist.Delay
	out := []admin.Waiter{}
	for _, v := range slices.Backward(list) { // the newest come first, and the pages want the oldest
		if v.Passed {
			continue
		}
		if len(out) == limit {
			break
		}
		out = append(out, admin.Waiter{Key: v.ID, Client: v.Who, Sender: v.From, Rcpt: v.Rcpt, First: v.First, Ready: v.First.Add(delay), Attempts: v.Tries})
	}
	return out, nil
}

// LetThrough implements admin.Waiters.
func (s senders) LetThrough(ctx context.Context, key string) error {
	_, err := s.w.waiting.Pass(ctx, key, s.w.gate.Config().Greylist.Life)
	if errors.Is(err, state.ErrNoVisit) {
		return admin.ErrNoWaiter
	}
	return err
}

// Readiness implements admin.TLSReadiness.
func (s senders) Readiness(ctx context.Context, since time.Time) ([]admin.TLSSender, error) {
	report := gateway.NewTLSReport(&s.w.gateway.Snapshot().TLS)
	err := s.w.reader.Scan(ctx, since, time.Time{}, func(r *journal.Record) error {
		report.Add(r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sum := report.Summary(since)
	out := make([]admin.TLSSender, len(sum.CutOff))
	for i, r := range sum.CutOff {
		out[i] = admin.TLSSender{Domain: r.Domain, TLS: r.TLS, Clear: r.Messages, Wanted: r.Wanted, Last: r.Last, Error: r.Error}
	}
	return out, nil
}
