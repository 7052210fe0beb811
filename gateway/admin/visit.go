package admin

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"gatepost/filters/mail"
	"gatepost/gateway/db"
)

// A visit is one request being answered.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	id      string // shown on error pages, found in the log
	client  netip.Addr
	secure  bool // the browser speaks https to us or to the proxy before us
	lang    string
	route   *route
	visitor *visitor // nil: not logged in
}

// A problem is an error with a status and a message for the person, by catalogue key.
type problem struct {
	status int
	key    string
	err    error  // for the log; nil: not worth one
	detail string // for programs: where and what, beyond key; of nothing but what they sent
}

// badRequest says what of a program's request was not understood.
func badRequest(format string, args ...any) error {
	return &problem{status: http.StatusBadRequest, key: errBadForm.key, detail: mail.Printable(fmt.Sprintf(format, args...), 300)}
}

func (p *problem) Error() string {
	if p.err != nil {
		return p.err.Error()
	}
	return p.key
}

func (p *problem) Unwrap() error { return p.err }

// The problems that handlers return.
var (
	errNotFound  = &problem{status: http.StatusNotFound, key: "error.missing"}
	errForbidden = &problem{status: http.StatusForbidden, key: "error.forbidden"}
	errBadForm   = &problem{status: http.StatusBadRequest, key: "error.request"}
	errForged    = &problem{status: http.StatusForbidden, key: "error.forged"}
	errLogin     = &problem{status: http.StatusUnauthorized, key: "error.login"}
	errTooLarge  = &problem{status: http.StatusRequestEntityTooLarge, key: "error.large"}
	errMediaType = &problem{status: http.StatusUnsupportedMediaType, key: "error.json"}
)

const (
	maxBody  = 1 << 20
	maxQuery = 200 // parameters
)

// serve makes the handler of one route: who is it, may they, is it really them, and then the work.
func (d *desk) serve(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r, id: strings.ToLower(rand.Text()[:10]), route: rt, secure: d.secure(r)}
		if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			v.client = ap.Addr().Unmap()
		}
		v.lang = d.texts.choose(r, d.cfg.Language)
		d.setHeaders(v)
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				d.fail(v, fmt.Errorf("panic: %v", p))
			}
		}()
		if err := d.admit(v); err != nil {
			d.fail(v, err)
			return
		}
		if err := rt.handle(d, v); err != nil {
			d.fail(v, err)
		}
	})
}

// admit decides whether the visit may reach its handler.
func (d *desk) admit(v *visit) error {
	probe := v.route.plain && !v.client.IsLoopback() // by a machine, which calls us what it likes
	if !probe && !d.knownHost(v.r.Host) {
		return &problem{status: http.StatusMisdirectedRequest, key: "error.host"}
	}
	if strings.Count(v.r.URL.RawQuery, "&") >= maxQuery {
		return errBadForm
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxBody)
	if err := d.identify(v); err != nil {
		return err
	}
	if v.visitor == nil && !v.route.open {
		return errLogin
	}
	if v.visitor != nil && v.visitor.account.MustChange && !v.route.open && !v.route.settling {
		return &problem{status: http.StatusForbidden, key: "error.settle"}
	}
	if !v.route.open && !v.route.settling {
		if must, err := d.mustSecure(v); err != nil || must {
			return cmpErr(err, &problem{status: http.StatusForbidden, key: "error.secure"})
		}
	}
	if !v.route.open && !v.visitor.may(v.route.right) {
		return errForbidden
	}
	if v.route.method != http.MethodGet {
		return d.admitChange(v)
	}
	return nil
}

// admitChange makes sure that the person meant it: the right kind of body, and the session's token with it.
func (d *desk) admitChange(v *visit) error {
	ct, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if v.route.api {
		if v.r.ContentLength != 0 && (err != nil || ct != "application/json") {
			return errMediaType
		}
	} else {
		if err != nil || ct != "application/x-www-form-urlencoded" {
			return errBadForm
		}
		if err := v.r.ParseForm(); err != nil {
			if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
				return errTooLarge
			}
			return errBadForm
		}
	}
	if v.visitor == nil || v.visitor.session == nil {
		return nil // nothing to forge with: a login, or a bearer token that no browser adds by itself
	}
	given := v.r.Header.Get("X-Csrf-Token")
	if !v.route.api {
		given = v.r.PostForm.Get("csrf")
	}
	if subtle.ConstantTimeCompare([]byte(given), []byte(v.visitor.session.CSRF)) != 1 {
		return errForged
	}
	return nil
}

// identify finds out who it is: by bearer token on the API, else by cookie.
func (d *desk) identify(v *visit) (err error) {
	ctx := v.r.Context()
	if auth := v.r.Header.Get("Authorization"); auth != "" && v.route.api {
		secret, ok := strings.CutPrefix(auth, "Bearer ")
		if !ok {
			return errLogin
		}
		v.visitor, err = d.deps.Accounts.bearer(ctx, secret, d.now())
		if err == nil && v.visitor == nil {
			return errLogin
		}
		return err
	}
	name := loopbackCookie
	if v.secure {
		name = secureCookie
	}
	c, err := v.r.Cookie(name)
	if err != nil || len(c.Value) > 100 {
		return nil
	}
	v.visitor, err = d.deps.Accounts.resume(ctx, c.Value, d.now(), d.cfg.SessionIdle, d.cfg.SessionLife, v.unattended())
	return err
}

