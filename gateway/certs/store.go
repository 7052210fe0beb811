package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Store serves certificates and can exchange them while it does. It is safe for concurrent use.
type Store struct {
	pairs    []Pair
	hostname string
	dir      string // where a self-signed one is kept
	now      func() time.Time

	mu      sync.Mutex // one reload at a time; guards pairs
	current atomic.Pointer[set]
}

// A set is what is served at one time. It is never changed.
type set struct {
	all      []*tls.Certificate // in the order of the configuration
	prefer   []*tls.Certificate // the same, ECDSA first: a handshake costs the server a third
	notes    []string
	selfMade bool
	seen     []stamp
}

// A stamp tells whether a file was replaced.
type stamp struct {
	path string
	size int64
	mod  time.Time
	err  bool
}

// Load reads the certificates of pairs, or, if there are none, the self-signed one for hostname that is kept in
// dataDir/tls; it is made if it is not there, for another name, or about to expire. Notes say what an administrator
// should know of what is served. now is the clock, for validity.
func Load(pairs []Pair, hostname, dataDir string, now func() time.Time) (*Store, []string, error) {
	s := &Store{pairs: slices.Clone(pairs), hostname: hostname, dir: filepath.Join(dataDir, "tls"), now: now}
	notes, err := s.Reload()
	if err != nil {
		return nil, nil, err
	}
	return s, notes, nil
}

// Reload reads the files again and serves what they hold. If any cannot be served, all stays as it was. Sessions that
// are under way are not touched.
func (s *Store) Reload() (notes []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reload()
}

// reload is Reload with the lock held.
func (s *Store) reload() (notes []string, err error) {
	next := &set{}
	err = s.addFiles(next)
	if err == nil && len(next.all) == 0 {
		err = s.addSelfSigned(next)
	}
	if err != nil {
		return nil, fmt.Errorf("load certificates: %w", err)
	}
	next.prefer = slices.Clone(next.all)
	slices.SortStableFunc(next.prefer, func(a, b *tls.Certificate) int { return rank(a) - rank(b) })
	s.current.Store(next)
	return slices.Clone(next.notes), nil
}

// Use serves pairs from now on in place of those before, or, without any, the self-signed certificate. If they cannot be
// served, all stays as it was.
func (s *Store) Use(pairs []Pair) (notes []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.pairs
	s.pairs = slices.Clone(pairs)
	if notes, err = s.reload(); err != nil {
		s.pairs = was
	}
	return notes, err
}

func rank(c *tls.Certificate) int {
	if _, ok := c.Leaf.PublicKey.(*ecdsa.PublicKey); ok {
		return 0
	}
	return 1
}

func (s *Store) addFiles(next *set) error {
	covered := len(s.pairs) == 0
	for _, p := range s.pairs {
		// The stamp is taken first: a file that changes while it is read is read again.
		next.seen = append(next.seen, stampOf(p.Cert), stampOf(p.Key))
		c, err := load(p)
		switch {
		case err != nil && p.Missing():
			continue
		case err != nil && p.Awaited:
			next.notes = append(next.notes, err.Error())
			continue
		case err != nil:
			return err
		}
		info := infoOf(c)
		if w := info.Warning(s.now()); w != "" {
			next.notes = append(next.notes, p.Cert+": "+w)
		}
		covered = covered || info.Covers(s.hostname)
		next.all = append(next.all, c)
	}
	if !covered && len(next.all) > 0 {
		next.notes = append(next.notes, fmt.Sprintf("no certificate is for %s, the hostname", s.hostname))
	}
	return nil
}

func (s *Store) addSelfSigned(next *set) error {
	c, err := selfSigned(s.dir, s.hostname, s.now())
	if err != nil {
		return err
	}
	next.all, next.selfMade = []*tls.Certificate{c}, true
	why, do := "no certificate is configured", "; set tls.certificates or tls.acme"
	if len(s.pairs) > 0 {
		why, do = "no certificate has come from the authority yet", ""
	}
	next.notes = append(next.notes, fmt.Sprintf("%s: a self-signed one for %s is shown, which senders that verify will not accept%s", why, s.hostname, do))
	return nil
}

