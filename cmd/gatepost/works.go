package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway"
	"gatepost/gateway/access"
	"gatepost/gateway/admin"
	"gatepost/gateway/certs"
	"gatepost/gateway/config"
	"gatepost/gateway/db"
	"gatepost/gateway/disk"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/smtp"
	"gatepost/gateway/spool"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// works is everything of a gateway that holds state, opened: what serve runs, and what commands open beside it.
type works struct {
	*site
	log        *slog.Logger
	dir        string
	began      time.Time
	lock       *disk.Lock // of serve alone
	db         *db.DB
	spool      *spool.Spool
	quarantine *quarantine.Store
	journal    *journal.Journal
	reader     *journal.Reader
	carrier    *carrier
	depot      *depot
	certs      *certs.Store
	gate       *access.Gate
	shared     *state.Redis // nil: each gateway counts for itself
	gateway    *gateway.Gateway
	meter      *admin.Meter
	lists      *listWatch
	troubles   troubles
	clock      disk.Clock // for what is deleted for its age
	ward       ward
	cancel     context.CancelFunc
	running    sync.WaitGroup // what cancel ends
}

// maxClients bounds how many clients the rate limits remember (HOSTILE I-08).
const maxClients = 1 << 20

// openStores opens what lasts: database, spool, quarantine, journal. Only serve is the daemon.
func openStores(ctx context.Context, s *site, log *slog.Logger, daemon bool) (*works, error) {
	w := &works{site: s, log: log, dir: string(s.cfg.DataDir), began: time.Now(), meter: admin.NewMeter(), carrier: &carrier{}}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if err := w.open(ctx, daemon); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// open opens one store after the other; close undoes what was done.
func (w *works) open(ctx context.Context, daemon bool) (err error) {
	if daemon {
		if w.lock, err = disk.LockDir(w.dir); err != nil {
			return err
		}
	}
	if w.db, err = db.Open(w.cfg.StoreURL()); err != nil {
		return err
	}
	w.spool, err = spool.New(spool.Config{
		Dir: filepath.Join(w.dir, "spool"), MessageBytes: int64(w.cfg.Limits.MessageBytes), Memory: int64(w.cfg.Limits.Memory),
	})
	if err != nil {
		return err
	}
	c := w.cfg.Quarantine
	r := c.Retention
	keys, err := disk.ParseKeys(c.Key.Reveal())
	if err != nil {
		return fmt.Errorf("quarantine.key: %w", err)
	}
	w.quarantine, err = quarantine.New(ctx, quarantine.Config{MaxBytes: c.MaxBytes, Retention: quarantine.Retention{
		Spam: dur(r.Spam), Phish: dur(r.Phish), Malware: dur(r.Malware), Policy: dur(r.Policy), Refused: dur(r.Refused),
	}}, quarantine.Deps{Dir: filepath.Join(w.dir, "quarantine"), DB: w.db, Spool: w.spool, Keys: keys})
	if err != nil {
		return err
	}
	journalDir := filepath.Join(w.dir, "journal")
	w.journal, err = journal.Open(journalDir, journal.Options{Daemon: daemon})
	w.reader = journal.NewReader(journalDir)
	return err
}

// openWorks opens everything that serve needs.
func openWorks(a *app, cfg *config.Config, log *slog.Logger) (*works, error) {
	s, err := buildSite(a, cfg)
	if err != nil {
		return nil, err
	}
	w, err := openStores(a.ctx, s, log, true)
	if err != nil {
		return nil, err
	}
	if err := w.openGateway(a.ctx); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// openGateway opens what only a running gateway needs.
func (w *works) openGateway(ctx context.Context) error {
	if rec, err := w.quarantine.Recover(ctx); err != nil {
		return err
	} else if len(rec.Missing)+len(rec.Corrupt) > 0 {
		w.log.Error("quarantine recovered with losses", "report", fmt.Sprint(rec))
	}
	if err := w.openCerts(); err != nil {
		return err
	}
	var err error
	if w.depot, err = w.openDepot(); err != nil {
		return err
	}
	w.lists = newListWatch(w.site, w.log)
	counter, err := w.counter()
	if err != nil {
		return err
	}
	l := w.cfg.Limits
	w.gate = access.New(access.Limits{
		Connections: l.Connections, PerClient: l.ClientConnections, PerNetwork: l.NetworkConnections,
		ConnectionsAMinute: l.ConnectRate, MessagesAMinute: l.MessageRate, RecipientsAMinute: l.RecipientRate,
		BytesAMinute: int(l.ByteRate), ErrorsAMinute: l.ErrorRate, UnknownAMinute: l.UnknownRate, TLSAMinute: l.TLSRate,
		GreetDelay: w.cfg.Timeouts.Greet, StressGreetDelay: time.Second,
	}, w.cfg.TrustedNetworks, counter, func() []policy.Limit { return w.gateway.Snapshot().Policy.Limits() })
	w.gate.OnStress(func(on bool) { w.log.Warn("stress", "on", on) })
	w.gateway = gateway.New(gateway.Deps{
		Hostname: w.cfg.Hostname, Gate: w.gate, Carrier: w.carrier, Hold: w.depot, Namer: namer{w.resolver},
		Spool: w.spool, Quarantine: w.quarantine, Journal: recorder{w.journal, w.meter}, Log: w.log,
		Trusted: w.cfg.TrustedNetworks, Now: time.Now, MessageBytes: int64(l.MessageBytes), Recipients: l.Recipients, MaxReceived: l.Received,
	}, w.snap)
	return nil
}

// counter is what counts: Redis where the gateways of a site share one, else this process.
func (w *works) counter() (access.Counter, error) {
	url := w.cfg.State.URL.Reveal()
	if url == "" {
		return state.NewLocal(maxClients, time.Now), nil
	}
	var err error
	w.shared, err = state.NewRedis(state.RedisConfig{
		URL: url, Gateways: w.cfg.State.Gateways, Keys: maxClients, Now: time.Now,
		Changed: func(away bool) { w.log.Warn("shared state changed", "away", away) },
	})
	return w.shared, err
}

// start sets going what runs beside the mail. The way to the next hops must be open.
func (w *works) start(ctx context.Context) {
	warm, done := context.WithTimeout(ctx, warmTime)
	w.carrier.now.Load().Warm(warm)
	done()
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	w.troubles.note("policy archive", w.keepPolicy())
	w.running.Go(func() { w.depot.run(background) })
	w.running.Go(func() { w.finishReleases(background, true) })
	w.running.Go(func() { w.housekeep(background) })
	w.running.Go(func() { w.attend(background) })
	w.running.Go(func() { w.lists.run(background) })
}

// newForwarder makes the way to the next hops of s; own are the addresses that we listen on ourselves.
func (w *works) newForwarder(s *site, own []netip.AddrPort) (*forward.Forwarder, error) {
	return forward.New(forward.Config{Hostname: s.cfg.Hostname, Own: own, Changed: w.hopChanged}, s.routes())
}

// hopChanged tells of a next hop that went down or came back, and wakes the mail that waited for it.
func (w *works) hopChanged(h forward.HopState) {
	if h.Up {
		w.log.Info("next hop is back", "address", h.Address, "up", true)
		if w.depot != nil {
			w.depot.Wake(w.carrier.domainsOf(h.Address)...)
		}
		return
	}
	w.log.Warn("next hop is down", "address", h.Address, "up", false, "error", mail.Printable(fmt.Sprint(h.Err), 300))
}

// ownClaim begins the keys of releases that the daemon itself carries out. Another daemon's are all over when this one
// has the lock; those of commands are over when their lease is.
const ownClaim = "daemon-"

// finishReleases carries out what a process that was killed had begun to release (FP-20): of the daemon before this one at
// once, of commands when they had their time. It is called at the start, with first, and from time to time.
func (w *works) finishReleases(ctx context.Context, first bool) {
	age := quarantine.Lease
	if first {
		age = 0
	}
	list, err := w.quarantine.Unfinished(ctx, age)
	if err == nil {
		list = slices.DeleteFunc(list, func(c quarantine.Claimed) bool {
			return time.Since(c.At) < quarantine.Lease && !(strings.HasPrefix(c.Key, ownClaim) && c.At.Before(w.began))
		})
		for _, c := range list {
			w.log.Warn("a release was cut off; it is carried out now", "id", c.ID, "by", c.By)
		}
		err = w.releaser().Resume(ctx, list)
	}
	w.troubles.note("unfinished releases", err)
}

// openCerts loads the certificates, or makes one and says so.
func (w *works) openCerts() error {
	var pairs []certs.Pair
	for _, c := range w.cfg.TLS.Certificates {
		pairs = append(pairs, certs.Pair{Cert: string(c.Cert), Key: string(c.Key)})
	}
	store, notes, err := certs.Load(pairs, w.cfg.Hostname, w.dir, time.Now)
	if err != nil {
		return err
	}
	for _, n := range notes {
		w.log.Warn(n)
	}
	if store.SelfSigned() {
		w.log.Warn("no certificate is configured: the listeners show a self-signed one, which protects against listening but proves nothing; set tls.certificates")
	}
	w.certs = store
	return nil
}

// housekeeping intervals.
const (
	expireEvery = 10 * time.Minute
	certsEvery  = time.Minute
)

// housekeep does what must be done now and then.
func (w *works) housekeep(ctx context.Context) {
	go w.certs.Watch(ctx, certsEvery, func(notes []string, err error) {
		for _, n := range notes {
			w.log.Warn(n)
		}
		w.troubles.note("certificates", err)
	})
	t := time.NewTicker(expireEvery)
	defer t.Stop()
	for {
		if now, ok := w.clock.Agreed(); ok { // a clock that jumped deletes nothing (S-06, P-22)
			gone, err := w.quarantine.Expire(ctx, now, w.expired)
			for err == nil && len(gone) > 0 { // it goes by batches
				gone, err = w.quarantine.Expire(ctx, now, w.expired)
			}
			w.troubles.note("quarantine expiry", err)
		}
		select {
		case <-t.C:
			w.finishReleases(ctx, false)
		case <-ctx.Done():
			return
		}
	}
}

// expired records that an entry of the quarantine goes because its time is over.
func (w *works) expired(e quarantine.Entry) error {
	rec := &journal.Record{V: journal.Version, Kind: journal.Disposal, ID: e.ID, Time: time.Now(), Action: "expire", Actor: "retention", Subject: e.Subject, Author: e.Author, From: e.MailFrom}
	for _, r := range e.Rcpts {
		rec.Rcpts = append(rec.Rcpts, r.Address)
		rec.Fates = append(rec.Fates, journal.Fate{Rcpt: r.Address, Fate: "expired"})
	}
	if err := w.journal.Append(rec); err != nil {
		return err
	}
	return w.journal.Written()
}

// close gives back what was opened, in the opposite order.
func (w *works) close() {
	if w.cancel != nil {
		w.cancel()
	}
	w.running.Wait()
	w.carrier.close()
	if w.shared != nil {
		w.shared.Close()
	}
	var errs []error
	if w.depot != nil {
		errs = append(errs, w.depot.close())
	}
	if w.journal != nil {
		errs = append(errs, w.journal.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.Close())
	}
	if w.lock != nil {
		errs = append(errs, w.lock.Release())
	}
	if err := errors.Join(errs...); err != nil {
		w.log.Error("closing", "error", err.Error())
	}
}

// A recorder appends to the journal and counts what it appended.
type recorder struct {
	*journal.Journal
	meter *admin.Meter
}

// Append records and counts.
func (r recorder) Append(rec *journal.Record) error {
	r.meter.Observe(rec)
	return r.Journal.Append(rec)
}

// namer finds verified reverse-DNS names: of the first names of an address, one that leads back to it (RFC 8601 section 2.7.3).
type namer struct {
	resolver interface {
		LookupAddr(ctx context.Context, addr string) ([]string, error)
		LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	}
}

// maxNames is how many names of one address are tried (HOSTILE L-08).
const maxNames = 3

// Name implements gateway.Namer.
func (n namer) Name(ctx context.Context, addr netip.Addr) string {
	names, err := n.resolver.LookupAddr(ctx, addr.String())
	if err != nil {
		return ""
	}
	for _, name := range names[:min(len(names), maxNames)] {
		addrs, err := n.resolver.LookupNetIP(ctx, "ip", name)
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if a.Unmap() == addr {
				return mail.Printable(strings.TrimSuffix(strings.ToLower(name), "."), 253)
			}
		}
	}
	return ""
}

// listenerOptions are one listener's.
func (w *works) listenerOptions(l config.Listener) smtp.ListenerOptions {
	modes := map[string]smtp.TLSMode{"off": smtp.TLSOff, "offered": smtp.TLSOffered, "required": smtp.TLSRequired, "implicit": smtp.TLSImplicit}
	o := smtp.ListenerOptions{Name: l.Address, TLS: modes[l.TLS], ProxyProtocol: l.ProxyProtocol}
	if l.TLS == "required" {
		o.PlainAllowed = exemption{l.TLSExempt}.allows
	}
	return o
}

// An exemption says who may send in clear text although TLS is required.
type exemption struct{ config.TLSExempt }

// allows implements smtp.ListenerOptions.PlainAllowed. Postmaster may always be written to (RFC 5321 section 4.5.1); as a
// recipient is known last, everybody gets as far as RCPT where recipients are exempt.
func (e exemption) allows(peer netip.Addr, from, rcpt mail.Address) bool {
	for _, n := range e.Networks {
		if n.Contains(peer) {
			return true
		}
	}
	for _, d := range e.SenderDomains {
		if !from.IsNull() && from.Domain() == d {
			return true
		}
	}
	if rcpt.IsNull() {
		return len(e.Recipients) > 0
	}
	for _, r := range e.Recipients {
		if rcpt.Canonical() == strings.ToLower(r) {
			return true
		}
	}
	return false
}

// smtpConfig is the server's.
func (w *works) smtpConfig() smtp.Config {
	return smtp.Config{
		Hostname: w.cfg.Hostname, Limits: smtpLimits(w.cfg.Limits), Timeouts: smtpTimeouts(w.cfg.Timeouts),
		TLS: w.tlsConfig(), Reserved: w.reserved, Stress: w.gate.Stress,
		GreetDelay:      func(p smtp.Peer) time.Duration { return w.gate.Greet(context.Background(), p.Remote) },
		AllowTLS:        func(p smtp.Peer) *smtp.Reply { return w.gate.TLS(context.Background(), p.Remote) },
		NormalizeBareLF: w.cfg.NormalizeBareLF,
		Panicked: func(v any, stack []byte) {
			w.log.Error("session crashed", "panic", fmt.Sprint(v), "stack", string(stack))
		},
	}
}

// reserved reports who may use the last part of the connections.
func (w *works) reserved(a netip.Addr) bool {
	for _, n := range w.cfg.TrustedNetworks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
