package webhook

import (
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/policy"
)

// An Event is the kind of thing that happened.
type Event string

// The events.
const (
	Held     Event = "message.held"
	Released Event = "message.released"
	Deleted  Event = "message.deleted"
	Health   Event = "health.changed"
	Applied  Event = "policy.applied"
	Refused  Event = "policy.refused"
	Burst    Event = "login.burst"
	Test     Event = "webhook.test" // somebody asked for it on the health page
)

// Events lists what can be asked for.
func Events() []Event {
	return []Event{Held, Released, Deleted, Health, Applied, Refused, Burst}
}

// Example is a value of the type that the data of an event has, for descriptions.
func Example(e Event) any {
	switch e {
	case Held, Released, Deleted:
		return Message{}
	case Health:
		return Condition{}
	case Applied, Refused:
		return PolicyChange{}
	case Burst:
		return LoginBurst{}
	case Test:
		return TestCall{}
	}
	return nil
}

// Version is that of the body. Fields may be added to a version; none changes its meaning or goes.
const Version = 1

// A Notice is the JSON body of one request.
type Notice struct {
	V       int       `json:"v"`
	ID      string    `json:"id"`  // the same at every try: a receiver that has seen it is done
	Seq     uint64    `json:"seq"` // counts up by one for each notice to this receiver since the gateway started; a gap was dropped
	Event   Event     `json:"event"`
	Time    time.Time `json:"time"`
	Gateway string    `json:"gateway"` // the hostname of gatepost.yaml
	Data    any       `json:"data"`
}

// A Message is the data of message.held, message.released and message.deleted. What names people is told only with
// details: true.
type Message struct {
	ID       string         `json:"id"`
	Class    policy.Class   `json:"class,omitempty"`
	Score    *policy.Points `json:"score,omitempty"`
	Decided  []string       `json:"decided,omitempty"` // finding codes and rules without which it would not be held
	Copies   int            `json:"copies"`            // recipients whose copies it is about
	By       string         `json:"by,omitempty"`      // who released or deleted
	MailFrom *string        `json:"mail_from,omitempty"`
	Author   string         `json:"from,omitempty"`
	Subject  string         `json:"subject,omitempty"`
	Rcpts    []string       `json:"recipients,omitempty"`
	Client   netip.Addr     `json:"client_ip,omitzero"`
}

// plain is m without what names people, but for the reviewer.
func (m Message) plain() Message {
	m.MailFrom, m.Author, m.Subject, m.Rcpts, m.Client = nil, "", "", nil, netip.Addr{}
	return m
}

// A Condition is the data of health.changed: one check, as the health page shows it.
type Condition struct {
	Name     string    `json:"name"`
	OK       bool      `json:"ok"`
	Severity string    `json:"severity"` // warning or critical
	Since    time.Time `json:"since,omitzero"`
	Effect   string    `json:"effect,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	Detail   string    `json:"detail,omitempty"` // the error itself
}

// A PolicyChange is the data of policy.applied and policy.refused.
type PolicyChange struct {
	Generation uint64 `json:"generation"`        // in force now
	Problem    string `json:"problem,omitempty"` // why nothing was changed
}

// A TestCall is the data of webhook.test.
type TestCall struct {
	By string `json:"by"` // who asked for it
}

// A LoginBurst is the data of login.burst.
type LoginBurst struct {
	Failures int        `json:"failures"`
	Seconds  int        `json:"seconds"`   // within which they came
	Client   netip.Addr `json:"client_ip"` // of the last
}

// Actions of journal records that events are made from.
const (
	actionRelease = "release"
	actionDelete  = "delete"
	actionReload  = "reload"
	actionLogin   = "login failed"
)

// eventOf is what a record tells of; "" for most.
func eventOf(r *journal.Record) (Event, any) {
	switch {
	case r.Kind == journal.Message, r.Kind == journal.Disposal && r.Action != actionRelease && r.Action != actionDelete:
		if n := fates(r, "quarantined"); len(n) > 0 {
			return Held, messageOf(r, n)
		}
	case r.Kind == journal.Disposal && r.Action == actionRelease:
		if n := fates(r, "released"); len(n) > 0 {
			return Released, messageOf(r, n)
		}
	case r.Kind == journal.Disposal:
		return Deleted, messageOf(r, fates(r, "deleted"))
	case r.Kind == journal.Management && r.Action == actionReload:
		if r.Note != "" {
			return Refused, PolicyChange{Generation: r.Generation, Problem: mail.Printable(strings.TrimPrefix(r.Note, "changed nothing: "), 500)}
		}
		return Applied, PolicyChange{Generation: r.Generation}
	}
	return "", nil
}

// fates are the recipients whose copies fared so.
func fates(r *journal.Record, fate string) []string {
	var out []string
	for _, f := range r.Fates {
		if f.Fate == fate {
			out = append(out, f.Rcpt)
		}
	}
	return out
}

// messageOf makes the data of a message; a stranger's words are printable and short.
func messageOf(r *journal.Record, rcpts []string) Message {
	from := mail.Printable(r.From, 320)
	m := Message{ID: r.ID, Copies: len(rcpts), By: r.Actor, MailFrom: &from, Author: mail.Printable(r.Author, 320),
		Subject: mail.Printable(r.Subject, 300), Rcpts: rcpts, Client: r.Client}
	if d := r.Decision; d != nil {
		score := d.Score
		m.Class, m.Score, m.Decided = d.Class, &score, d.Decided
	}
	return m
}

// body is the notice as one receiver gets it.
func body(n Notice, details bool) ([]byte, error) {
	if m, ok := n.Data.(Message); ok && !details {
		n.Data = m.plain()
	}
	return json.Marshal(n)
}

// A burst of failed logins is burstSize of them within burstTime; it is told once in that time.
const (
	burstSize = 10
	burstTime = 5 * time.Minute
)

// A guard counts failed logins.
type guard struct {
	mu    sync.Mutex
	times [burstSize]time.Time // a ring
	at    int
	told  time.Time
}

// failed counts one, and returns the burst that it completes.
func (g *guard) failed(now time.Time, client netip.Addr) (LoginBurst, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.times[g.at] = now
	g.at = (g.at + 1) % burstSize
	oldest := g.times[g.at]
	if oldest.IsZero() || now.Sub(oldest) > burstTime || !g.told.IsZero() && now.Sub(g.told) < burstTime {
		return LoginBurst{}, false
	}
	g.told = now
	return LoginBurst{Failures: burstSize, Seconds: int(now.Sub(oldest) / time.Second), Client: client}, true
}