// suites are those of TLS 1.2 with forward secrecy and authenticated encryption (RFC 9325 section 4.2). TLS 1.3 has no
// others.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// Config is a new server configuration that shows the store's certificates of the moment of each handshake; a reload
// needs no other. Make one per listener: each has session ticket keys of its own, exchanged every day, so that a ticket
// of one listener means nothing to another. It must not be changed once it serves. minVersion is tls.VersionTLS12 or
// later; less counts as TLS 1.2 (RFC 8996).
func (s *Store) Config(minVersion uint16) *tls.Config {
	return &tls.Config{
		MinVersion:     max(minVersion, tls.VersionTLS12),
		CipherSuites:   suites(),
		GetCertificate: s.choose,
	}
}

// choose picks the certificate for a handshake: one for the name that the client asked for, with a key that it can
// verify; else one that it can verify; else the first. Senders that ask for no name, or a wrong one, are ordinary.
func (s *Store) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	set := s.current.Load()
	if len(set.all) == 1 {
		return set.all[0], nil
	}
	for _, c := range set.prefer {
		if hello.SupportsCertificate(c) == nil && (hello.ServerName != "" || set.sameName(c)) {
			return c, nil
		}
	}
	nameless := *hello
	nameless.ServerName = ""
	for _, own := range []bool{true, false} {
		for _, c := range set.prefer {
			if nameless.SupportsCertificate(c) == nil && (!own || set.sameName(c)) {
				return c, nil
			}
		}
	}
	return set.all[0], nil
}

// sameName reports whether c is for the names of the first certificate, which is the one for clients that name none.
func (s *set) sameName(c *tls.Certificate) bool {
	first := s.all[0].Leaf
	return c.Leaf == first || len(first.DNSNames) > 0 && c.Leaf.VerifyHostname(first.DNSNames[0]) == nil
}

// Expiry is when the first of the certificates that are served ends.
func (s *Store) Expiry() time.Time {
	var first time.Time
	for _, c := range s.current.Load().all {
		if first.IsZero() || c.Leaf.NotAfter.Before(first) {
			first = c.Leaf.NotAfter
		}
	}
	return first
}

// Certificates describes what is served, in the order of the configuration.
func (s *Store) Certificates() []Info {
	set := s.current.Load()
	out := make([]Info, len(set.all))
	for i, c := range set.all {
		out[i] = infoOf(c)
	}
	return out
}

// SelfSigned reports whether the certificate is one that the store made.
func (s *Store) SelfSigned() bool { return s.current.Load().selfMade }

// Watch looks at the files every so often until ctx ends, reloads when one was replaced, and tells what came of it. A
// self-signed certificate is renewed in time.
func (s *Store) Watch(ctx context.Context, every time.Duration, tell func(notes []string, err error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failed := []stamp(nil) // what could not be loaded is not tried again before it changes
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		stamps := s.stamps()
		if !s.stale(stamps) || slices.Equal(stamps, failed) && failed != nil {
			continue
		}
		notes, err := s.Reload()
		failed = nil
		if err != nil {
			failed = stamps
		}
		tell(notes, err)
	}
}

func (s *Store) stale(stamps []stamp) bool {
	set := s.current.Load()
	if set.selfMade && set.all[0].Leaf.NotAfter.Sub(s.now()) < renewBefore {
		return true
	}
	return !slices.Equal(stamps, set.seen)
}

func (s *Store) stamps() []stamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []stamp
	for _, p := range s.pairs {
		out = append(out, stampOf(p.Cert), stampOf(p.Key))
	}
	return out
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{path: path, err: true}
	}
	return stamp{path: path, size: info.Size(), mod: info.ModTime()}
}
