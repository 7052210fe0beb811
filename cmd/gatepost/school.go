package main

import (
	"context"
	"errors"
	"fmt"

	"gatepost/filters/bayes"
	"gatepost/filters/mail"
	"gatepost/gateway/admin"
	"gatepost/gateway/learn"
)

// A school is where reviewers teach.
type school struct{ book *learn.Book }

// dailyLessons bounds what one reviewer, or who stole a reviewer's session, can do to the model in a day.
const dailyLessons = 200

// Teach implements admin.Teacher.
func (s school) Teach(ctx context.Context, spam bool, src mail.Source, by string) error {
	kind := bayes.Ham
	if spam {
		kind = bayes.Spam
	}
	_, err := s.book.Teach(ctx, learn.Lesson{Content: src, Kind: kind, By: by, Daily: dailyLessons})
	switch {
	case errors.Is(err, learn.ErrTooMany):
		return fmt.Errorf("%w: %w", admin.ErrTaughtEnough, err)
	case errors.Is(err, learn.ErrNothing):
		return fmt.Errorf("%w: %w", admin.ErrNothingToLearn, err)
	}
	return err
}
