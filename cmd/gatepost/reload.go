package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/config"
	"gatepost/gateway/failpoint"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/rules/conf"
)

// reload reads everything again and puts the new snapshot in place of the old one, or changes nothing and says why. What
// is bound to the process (listeners, data directory, store) stays until a restart. It reports whether all went well.
func (s *service) reload(ctx context.Context) bool {
	problems := s.tryReload(ctx)
	now := time.Now()
	rec := &journal.Record{V: journal.Version, Kind: journal.Management, ID: mail.NewID(now), Time: now, Actor: "system", Action: "reload", Generation: s.gateway.Snapshot().Gen}
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = p
			s.log.Error("reload changed nothing", "problem", p.Error())
		}
		rec.Note = "changed nothing: " + problems[0].Error()
		s.troubles.note("configuration", errors.Join(errs...))
	} else {
		s.troubles.note("configuration", nil)
		s.log.Info("reloaded", "generation", rec.Generation)
	}
	if err := s.recorder().Append(rec); err != nil {
		s.log.Error("journal cannot be written", "error", err.Error())
	}
	return len(problems) == 0
}

// tryReload builds the new world completely before any of it is used.
func (s *service) tryReload(ctx context.Context) []conf.Problem {
	cfg, problems := config.Load(s.cfg.File)
	if len(problems) > 0 {
		return problems
	}
	next := &site{cfg: cfg, lasting: s.lasting}
	snap, problems := next.snapshot(s.gateway.Snapshot().Gen + 1)
	if len(problems) > 0 {
		return problems
	}
	next.snap = snap
	if failed := failures(next.runTests(ctx)); len(failed) > 0 {
		return failed
	}
	if cfg.TLS.ACME.Agree != s.cfg.TLS.ACME.Agree {
		return []conf.Problem{cfg.Node.Key("tls").Problemf("an authority takes over from files, or files from it, at a restart only: kill -USR2 the gateway, which refuses no connection")}
	}
	fail := func(err error) []conf.Problem {
		return []conf.Problem{{Pos: conf.Pos{File: cfg.File}, Message: err.Error()}}
	}
	routes := next.routes()
	var way *forward.Forwarder
	if !s.carrier.leads(routes) {
		var err error
		if way, err = s.newForwarder(next, s.own()); err != nil {
			return fail(err)
		}
	}
	if _, err := s.certs.Use(s.pairs(cfg)); err != nil {
		return fail(err)
	}
	if err := failpoint.Hit(failpoint.AtSwap); err != nil {
		return fail(err)
	}
	if way != nil { // before the snapshot, so that whatever is accepted has a way to go
		s.carrier.set(way, routes)
	}
	s.gateway.Swap(snap)
	s.sources, s.packs = next.sources, next.packs
	s.inForce.Store(next.rules)
	s.lists.use(next)
	s.extra = next.files()
	s.directories.keep(cfg)
	s.troubles.note("webhooks", s.hooks.Use(cfg.Webhooks))
	s.troubles.note("policy archive", s.keepPolicy())
	s.leastTLS.Store(uint32(cfg.TLS.Oldest()))
	s.gate.Adjust(crowd(cfg))
	s.spool.Adjust(int64(cfg.Limits.MessageBytes), int64(cfg.Limits.Memory))
	s.server.Adjust(affordable(cfg.Limits.SessionLimits, openable()), cfg.Timeouts.Timeouts, cfg.NormalizeBareLF)
	for _, key := range bound(s.cfg, cfg) {
		s.log.Warn("changed, and takes effect at a restart", "key", key)
	}
	return nil
}

// bound names the keys that differ and are bound to the process.
func bound(was, now *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		name string
		same bool
	}{
		{"hostname", was.Hostname == now.Hostname}, {"data_dir", was.DataDir == now.DataDir}, {"listeners", slices.Equal(places(was), places(now))},
		{"tls.acme", alike(was.TLS.ACME, now.TLS.ACME)}, {"store", was.StoreURL() == now.StoreURL()}, {"state", alike(was.State, now.State)}, {"dns", alike(was.DNS, now.DNS)},
		{"admin", alike(was.Admin, now.Admin)}, {"quarantine", alike(was.Quarantine, now.Quarantine)}, {"hold", alike(was.Hold, now.Hold)}, {"log", was.Log == now.Log},
	} {
		if !k.same {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// places are what of the listeners is bound to the process: where they are, who may stand before them, and how a session
// begins.
func places(c *config.Config) (list []string) {
	for _, l := range c.Listeners {
		mode := "starttls"
		if l.TLS == "off" || l.TLS == "implicit" {
			mode = l.TLS
		}
		list = append(list, fmt.Sprint(l.Address, mode, l.ProxyProtocol))
	}
	return list
}

// alike reports whether two sections say the same, wherever in the file they stand.
func alike[T any](a, b T) bool { return alikeValues(reflect.ValueOf(a), reflect.ValueOf(b)) }

func alikeValues(a, b reflect.Value) bool {
	switch {
	case a.Type() == reflect.TypeFor[conf.Node]():
		return true
	case a.Kind() == reflect.Struct:
		for i := range a.NumField() {
			if !alikeValues(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case a.Kind() == reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !alikeValues(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case a.Kind() == reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for _, k := range a.MapKeys() {
			if v := b.MapIndex(k); !v.IsValid() || !alikeValues(a.MapIndex(k), v) {
				return false
			}
		}
		return true
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		return alikeValues(a.Elem(), b.Elem())
	}
	return a.Comparable() && b.Comparable() && a.Equal(b)
}
