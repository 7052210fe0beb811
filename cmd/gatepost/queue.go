package main

import (
	"context"
	"errors"
	"fmt"

	"gatepost/gateway/admin"
	"gatepost/gateway/forward"
)

// A queue is the hold queue as the review pages see it.
type queue struct{ d *depot }

// Held implements admin.Holds.
func (q queue) Held(_ context.Context, limit int) (list []admin.HeldMail, all int, err error) {
	ids := q.d.IDs()
	for _, id := range ids[:min(limit, len(ids))] {
		h, _, c, err := q.d.Show(id)
		if errors.Is(err, forward.ErrNotHeld) {
			continue // delivered meanwhile
		}
		if err != nil {
			return nil, 0, fmt.Errorf("show held mail: %w", err)
		}
		if err := c.Close(); err != nil {
			return nil, 0, err
		}
		l := lineOf(h)
		list = append(list, admin.HeldMail{ID: l.ID, MailFrom: l.MailFrom, Rcpts: l.Rcpts, Size: l.Size, Since: l.Since, Until: l.Until, Next: l.Next, Attempts: l.Attempts, Last: l.Last})
	}
	return list, len(ids), nil
}

// Retry implements admin.Holds.
func (q queue) Retry(_ context.Context, ids []string, _ string) error {
	return notHeld(q.d.Retry(ids...))
}

// Cancel implements admin.Holds.
func (q queue) Cancel(_ context.Context, id, by string) error { return notHeld(q.d.cancel(id, by)) }

// notHeld says in the pages' words that there is nothing to act on.
func notHeld(err error) error {
	if errors.Is(err, forward.ErrNotHeld) || errors.Is(err, forward.ErrHoldBusy) {
		return fmt.Errorf("%w: %w", admin.ErrNoMail, err)
	}
	return err
}
