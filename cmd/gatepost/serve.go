package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"gatepost/gateway/admin"
	"gatepost/gateway/config"
	"gatepost/gateway/smtp"
)

// serveCmd is `gatepost serve`.
type serveCmd struct {
	CPUProfile   string `name:"cpuprofile" placeholder:"FILE" help:"Write a CPU profile of the whole run, for make load."`
	AllocProfile string `name:"allocprofile" placeholder:"FILE" help:"Write at the end what was allocated in the whole run, for make load."`
}

// drainLimit is how long DATA in progress may take to finish once the gateway is told to stop (P-19).
const drainLimit = 30 * time.Second

// Run serves until the context ends, then drains.
func (c *serveCmd) Run(a *app) error {
	if c.CPUProfile != "" {
		f, err := os.Create(c.CPUProfile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if c.AllocProfile == "" {
		runtime.MemProfileRate = 0 // nobody will read the samples
		return serve(a)
	}
	return errors.Join(serve(a), writeAllocs(c.AllocProfile))
}

// writeAllocs writes what was allocated since the start.
func writeAllocs(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// serve runs the gateway until the context ends.
func serve(a *app) error {
	asked := make(chan os.Signal, 1) // first of all: until they are caught, these signals end the process
	signal.Notify(asked, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(asked)
	program, err := os.Executable() // whose name must be known before it is replaced
	if err != nil {
		return err
	}
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	s, err := startService(a, cfg)
	if err != nil {
		return err
	}
	s.program = program
	defer s.close()
	spare := headroom(cfg)
	defer runtime.KeepAlive(spare)
	if err := writeLine(a.out, s.ready()); err != nil {
		return err
	}
	debug.FreeOSMemory() // what starting took: hashing the first password alone takes 64 MiB
	unread()
	again, err := s.tend(a.ctx, asked)
	if again && err == nil {
		return s.handOver()
	}
	return err
}

// headroom is memory that nobody touches, so that it is never resident, and that holds no pointers, so that collecting
// garbage costs nothing for it. But it counts as in use, and the collector comes only when as much again was allocated: with
// the little that a gateway keeps it would come many times a second under load, for a few dozen MiB less. It is a sixteenth of
// what messages may take, and none where the administrator has set the collector's pace himself, by GOGC or GOMEMLIMIT. It is
// taken when all has started: collected often until then, what stays lies closer together, and less is resident.
func headroom(cfg *config.Config) []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	spare := make([]byte, cfg.Limits.Memory/16)
	untouch(spare)
	return spare
}

// tend takes over what was changed, on the disk or on the review pages, until the context ends; then it drains. All
// changes are made here, one after the other. It returns again if a restart is asked for, and would succeed as far as the
// configuration tells.
func (s *service) tend(ctx context.Context, asked <-chan os.Signal) (again bool, err error) {
	files := watch{loaded: s.stamps()}
	looks := time.NewTicker(watchEvery)
	defer looks.Stop()
	for {
		select {
		case sig := <-asked:
			var ok bool
			if files.loaded, ok = s.reloadFiles(ctx); ok && sig == syscall.SIGUSR2 && s.bindAhead(s.program) {
				return true, nil
			}
		case <-looks.C:
			if files.changed(s.stamps()) {
				files.loaded, _ = s.reloadFiles(ctx)
			}
		case change := <-s.changes:
			change()
			files.loaded = s.stamps()
		case err := <-s.failed:
			return false, err
		case <-ctx.Done():
			return false, s.drain()
		}
	}
}

// askTime is how long a change may wait for its turn.
const askTime = 15 * time.Second

// ask has change made where reloads are made, and waits for its end.
func (s *service) ask(ctx context.Context, change func()) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	done := make(chan struct{})
	select {
	case s.changes <- func() { defer close(done); change() }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readyLine is what serve prints once mail can come.
type readyLine struct {
	Msg   string   `json:"msg"`
	SMTP  []string `json:"smtp"`
	Admin string   `json:"admin"`
}

// logger writes what is told to standard error.
func logger(a *app, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(a.errs, o))
	}
	return slog.New(slog.NewJSONHandler(a.errs, o))
}

// A service is a running gateway with its listeners.
type service struct {
	*works
	server      *smtp.Server
	web         *http.Server
	listeners   []net.Listener
	webListener net.Listener
	webAddr     string
	program     string                  // that a restart starts
	ahead       map[string]net.Listener // sockets for a successor, by the address as configured
	setup       string                  // one-time password of the first account, if it was made now
	failed      chan error
	changes     chan func() // wishes of the review pages
	stopped     atomic.Bool
}

// startService opens everything and begins to listen.
func startService(a *app, cfg *config.Config) (*service, error) {
	log := logger(a, cfg.Log)
	for _, n := range cfg.Notes {
		log.Warn(n.Error())
	}
	if few := fewFiles(cfg.Limits.SessionLimits, openable()); few != "" {
		log.Warn(few, "hint", filesHint)
	}
	sockets, err := inherit()
	if err != nil {
		return nil, err
	}
	defer sockets.close()
	if cfg, err = stepDown(a, cfg, sockets); err != nil {
		return nil, err
	}
	w, err := openWorks(a, cfg, log)
	if err != nil {
		return nil, err
	}
	s := &service{works: w, failed: make(chan error, 8), changes: make(chan func())}
	if err := s.listen(a.ctx, sockets); err != nil {
		s.close()
		return nil, err
	}
	confine(log, cfg)
	return s, nil
}

// listen opens the SMTP listeners and the review pages.
func (s *service) listen(ctx context.Context, sockets *heritage) error {
	s.server = smtp.NewServer(s.smtpConfig(), s.gateway)
	for _, l := range s.cfg.Listeners {
		ln, err := sockets.listen(l.Address, -1) // sessions have deadlines of their own
		if err != nil {
			return fmt.Errorf("listen for mail: %w", err)
		}
		s.listeners = append(s.listeners, ln)
	}
	way, err := s.newForwarder(s.site, s.own())
	if err != nil {
		return err
	}
	s.carrier.set(way, s.routes())
	s.start(ctx)
	s.running.Go(func() { s.tellHealth(s.background) })
	handler, err := s.pages(ctx)
	if err != nil {
		return err
	}
	web, err := sockets.listen(s.cfg.Admin.Address, 0)
	if err != nil {
		return fmt.Errorf("listen for review: %w", err)
	}
	if unused := sockets.close(); len(unused) > 0 {
		s.log.Warn("sockets were given that no listener has", "addresses", unused)
	}
	s.webListener = web
	s.webAddr, s.web = web.Addr().String(), admin.Server(handler)
	// The gateway outlives the signal that stops it: mail in progress is finished under a context of its own.
	for i, l := range s.cfg.Listeners {
		o := s.listenerOptions(l)
		go s.watch("SMTP", func() error { return s.server.Serve(context.WithoutCancel(ctx), s.listeners[i], o) })
	}
	go s.watch("review pages", func() error { return s.web.Serve(admin.Limit(web, 200, 20)) })
	return nil
}

// own are the addresses on which mail for us arrives.
func (s *service) own() []netip.AddrPort {
	var own []netip.AddrPort
	for _, l := range s.listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			own = append(own, a.AddrPort())
		}
	}
	return own
}

// watch reports a listener that ended although nobody stopped it.
func (s *service) watch(what string, serve func() error) {
	if err := serve(); err != nil && !s.stopped.Load() && !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("serve %s: %w", what, err)
	}
}

// ready names the addresses that are bound.
func (s *service) ready() readyLine {
	r := readyLine{Msg: "ready", Admin: s.webAddr}
	for _, l := range s.listeners {
		r.SMTP = append(r.SMTP, l.Addr().String())
	}
	return r
}

// drain lets mail in progress finish and stops.
func (s *service) drain() error {
	s.stopped.Store(true)
	s.log.Info("draining")
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if webErr := s.web.Shutdown(ctx); err == nil {
		err = webErr
	}
	s.log.Info("stopped")
	return err
}

// close gives back everything that startService took.
func (s *service) close() {
	s.stopped.Store(true)
	for _, l := range s.listeners {
		l.Close()
	}
	if s.web != nil {
		s.web.Close()
	}
	s.works.close()
}
