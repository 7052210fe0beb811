package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/dsn"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/policy"
)

// How many senders are told in an hour (HOSTILE 5.4), over restarts too.
const (
	noticesPerAddress = 5
	noticesPerDomain  = 50
	noticesInAll      = 200
)

// noticeAction names in the journal that a sender was told, or that telling failed.
const noticeAction = "notify sender"

// Notices tells senders that their mail was refused for good after it had been accepted: only those who are who they say, of
// mail with nothing wrong, which no program wrote, and few in an hour. It is a forward.Teller.
//
// Such a notice leaves by the next hop of the domain that refused, which must relay for this gateway as it does for the
// site's own people: it is mail of that site, and goes to the world, signed, by the way that all its mail goes. Where that
// server does not relay for us the notice is refused, and that is the end of it.
type Notices struct {
	Hostname string
	Journal  Recorder
	// Recent gives what was recorded since a time.
	Recent func(ctx context.Context, since time.Time, fn func(*journal.Record) error) error
	Now    func() time.Time
	Failed func(h forward.Held, err error) // is told why a sender is not

	mu   sync.Mutex
	told []telling // within the hour, oldest first
	read bool      // told holds what earlier processes did
}

// A telling is one sender who was told.
type telling struct {
	at      time.Time
	address string // canonical
	domain  string
}

// vouched reports whether the sender of a message is authenticated, and nothing is wrong with the message: SPF passes for the
// reverse-path's domain, or a DKIM signature of that domain or one above it does.
func vouched(env *mail.Envelope, rep *filters.Report, dec *policy.Decision) bool {
	if env.From.IsNull() || env.SMTPUTF8 || env.From.NonASCII() || rep.Auth == nil || dec.Action != policy.Accept || dec.Class != policy.Clean {
		return false
	}
	domain := env.From.Domain()
	if s := rep.Auth.SPF; s.Result == "pass" && !s.Weak && strings.EqualFold(s.Domain, domain) {
		return true
	}
	return slices.ContainsFunc(rep.Auth.DKIM, func(d filters.DKIM) bool {
		signer := strings.ToLower(d.Domain)
		return d.Result == "pass" && !d.Weak && strings.Contains(signer, ".") && (domain == signer || strings.HasSuffix(domain, "."+signer))
	})
}

// May implements forward.Teller.
func (n *Notices) May(h forward.Held, src mail.Source, _ []forward.Outcome) bool {
	if !h.Vouched || h.Envelope.From.IsNull() || !written(mail.Parse(src)) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.Now()
	if !n.read { // what cannot be looked up is not taken for nothing
		if err := n.remember(now); err != nil {
			n.Failed(h, fmt.Errorf("count notices: %w", err))
			return false
		}
	}
	t := telling{now, h.Envelope.From.Canonical(), h.Envelope.From.Domain()}
	n.told = slices.DeleteFunc(n.told, func(o telling) bool { return now.Sub(o.at) >= time.Hour })
	address, domain := 0, 0
	for _, o := range n.told {
		if o.address == t.address {
			address++
		}
		if o.domain == t.domain {
			domain++
		}
	}
	if address >= noticesPerAddress || domain >= noticesPerDomain || len(n.told) >= noticesInAll {
		n.Failed(h, errors.New("too many notices within the hour"))
		return false
	}
	n.told = append(n.told, t)
	return true
}

// remember reads whom an earlier process told; n.mu is held.
func (n *Notices) remember(now time.Time) error {
	err := n.Recent(context.Background(), now.Add(-time.Hour), func(rec *journal.Record) error {
		if rec.Action != noticeAction {
			return nil
		}
		if a, err := mail.ParseAddress(rec.From); err == nil {
			n.told = append(n.told, telling{rec.Time, a.Canonical(), a.Domain()})
		}
		return nil
	})
	n.read = err == nil
	return err
}

// written reports whether a person may have written a message: it can be read, and says of itself neither that a program
// sent it, nor that it went to many, nor that it is a report itself (RFC 3834 section 2).
func written(m *mail.Message) bool {
	if m.Err() != nil {
		return false
	}
	for _, f := range m.Header {
		name, value := strings.ToLower(f.Name), strings.ToLower(strings.TrimSpace(f.Value))
		word := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ';' || r == '(' || r == '\t' || r == '\r' || r == '\n' })
		first := ""
		if len(word) > 0 {
			first = word[0]
		}
		switch {
		case name == "auto-submitted" && first != "no",
			name == "precedence" && (first == "bulk" || first == "list" || first == "junk"),
			strings.HasPrefix(name, "list-"),
			name == "x-auto-response-suppress" && (strings.Contains(value, "ndr") || strings.Contains(value, "all")),
			name == "content-type" && first == "multipart/report":
			return false
		}
	}
	return true
}

// Notice implements forward.Teller.
func (n *Notices) Notice(h forward.Held, src mail.Source, why []forward.Outcome) (forward.Delivery, error) {
	m := mail.Parse(src)
	notice := dsn.Notice{
		ID: h.ID + "-notice", Host: n.Hostname, To: h.Envelope.From.String(), Now: n.Now(), Arrived: h.Since,
		Header: m.Bytes(m.HeaderSpan()), About: strings.TrimSpace(m.Get("Message-ID")),
	}
	for _, o := range why {
		notice.Failed = append(notice.Failed, dsn.Failure{Address: o.Rcpt.String(), Status: o.Reply.Enhanced, Said: o.Reply.Error()})
	}
	text, err := notice.Write()
	if err != nil {
		return forward.Delivery{}, err
	}
	from := h.Envelope.From
	return forward.Delivery{
		Envelope: &mail.Envelope{ID: notice.ID, Time: notice.Now, Rcpts: []mail.Address{from}}, // from <>: nobody answers it
		Rcpts:    []mail.Address{from}, Source: mail.Memory(text), Via: why[0].Rcpt.Domain(),
	}, nil
}

// Told implements forward.Teller.
func (n *Notices) Told(h forward.Held, last forward.Outcome) {
	rec := &journal.Record{
		V: journal.Version, Kind: journal.Disposal, ID: h.Envelope.ID, Time: n.Now(), Actor: journal.Itself, Action: noticeAction,
		From: h.Envelope.From.String(), Note: "the sender was told: " + last.Reply.Error(),
	}
	if !last.Reply.Positive() {
		rec.Note = "the sender could not be told: " + last.Reply.Error()
		n.Failed(h, errors.New(rec.Note))
	}
	if err := record(n.Journal, rec); err != nil {
		n.Failed(h, fmt.Errorf("record notice: %w", err))
	}
}