// unattended reports whether no person made the request: the overview asks by itself.
func (v *visit) unattended() bool {
	return v.r.Method == http.MethodGet && v.r.Header.Get("Gatepost-Unattended") != ""
}

// secure reports whether the browser's side of the connection is https.
func (d *desk) secure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(d.cfg.BaseURL, "https:")
}

// knownHost keeps other sites' names from being pointed at us (DNS rebinding): the Host is ours, an IP address or localhost.
func (d *desk) knownHost(host string) bool {
	u, err := url.Parse("http://" + host)
	if err != nil || u.Host != host {
		return false
	}
	if base, err := url.Parse(d.cfg.BaseURL); err == nil && base.Host != "" && strings.EqualFold(base.Host, host) {
		return true
	}
	name := strings.ToLower(u.Hostname())
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	_, err = netip.ParseAddr(name)
	return err == nil
}

// The headers of every answer; the content policy of a page and that of a message preview differ.
const (
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; " +
		"manifest-src 'self'; require-trusted-types-for 'script'"
	previewPolicy = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
	rawPolicy     = "sandbox; default-src 'none'; frame-ancestors 'none'"
)

func (d *desk) setHeaders(v *visit) {
	h := v.w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "accelerometer=(), camera=(), clipboard-read=(), display-capture=(), geolocation=(), "+
		"gyroscope=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(self), usb=()")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language, Cookie")
	if v.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// fail answers with an error: the person sees a sentence and an id, the log gets the rest.
func (d *desk) fail(v *visit, err error) {
	p := (*problem)(nil)
	if !errors.As(err, &p) && db.Away(err) {
		p = &problem{status: http.StatusServiceUnavailable, key: "error.store", err: err}
	}
	if p == nil {
		p = &problem{status: http.StatusInternalServerError, key: "error.internal", err: err}
	}
	if p.err != nil && v.r.Context().Err() == nil {
		d.log.Error("admin request failed", slog.String("request", v.id), slog.String("method", v.r.Method),
			slog.String("route", v.route.pattern), slog.Any("error", p.err))
	}
	if p.key == "error.store" {
		v.visitor = nil // who it is cannot be looked up now
		v.w.Header().Set("Retry-After", "5")
	}
	if v.route.api || v.route.plain {
		if p.status == http.StatusUnauthorized {
			v.w.Header().Set("WWW-Authenticate", "Bearer")
		}
		body := map[string]any{"error": d.texts.say("en", p.key), "code": p.key, "request": v.id}
		if p.detail != "" {
			body["detail"] = p.detail
		}
		d.writeJSON(v, p.status, body)
		return
	}
	switch {
	case p == errLogin && v.r.Method == http.MethodGet:
		v.redirect("/login?next=" + url.QueryEscape(v.r.URL.RequestURI()))
	case p.key == "error.settle" || p.key == "error.secure" && v.r.Method == http.MethodGet:
		v.redirect("/account")
	default:
		page := errorPage{Key: p.key, Request: v.id, Status: p.status, Text: v.wrote()}
		if p == errLogin {
			page.Key, page.Login = "error.over", "/login?next="+url.QueryEscape(d.before(v))
		}
		d.render(v, p.status, "error", page)
	}
}

type errorPage struct {
	Key     string
	Request string
	Status  int
	Login   string // where to log in again; empty: it would not help
	Text    string // what the person had written, so that it is not lost
}

// wrote is the text of a draft that came with a request, though nothing could be done with it.
func (v *visit) wrote() string {
	if v.r.Method != http.MethodPost || !strings.HasPrefix(v.route.pattern, "/policy/") {
		return ""
	}
	if v.r.PostForm == nil && v.r.ParseForm() != nil {
		return ""
	}
	return v.r.PostForm.Get("text")
}

// before is the page that the form of a request stands on, as far as that can be told.
func (d *desk) before(v *visit) string {
	at := v.route.pattern
	if strings.HasPrefix(at, "/policy/") && at != "/policy/kept/{name}" {
		return "/policy/draft"
	}
	if slices.ContainsFunc(d.routes, func(r route) bool { return r.method == get && r.pattern == at }) {
		return v.r.URL.Path
	}
	return "/"
}

// redirect goes to a path of ours; anything else goes home (O-12).
func (v *visit) redirect(to string) {
	http.Redirect(v.w, v.r, localPath(to), http.StatusSeeOther)
}

// localPath is s if it names a path on this host and nothing else, or "/".
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || len(s) > 2048 ||
		!strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") ||
		strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return s
}

func (d *desk) writeJSON(v *visit, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		d.log.Error("encode answer", slog.String("request", v.id), slog.Any("error", err))
		status, b = http.StatusInternalServerError, []byte(`{"error":"internal error"}`)
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		v.w.Write(append(b, '\n'))
	}
}
