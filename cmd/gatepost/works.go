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
	"sync/atomic"
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
	"gatepost/gateway/learn"
	"gatepost/gateway/people"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/spool"
	"gatepost/gateway/state"
	"gatepost/gateway/webhook"
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
	contacts   *people.Store
	journal    *journal.Journal
	reader     *journal.Reader
	commons    *journal.Commons // nil: no other gateway shares the store
	book       *learn.Book
	carrier    *carrier
	depot      *depot
	certs      *certs.Store
	authority  *certs.Authority // that gives the certificates; nil without one
	leastTLS   atomic.Uint32    // oldest version that is spoken
	gate       *access.Gate
	memory     *state.Local
	shared     *state.Redis // nil: each gateway counts for itself
	waiting    passer       // who waits: memory or shared
	gateway    *gateway.Gateway
	meter      *admin.Meter
	lists      *listWatch
	extra      []string // files to watch beside configuration and policy
	troubles   troubles
	clock      disk.Clock // for what is deleted for its age
	ward       ward
	background context.Context // of what runs beside the mail
	cancel     context.CancelFunc
	hooks      *webhook.Hooks // nil in commands: they tell nobody
	running    sync.WaitGroup // what cancel ends
}

// maxClients bounds how many clients the rate limits remember (HOSTILE I-08).
const maxClients = 1 << 20

