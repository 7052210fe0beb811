package gateway

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"gatepost/filters/mail"
	"gatepost/policy"
)

// unreadable is a message that the disk does not give back.
type unreadable struct{}

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }
func (unreadable) Size() int64                       { return 1000 }

// judged is a job whose message was accepted by the policy.
func judged(t *testing.T, m *mail.Message) *job {
	t.Helper()
	env := &mail.Envelope{ID: "x", From: address(t, "a@client.example"), Rcpts: []mail.Address{address(t, "b@example.com")}}
	return &job{
		g: &Gateway{Deps: Deps{Log: slog.New(slog.DiscardHandler)}}, snap: &Snapshot{Limits: Limits{Received: 50}}, env: env,
		in: &Inspection{Message: m, Decision: policy.Decision{Action: policy.Accept, Recipients: []policy.Verdict{{Address: "b@example.com", Action: policy.Accept}}}},
	}
}

func TestWhatCannotBeReadBackIsNotAccepted(t *testing.T) { // P-08, P-09
	j := judged(t, mail.Parse(unreadable{}))
	if r := j.carry(t.Context()); r.Code != 451 || r.Enhanced != "4.3.0" || len(j.fates) != 1 || j.fates[0].Fate != "deferred" {
		t.Error(r, j.fates)
	}
}

func TestAVerdictThatComesTooLateTakesNothing(t *testing.T) { // HOSTILE 3.2
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	j := judged(t, mail.Parse(source("Subject: x\r\n\r\ny\r\n")))
	if r := j.carry(ctx); r.Code != 451 || r.Enhanced != "4.4.5" || len(j.fates) != 1 {
		t.Error(r, j.fates)
	}
}

// source is a message in memory.
type source string

func (s source) ReadAt(p []byte, at int64) (int, error) { return copy(p, s[at:]), nil }
func (s source) Size() int64                            { return int64(len(s)) }
