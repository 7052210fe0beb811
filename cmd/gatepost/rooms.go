package main

import (
	"context"

	"gatepost/gateway/admin"
	"gatepost/gateway/people"
)

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