// openStores opens what lasts: database, spool, quarantine, journal. Only serve is the daemon.
func openStores(ctx context.Context, s *site, log *slog.Logger, daemon bool) (*works, error) {
	w := &works{site: s, log: log, dir: string(s.cfg.DataDir), began: time.Now(), meter: admin.NewMeter(), carrier: &carrier{}}
	if !daemon {
		if err := s.makeRoom(); err != nil {
			return nil, err
		}
		if err := standIn(w.dir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if err := w.open(ctx, daemon); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// taken says who has a data directory that could not be locked.
func taken(dir string, err error) error {
	pid, held := disk.Holder(dir)
	if !held || !errors.Is(err, disk.ErrLocked) {
		return err
	}
	return fmt.Errorf("data_dir %s is in use by process %d, and two gateways cannot share one: stop that one (kill %d), or have it restart (kill -USR2 %d): %w", dir, pid, pid, pid, err)
}

// open opens one store after the other; close undoes what was done.
func (w *works) open(ctx context.Context, daemon bool) (err error) {
	if daemon {
		if w.lock, err = disk.LockDir(w.dir); err != nil {
			return taken(w.dir, err)
		}
	}
	if err = w.openStore(ctx, daemon); err != nil {
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
	if w.book, err = w.openBook(ctx); err != nil {
		return err
	}
	return w.openJournal(ctx, daemon)
}

// openStore opens the database. The daemon waits for one that several gateways share; a command says that it is away.
func (w *works) openStore(ctx context.Context, daemon bool) (err error) {
	if w.db, err = db.Open(w.cfg.StoreURL()); err != nil || !w.db.Shared() {
		return err
	}
	if !daemon {
		return w.db.Check(ctx)
	}
	w.db.OnChange(func(err error) {
		if err != nil {
			w.log.Error("store is away", "error", err.Error())
			return
		}
		w.log.Info("store is back")
	})
	return w.db.Wait(ctx, func(err error) { w.log.Warn("waiting for the store", "error", err.Error()) })
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
	if err := w.openMemory(ctx); err != nil {
		return err
	}
	if err := w.openCerts(); err != nil {
		return err
	}
	w.hooks = webhook.New(webhook.Deps{Gateway: w.cfg.Hostname, Resolver: w.resolver})
	if err := w.hooks.Use(w.cfg.Webhooks); err != nil {
		return err
	}
	var err error
	if w.depot, err = w.openDepot(); err != nil {
		return err
	}
	w.extra = w.files()
	w.lists = newListWatch(w.site, w.log)
	counter, err := w.counter()
	if err != nil {
		return err
	}
	w.replays.count(counter)
	w.follow()
	w.gate = access.New(crowd(w.cfg), counter, func() []policy.Limit { return w.gateway.Snapshot().Policy.Limits() })
	w.gate.OnStress(func(on bool, why string) { w.log.Warn("stress", "on", on, "because", why) })
	w.gateway = gateway.New(gateway.Deps{
		Hostname: w.cfg.Hostname, Gate: w.gate, Carrier: w.carrier, Hold: w.depot, Namer: namer{w.resolver},
		Spool: w.spool, Quarantine: w.quarantine, Journal: learner{w.recorder(), w}, Log: w.log, Now: time.Now,
	}, w.snap)
	return nil
}

// memoryFile is where this gateway keeps what it must not forget at a restart: bans, passes, who waits.
func memoryFile(data string) string { return filepath.Join(data, "state", "memory.jsonl") }

// counter is what counts: Redis where the gateways of a site share one, else this process.
func (w *works) counter() (access.Counter, error) {
	local, damaged, err := state.OpenLocal(memoryFile(w.dir), maxClients, time.Now)
	if err != nil {
		return nil, err
	}
	if damaged > 0 {
		w.log.Warn("memory of clients has damaged lines, which are passed over", "lines", damaged)
	}
	w.memory, w.waiting = local, local
	url := w.cfg.State.URL.Reveal()
	if url == "" {
		return local, nil
	}
	w.shared, err = state.NewRedis(state.RedisConfig{
		URL: url, Local: local, Gateways: w.cfg.State.Gateways, Keys: maxClients, Now: time.Now,
		Changed: func(away bool) { w.log.Warn("shared state changed", "away", away) },
	})
	w.waiting = w.shared
	return w.shared, err
}

// start sets going what runs beside the mail. The way to the next hops must be open.
func (w *works) start(ctx context.Context) {
	warm, done := context.WithTimeout(ctx, warmTime)
	w.carrier.now.Load().Warm(warm)
	done()
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.background, w.cancel = background, cancel
	w.troubles.note("policy archive", w.keepPolicy())
	w.share(background)
	w.running.Go(func() { w.depot.run(background) })
	w.running.Go(func() { w.memory.Run(background, func(err error) { w.troubles.note("memory of clients", err) }) })
	w.running.Go(func() { w.answerGreylist(background) })
	w.running.Go(func() { w.trail.run(background, w) })
	w.running.Go(func() { w.finishReleases(background, true) })
	w.running.Go(func() { w.housekeep(background) })
	w.running.Go(func() { w.attend(background) })
	w.running.Go(func() { w.lists.run(background) })
	w.running.Go(func() { w.book.Run(background, func(err error) { w.troubles.note("learning", err) }) })
	w.running.Go(func() {
		w.people.Run(background, w.contacts, func(err error) { w.troubles.note("memory of people", err) })
	})
}

// newForwarder makes the way to the next hops of s; own are the addresses that we listen on ourselves.
func (w *works) newForwarder(s *site, own []netip.AddrPort) (*forward.Forwarder, error) {
	return forward.New(forward.Config{Hostname: s.cfg.Hostname, Own: own, TLSA: anchors{s.resolver.Unlimited()}, Changed: w.hopChanged}, s.routes())
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

// ownClaim begins the keys of releases that the daemon itself carries out. Another daemon's on this machine are all over when
// this one has the lock; those of commands, and of other gateways, are over when their lease is.
const ownClaim = "daemon-"

// finishReleases carries out what a process that was killed had begun to release (FP-20): of the daemon before this one at
// once, of others when they had their time. It is called at the start, with first, and from time to time.
func (w *works) finishReleases(ctx context.Context, first bool) {
	age := quarantine.Lease
	if first = first && !w.db.Shared(); first {
		age = 0
	}
	list, err := w.quarantine.Unfinished(ctx, age)
	if err == nil {
		list = slices.DeleteFunc(list, func(c quarantine.Claimed) bool {
			return time.Since(c.At) < quarantine.Lease && !(first && strings.HasPrefix(c.Key, ownClaim) && c.At.Before(w.began))
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
	var err error
	if w.authority, err = newAuthority(w.cfg, w.dir); err != nil {
		return err
	}
	store, notes, err := certs.Load(w.pairs(w.cfg), w.cfg.Hostname, w.dir, time.Now)
	if err != nil {
		return err
	}
	for _, n := range notes {
		w.log.Warn(n)
	}
	w.certs = store
	w.leastTLS.Store(uint32(w.cfg.TLS.Oldest()))
	return nil
}

// housekeeping intervals.
const (
	expireEvery = 10 * time.Minute
	certsEvery  = time.Minute
)

// housekeep does what must be done now and then.
func (w *works) housekeep(ctx context.Context) {
	go w.getCertificates(ctx)
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
	if err := w.recorder().Append(rec); err != nil {
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
	w.hooks.Close()
	w.carrier.close()
	w.directories.keep(nil)
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

// A recorder appends to the journal, counts what it appended, and has it told to whoever wants to know.
type recorder struct {
	*journal.Journal
	meter *admin.Meter
	hooks *webhook.Hooks
}

func (w *works) recorder() recorder { return recorder{w.journal, w.meter, w.hooks} }

// Append records and counts. What could not be recorded is not told.
func (r recorder) Append(rec *journal.Record) error {
	r.meter.Observe(rec)
	err := r.Journal.Append(rec)
	if err == nil {
		r.hooks.Observe(rec)
	}
	return err
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
