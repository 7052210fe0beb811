package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"gatepost/filters/catalog"
	"gatepost/filters/mail"
	"gatepost/gateway/admin"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
)

// pages builds what the admin address serves.
func (s *service) pages(ctx context.Context) (http.Handler, error) {
	c := s.cfg.Admin
	accounts, err := s.accounts(ctx)
	if err != nil {
		return nil, err
	}
	password, err := accounts.Setup(ctx)
	if err != nil {
		return nil, err
	}
	if password != "" {
		s.setup = password
		s.log.Warn("the review pages have no account yet: log in once as admin with this password and choose another", "password", password)
	}
	if err := s.prime(ctx); err != nil {
		s.log.Warn("the overview begins empty", "error", err.Error())
	}
	shop := newWorkshop(s)
	digests, err := s.digests(accounts)
	if err != nil {
		return nil, err
	}
	return admin.New(c, admin.Deps{
		Quarantine: s.quarantine, Own: func(addresses ...string) admin.Quarantine { return s.quarantine.For(addresses...) }, Releaser: desk{s.works}, Deleter: desk{s.works}, Journal: shelves{s.works}, Accounts: accounts,
		Rescanner: shop, Policies: shop, Changer: shop, Entries: shop, Testwright: shop, Holds: queue{s.depot}, Teacher: school{s.book, s.trail}, Digests: digests, Waiters: senders{s.works}, TLS: senders{s.works}, Known: memory{s.contacts}, Hooks: s.hooks,
		Codes: catalog.CodesOf(s.cfg.Filters, s.rules), Meter: s.meter, Bodies: reading{}, Health: s.health, Gauges: s.gauges, Log: s.log, Now: time.Now,
	})
}

// accounts are the people of the review pages.
func (w *works) accounts(ctx context.Context) (*admin.Accounts, error) {
	shelf, err := admin.NewSQLShelf(ctx, w.db)
	if err != nil {
		return nil, err
	}
	return admin.NewAccounts(shelf), nil
}

// prime fills the overview, which is of this gateway alone, with the last day.
func (w *works) prime(ctx context.Context) error {
	return w.journal.Scan(ctx, time.Now().Add(-24*time.Hour), time.Time{}, func(r *journal.Record) error {
		w.meter.Prime(r)
		return nil
	})
}

// A desk does what a reviewer asks for.
type desk struct{ w *works }

// Release implements admin.Releaser.
func (d desk) Release(ctx context.Context, id string, rcpts []string, actor string) ([]admin.ReleaseOutcome, error) {
	results, err := d.w.releaser().Release(ctx, id, quarantine.Release{Key: ownClaim + mail.NewID(time.Now()), By: actor, Rcpts: rcpts})
	out := make([]admin.ReleaseOutcome, len(results))
	wanted := false
	for i, r := range results {
		wanted = wanted || r.OK
		out[i] = admin.ReleaseOutcome{Rcpt: r.Rcpt, OK: r.OK, Reply: r.Reply}
	}
	if wanted {
		d.w.trail.judged(id, true)
	}
	return out, underWay(err)
}

// Delete implements admin.Deleter.
func (d desk) Delete(ctx context.Context, id string, rcpts []string, actor string) error {
	_, err := d.w.remove(ctx, id, rcpts, actor)
	return underWay(err)
}

// underWay says in the pages' words that somebody else was first.
func underWay(err error) error {
	if errors.Is(err, quarantine.ErrUnderWay) {
		return fmt.Errorf("%w: %w", admin.ErrUnderWay, err)
	}
	return err
}

// shelves are the journal as the pages read it.
type shelves struct{ w *works }

// Trace implements admin.Journal.
func (s shelves) Trace(ctx context.Context, query string, limit int) ([]journal.Record, error) {
	list, err := s.w.reader.Trace(ctx, journal.Query{Word: query, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]journal.Record, 0, len(list))
	for _, r := range slices.Backward(list) {
		out = append(out, *r)
	}
	return out, nil
}

// recentDays is how far back Recent looks.
const recentDays = 14 * 24 * time.Hour

