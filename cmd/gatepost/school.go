package main

import (
	"context"
	"errors"
	"fmt"

	"gatepost/filters/bayes"
	"gatepost/gateway/admin"
	"gatepost/gateway/learn"
)

// A school is where reviewers teach: what mail is like, and who sends it.
type school struct {
	book  *learn.Book
	trail *trail
}

// dailyLessons bounds what one reviewer, or who stole a reviewer's session, can do to the model in a day.
const dailyLessons = 200

// Teach implements admin.Teacher.
func (s school) Teach(ctx context.Context, l admin.Lesson) error {
	kind := bayes.Ham
	if l.Spam {
		kind = bayes.Spam
	}
	taught, err := s.book.Teach(ctx, learn.Lesson{Content: l.Content, Kind: kind, By: l.By, Daily: dailyLessons})
	if taught {
		s.trail.judged(l.ID, !l.Spam)
	}
	switch {
	case errors.Is(err, learn.ErrTooMany):
		return fmt.Errorf("%w: %w", admin.ErrTaughtEnough, err)
	case errors.Is(err, learn.ErrNothing):
		return fmt.Errorf("%w: %w", admin.ErrNothingToLearn, err)
	}
	return err
}
