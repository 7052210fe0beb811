package admin

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/microcosm-cc/bluemonday"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed letters/*.html
var letterFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

//go:embed texts/*.json
var textFiles embed.FS

// A desk answers the requests.
type desk struct {
	cfg    Config
	deps   Deps
	log    *slog.Logger
	texts  *texts
	pages  map[string]pageSet // by language
	assets map[string]asset
	routes []route
	prom   http.Handler
	clean  *bluemonday.Policy
	openapi
	meanings map[string]map[string]string // of finding codes, by language
	counted  hitCount
	read     readings
	provider provider
}

// New returns the handler of everything on the admin address.
func New(cfg Config, deps Deps) (http.Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Quarantine == nil || deps.Own == nil || deps.Journal == nil || deps.Accounts == nil || deps.Meter == nil {
		return nil, errors.New("admin needs a quarantine, a journal, accounts and a meter")
	}
	d := &desk{cfg: cfg, deps: deps, log: cmp.Or(deps.Log, slog.New(slog.DiscardHandler)), clean: sanitizer(), meanings: meaningsOf(deps.Codes)}
	var err error
	if d.texts, err = readTexts(); err != nil {
		return nil, err
	}
	if d.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if d.pages, err = d.readPages(); err != nil {
		return nil, err
	}
	if d.prom, err = deps.Meter.handler(deps.Health, deps.Gauges); err != nil {
		return nil, err
	}
	d.routes = wired(&d.cfg, &d.deps)
	if d.openapi, err = describe(d.routes); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for i := range d.routes {
		mux.Handle(d.routes[i].method+" "+d.routes[i].pattern, d.serve(&d.routes[i]))
	}
	missing := route{method: http.MethodGet, pattern: "/", open: true, handle: func(*desk, *visit) error { return errNotFound }}
	mux.Handle("/", d.serve(&missing))
	unknown := route{method: http.MethodGet, pattern: apiRoot, open: true, api: true, handle: func(_ *desk, v *visit) error { return strayed(mux, v) }}
	mux.Handle(apiRoot, d.serve(&unknown))
	guard := http.NewCrossOriginProtection()
	if cfg.BaseURL != "" {
		if err := guard.AddTrustedOrigin(trimSlash(cfg.BaseURL)); err != nil {
			return nil, fmt.Errorf("admin.base_url: %w", err)
		}
	}
	forged := route{method: http.MethodPost, pattern: "*", open: true, handle: func(*desk, *visit) error { return errForged }}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r, route: &forged, lang: d.texts.choose(r, cfg.Language)}
		d.setHeaders(v)
		d.fail(v, errForged)
	}))
	return guard.Handler(mux), nil
}

// apiRoot is where everything is for programs, what is not there as well.
const apiRoot = "/api/"

// strayed says to a program that there is nothing at its path, or nothing by its method.
func strayed(mux *http.ServeMux, v *visit) error {
	var allowed []string
	for _, method := range []string{get, post, del} {
		r := *v.r
		r.Method = method
		if _, pattern := mux.Handler(&r); pattern != apiRoot {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return errNotFound
	}
	v.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &problem{status: http.StatusMethodNotAllowed, key: "error.method", detail: "want " + strings.Join(allowed, " or ")}
}

func trimSlash(s string) string {
	if n := len(s) - 1; n >= 0 && s[n] == '/' {
		return s[:n]
	}
	return s
}

func (d *desk) now() time.Time {
	if d.deps.Now != nil {
		return d.deps.Now()
	}
	return time.Now()
}

// Server returns an HTTP server for h with the limits that a page on the edge of a network needs. HTTP/2 stays off.
func Server(h http.Handler) *http.Server {
	var p http.Protocols
	p.SetHTTP1(true)
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		Protocols:         &p,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

// Limit bounds the connections that l hands out: total at once, and each from one address. Loopback, where a proxy
// would be, only counts towards the total. Connections beyond are closed at once.
func Limit(l net.Listener, total, each int) net.Listener {
	return &limitedListener{Listener: l, total: total, each: each, from: make(map[netip.Addr]int)}
}

type limitedListener struct {
	net.Listener
	total, each int

	mu   sync.Mutex
	open int
	from map[netip.Addr]int
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var addr netip.Addr
		if ap, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
			addr = ap.Addr().Unmap()
		}
		if l.take(addr) {
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { l.give(addr) })}, nil
		}
		c.Close()
	}
}

func (l *limitedListener) take(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total || !addr.IsLoopback() && l.from[addr] >= l.each {
		return false
	}
	l.open++
	l.from[addr]++
	return true
}

func (l *limitedListener) give(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.from[addr]--; l.from[addr] <= 0 {
		delete(l.from, addr)
	}
}

type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}
