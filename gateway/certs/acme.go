package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// The challenges by which an authority sees that a name is ours (RFC 8555 section 8, RFC 8737).
const (
	ChallengeHTTP = "http"     // a page at port 80
	ChallengeALPN = "tls-alpn" // a handshake at port 443
	ChallengeDNS  = "dns"      // a TXT record
)

// ACME says whom to ask for certificates, and how.
type ACME struct {
	Directory string   // URL of the authority
	Email     string   // where it writes when something is wrong with the account; may be empty
	Roots     string   // PEM file of roots to trust when it is asked; empty: the system's
	Names     []string // a certificate is had for each
	Keys      []string // for each of these kinds of key: "ecdsa" (P-256), "rsa" (2048 bits)
	ReuseKeys bool     // a renewed certificate keeps its key, and TLSA records made for it stay good
	Challenge string   // one of the Challenge constants
	Listen    string   // HOST:PORT where http and tls-alpn are answered while a challenge lasts; empty: ":80" or ":443"
	Records   Records  // for ChallengeDNS
}

// Records is where TXT records are put for the DNS challenge. name is absolute and ends in a dot.
type Records interface {
	Add(ctx context.Context, name, text string) error
	Remove(ctx context.Context, name, text string) error
	Wait(ctx context.Context, name, text string) error // until the world can see it
}

// An Authority gets certificates by ACME (RFC 8555) and renews them in time. They are kept in files, and a Store that
// was given Pairs serves them like any others.
type Authority struct {
	names   []string
	keepers []keeper
	turn    chan struct{} // one order at a time: two for one name would answer each other's challenges
	news    chan event
}

// A keeper has the certificates with one kind of key.
type keeper struct {
	pairs []Pair
	cfg   *certmagic.Config
	cache *certmagic.Cache
}

// An event is how an order ended; nil: well.
type event struct {
	name string
	err  error
}

// patience is how long an order waits for the one before it.
const patience = 10 * time.Minute

// NewAuthority prepares to ask for certificates. Nothing is asked before Run. They are kept in dataDir/tls/acme.
func NewAuthority(a ACME, dataDir string) (*Authority, error) {
	au := &Authority{names: a.Names, turn: make(chan struct{}, 1), news: make(chan event, 16)}
	roots, err := rootsOf(a.Roots)
	if err != nil {
		return nil, err
	}
	for _, kind := range a.Keys {
		k, err := au.keeper(a, kind, roots, filepath.Join(dataDir, "tls", "acme", kind))
		if err != nil {
			au.Close()
			return nil, fmt.Errorf("prepare to get certificates: %w", err)
		}
		au.keepers = append(au.keepers, k)
	}
	return au, nil
}

// rootsOf reads the roots by which the authority itself is verified.
func rootsOf(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	data, err := readPEM(path)
	if err != nil {
		return nil, fmt.Errorf("read roots of the authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read roots of the authority: %s holds no certificate in PEM", path)
	}
	return pool, nil
}