// Recent implements admin.Journal.
func (s shelves) Recent(ctx context.Context, kind journal.Kind, before time.Time, limit int) ([]journal.Record, error) {
	if before.IsZero() {
		before = time.Now()
	}
	var ring []journal.Record
	err := s.w.reader.ScanKind(ctx, kind, before.Add(-recentDays), before, func(r *journal.Record) error {
		if len(ring) >= 2*limit { // the newest are at the end: keep them, in amortised constant time
			ring = append(ring[:0], ring[len(ring)-limit:]...)
		}
		ring = append(ring, *r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	ring = ring[max(0, len(ring)-limit):]
	slices.Reverse(ring)
	return ring, nil
}

// Append implements admin.Journal.
func (s shelves) Append(_ context.Context, r *journal.Record) error {
	return s.w.recorder().Append(r)
}

// reading makes safe text of messages.
type reading struct{}

// Body implements admin.Bodies.
func (reading) Body(src mail.Source, limit int) (admin.Body, error) {
	m := mail.Parse(src)
	if err := m.Err(); err != nil {
		return admin.Body{}, fmt.Errorf("read message: %w", err)
	}
	text := m.Text()
	b := admin.Body{Text: text[:min(len(text), limit)], TextCut: len(text) > limit}
	for p := range m.Parts() {
		if p.Type == "text/html" && !p.Attachment() {
			html := p.View().Source
			b.HTML, b.HTMLCut = html[:min(len(html), limit)], len(html) > limit
			break
		}
	}
	return b, nil
}

// health answers "can the gateway do its work?".
func (s *service) health() []admin.Check {
	var checks []admin.Check
	add := func(name string, err error, severity admin.Severity, since time.Time, effect, hint string) {
		c := admin.Check{Name: name, OK: err == nil, Severity: severity}
		if err != nil {
			c.Since, c.Effect, c.Hint, c.Detail = since, effect, hint, mail.Printable(err.Error(), 200)
		}
		checks = append(checks, c)
	}
	add("spool", s.spool.Admit(), admin.Critical, time.Time{}, "New mail is told to come back (452).", "Make room on the disk of data_dir, or wait until mail in progress is done.")
	s.storeHealth(add)
	add("journal", s.journal.Health(), admin.Critical, time.Time{}, "New mail is told to come back (451).", "Make room on the disk of data_dir and look at its state.")
	if s.shared != nil {
		var err error
		if s.shared.Away() {
			err = errors.New("no answer in time")
		}
		add(stateName, err, admin.Warning, time.Time{}, stateEffect, stateHint)
	}
	if since, why := s.gate.Stressed(); !since.IsZero() {
		add("load", errors.New(why), admin.Warning, since, "Timeouts are short and errors end a session.", "If it is no attack, raise limits.connections, or give the gateway a larger machine.")
	}
	for _, h := range s.carrier.hops() {
		var err error
		if !h.Up {
			err = h.Err
		}
		add("next hop "+h.Address, err, admin.Warning, h.Since, "Mail for it is told to come back (451).", "Look at the mail server and the way to it.")
	}
	if left := time.Until(s.certs.Expiry()); !s.certs.SelfSigned() && left < 7*24*time.Hour {
		add("certificate", fmt.Errorf("expires in %s", left.Round(time.Hour)), admin.Warning, time.Time{}, "Senders that check will stop sending.", "Renew it; it is read again by itself.")
	}
	_, since, err := s.depot.givenUp()
	add("held mail", err, admin.Warning, since, "It could not be delivered, and is in the quarantine now; its senders believe that it arrived.", "Look at it there, and release it once the cause is mended.")
	if oldest := s.depot.Oldest(); oldest > longHold {
		add("hold queue", fmt.Errorf("the oldest message waits since %s", oldest.Round(time.Minute)), admin.Warning, time.Now().Add(-oldest), "Mail that was accepted waits for its mail server.", "Look at the mail server; gatepost hold list says what it answered.")
	}
	for _, h := range s.hooks.Status() {
		add("webhook "+h.Name, h.Trouble(time.Now()), admin.Warning, h.Since, hookEffect, hookHint)
	}
	s.conditions(add)
	s.shareHealth(add)
	s.lists.health(add)
	s.directories.health(add)
	if path, made := oldest(s.gateway.Snapshot()); !made.IsZero() && time.Since(made) > oldGeo {
		add("countries and networks", fmt.Errorf("%s was made on %s", path, made.UTC().Format(time.DateOnly)), admin.Warning, made.Add(oldGeo), geoEffect, geoHint)
	}
	names, all := s.troubles.list()
	for _, n := range names {
		add(n, all[n].err, admin.Warning, all[n].since, "The last good state is in use.", "Mend what the message names.")
	}
	return checks
}

// maxSkew is by how much the clocks of gateways and store may differ.
const maxSkew = 30 * time.Second

// What follows where the store does not work, and what to do.
const (
	storeEffect = "Mail that would be held is told to come back (451), clean mail flows; nobody can log in or review."
	storeHint   = "Look at the database of store.url and the way to it; nothing need be restarted here."
	skewEffect  = "Releases, sessions and retention are judged by different times."
	skewHint    = "Let chrony or systemd-timesyncd keep the clocks of all gateways and of the database."
)

// storeHealth is the store's and the quarantine's part of the gateway's health.
func (s *service) storeHealth(add func(name string, err error, severity admin.Severity, since time.Time, effect, hint string)) {
	away := s.db.Health()
	if s.db.Shared() {
		add("store", away, admin.Critical, time.Time{}, storeEffect, storeHint)
		if skew := s.db.Skew(); skew.Abs() > maxSkew {
			add("clock of the store", fmt.Errorf("it differs by %s from ours", skew.Round(time.Second)), admin.Warning, time.Time{}, skewEffect, skewHint)
		}
	}
	if away == nil {
		add("quarantine", s.quarantine.Admit(), admin.Critical, time.Time{}, "Mail that would be held is told to come back (452).", "Make room, raise quarantine.max_bytes, or shorten retention.")
	}
}

// longHold is how long mail may be on hold before that is a trouble.
const longHold = time.Hour

// gauges are numbers beyond what records add up to.
func (s *service) gauges() []admin.Gauge {
	u := s.spool.Usage()
	used, limit := s.quarantine.Used()
	held, heldBytes := s.depot.Depth()
	givenUp, _, _ := s.depot.givenUp()
	judging, waiting := s.gateway.Judging()
	return slices.Concat(s.edgeGauges(), s.lists.gauges(), s.shareGauges(), s.hookGauges(), []admin.Gauge{
		{Name: "gatepost_verdicts", Help: "Messages being judged now, and those that wait for it.", Value: float64(judging), Label: "state", Of: "judged"},
		{Name: "gatepost_verdicts", Help: "Messages being judged now, and those that wait for it.", Value: float64(waiting), Label: "state", Of: "waiting"},
		{Name: "gatepost_connections", Help: "SMTP connections open now.", Value: float64(s.gate.Open())},
		{Name: "gatepost_spool_bytes", Help: "Bytes of messages being received.", Value: float64(u.Memory), Label: "where", Of: "memory"},
		{Name: "gatepost_spool_bytes", Help: "Bytes of messages being received.", Value: float64(u.Disk), Label: "where", Of: "disk"},
		{Name: "gatepost_quarantine_bytes", Help: "Bytes that held messages take on disk.", Value: float64(used)},
		{Name: "gatepost_quarantine_limit_bytes", Help: "Most bytes that held messages may take; 0 is no limit.", Value: float64(limit)},
		{Name: "gatepost_hold_messages", Help: "Accepted messages that wait for their next hop.", Value: float64(held)},
		{Name: "gatepost_hold_bytes", Help: "Bytes of content on hold.", Value: float64(heldBytes)},
		{Name: "gatepost_hold_oldest_seconds", Help: "How long the message that waits longest is on hold.", Value: s.depot.Oldest().Seconds()},
		{Name: "gatepost_hold_given_up_total", Help: "Messages that could not be delivered and went from hold to the quarantine.", Value: float64(givenUp), Counter: true},
		{Name: "gatepost_policy_generation", Help: "Generation of the policy that judges now.", Value: float64(s.gateway.Snapshot().Gen)},
	})
}

// edgeGauges are what the listeners, the gate and the shared state have counted.
func (s *service) edgeGauges() []admin.Gauge {
	stress := 0.0
	if s.gate.Stress() {
		stress = 1
	}
	all := []admin.Gauge{
		{Name: "gatepost_stress", Help: "1 while timeouts are short because there is too much to do.", Value: stress},
		{Name: "gatepost_accept_seconds", Help: "How long connections of the last ten seconds waited to be attended to: the 95th percentile, rounded up.", Value: s.gate.AcceptLatency().Seconds()},
	}
	counted := func(name, help string, events map[string]int64) {
		for _, e := range slices.Sorted(maps.Keys(events)) {
			all = append(all, admin.Gauge{Name: name, Help: help, Value: float64(events[e]), Label: "event", Of: e, Counter: true})
		}
	}
	counted("gatepost_smtp_events_total", "What SMTP sessions did, and which of their limits they hit.", s.server.Stats().Events)
	counted("gatepost_access_events_total", "Which limits clients hit over their sessions, and who was spared a wait.", s.gate.Stats())
	if s.shared != nil {
		st := s.shared.Stats()
		counted("gatepost_state_events_total", "What was asked of Redis, and how it went.", map[string]int64{
			"call": int64(st.Calls), "failure": int64(st.Failures), "local": int64(st.Local), "spared": int64(st.Spared), "nonsense": int64(st.Bad),
		})
	}
	return all
}