// keeper prepares for one kind of key.
func (au *Authority) keeper(a ACME, kind string, roots *x509.CertPool, dir string) (keeper, error) {
	var k keeper
	silent := zap.NewNop() // what matters comes as an event
	storage := &certmagic.FileStorage{Path: dir}
	k.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return k.cfg, nil },
		Logger:           silent,
	})
	generator := certmagic.StandardKeyGenerator{KeyType: certmagic.P256}
	if kind == "rsa" {
		generator.KeyType = certmagic.RSA2048
	}
	cfg := certmagic.New(k.cache, certmagic.Config{
		Storage: storage, KeySource: generator, ReusePrivateKeys: a.ReuseKeys, Logger: silent,
		OCSP:    certmagic.OCSPConfig{DisableStapling: true}, // senders of mail do not ask for it
		OnEvent: au.onEvent,
	})
	issuer := certmagic.ACMEIssuer{
		CA: a.Directory, TestCA: a.Directory, Email: a.Email, Agreed: true, TrustedRoots: roots, Logger: silent,
		DisableHTTPChallenge: a.Challenge != ChallengeHTTP, DisableTLSALPNChallenge: a.Challenge != ChallengeALPN,
		DisableDistributedSolvers: true,
	}
	if a.Challenge == ChallengeDNS {
		issuer.DNS01Solver = txt{a.Records}
	} else if a.Listen != "" {
		host, port, err := net.SplitHostPort(a.Listen)
		if err != nil {
			return keeper{}, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return keeper{}, err
		}
		issuer.ListenHost, issuer.AltHTTPPort, issuer.AltTLSALPNPort = host, n, n
	}
	made := certmagic.NewACMEIssuer(cfg, issuer)
	cfg.Issuers = []certmagic.Issuer{made}
	k.cfg = cfg
	for _, name := range a.Names {
		k.pairs = append(k.pairs, Pair{
			Cert:    storage.Filename(certmagic.StorageKeys.SiteCert(made.IssuerKey(), name)),
			Key:     storage.Filename(certmagic.StorageKeys.SitePrivateKey(made.IssuerKey(), name)),
			Awaited: true,
		})
	}
	return k, nil
}

// Pairs are the files in which the certificates will be, name by name.
func (au *Authority) Pairs() []Pair {
	var list []Pair
	for i := range au.names {
		for _, k := range au.keepers {
			list = append(list, k.pairs[i])
		}
	}
	return list
}

// Run asks for what is missing, renews what is about to end, and tries again what failed, later each time, until ctx
// ends. tell hears how each order went, with the name that it was for.
func (au *Authority) Run(ctx context.Context, tell func(name string, err error)) {
	for _, k := range au.keepers {
		if err := k.cfg.ManageAsync(ctx, au.names); err != nil {
			tell(au.names[0], err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-au.news:
			tell(e.name, e.err)
		}
	}
}

// Close ends the watch over the certificates. Orders end with the context of Run.
func (au *Authority) Close() {
	for _, k := range au.keepers {
		k.cache.Stop()
	}
}

// onEvent lets orders in one at a time and passes on how they ended.
func (au *Authority) onEvent(ctx context.Context, what string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch what {
	case "cert_obtaining":
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case au.turn <- struct{}{}:
		case <-t.C: // the one before ended without a word
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	case "cert_obtained":
		au.ended(ctx, event{name: name})
	case "cert_failed":
		err, _ := data["error"].(error)
		if err == nil {
			err = errors.New("the authority gave no reason")
		}
		au.ended(ctx, event{name, fmt.Errorf("get a certificate for %s: %w", name, err)})
	}
	return nil
}

// ended gives the turn back.
func (au *Authority) ended(ctx context.Context, e event) {
	select {
	case <-au.turn:
	default:
	}
	select {
	case au.news <- e:
	case <-ctx.Done():
	}
}

// txt answers the DNS challenge (RFC 8555 section 8.4).
type txt struct{ records Records }

// Present puts the record up.
func (s txt) Present(ctx context.Context, c acme.Challenge) error {
	return s.records.Add(ctx, c.DNS01TXTRecordName()+".", c.DNS01KeyAuthorization())
}

// Wait waits until the authority can see it.
func (s txt) Wait(ctx context.Context, c acme.Challenge) error {
	return s.records.Wait(ctx, c.DNS01TXTRecordName()+".", c.DNS01KeyAuthorization())
}

// CleanUp takes the record away.
func (s txt) CleanUp(ctx context.Context, c acme.Challenge) error {
	return s.records.Remove(ctx, c.DNS01TXTRecordName()+".", c.DNS01KeyAuthorization())
}

// Missing reports whether an awaited pair is not there yet.
func (p Pair) Missing() bool {
	_, err := os.Stat(p.Cert)
	return p.Awaited && errors.Is(err, fs.ErrNotExist)
}
