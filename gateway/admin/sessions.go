package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// A session is one login. The browser holds a secret; the shelf holds its SHA-256.
type session struct {
	Account string    `json:"account"`
	Epoch   string    `json:"epoch"` // of the account at login
	CSRF    string    `json:"csrf"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Proved  time.Time `json:"proved"` // when the person last showed who they are
	Client  string    `json:"client"`
	hash    string
}

// A token opens the API for a program. Only its hash is kept.
type token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Account string    `json:"account"`
	Scopes  []Right   `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// login checks a password under the delays of O-08 and reports how long to wait if there were too many failures.
func (a *Accounts) login(ctx context.Context, name, password string, client netip.Addr, now time.Time) (Account, time.Duration, error) {
	keys := loginKeys(name, client)
	if client.Unmap().IsLoopback() {
		keys = keys[:1] // a proxy, or someone at the machine: not a network of strangers
	}
	if d := a.delays.wait(now, keys...); d > 0 {
		return Account{}, d, ErrTooMany
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	acc, err := a.Verify(ctx, name, password)
	switch err {
	case nil:
		a.delays.succeed(keys[0])
	case ErrWrong:
		a.delays.fail(now, keys...)
	}
	return acc, 0, err
}

// begin opens a session with a new secret.
func (a *Accounts) begin(ctx context.Context, acc Account, client string, now time.Time, life time.Duration) (secret string, err error) {
	secret, hash := newSecret()
	csrf, _ := newSecret()
	s := session{Account: acc.Name, Epoch: acc.Epoch, CSRF: csrf, Created: now, Seen: now, Proved: now, Client: client, hash: hash}
	return secret, a.keep(ctx, s, life)
}

func (a *Accounts) keep(ctx context.Context, s session, life time.Duration) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return a.shelf.Put(ctx, Document{Kind: kindSession, Key: s.hash, Owner: s.Account, Body: body, Expires: s.Created.Add(life)})
}

// resume finds the visitor behind a session secret; nil if there is none, or it is over. It notes when the session was
// last seen, at most once a minute; but for a page that asks by itself (unattended), which keeps nobody logged in.
func (a *Accounts) resume(ctx context.Context, secret string, now time.Time, idle, life time.Duration, unattended bool) (*visitor, error) {
	hash := hashSecret(secret)
	body, err := a.shelf.Get(ctx, kindSession, hash)
	if err != nil || body == nil {
		return nil, err
	}
	s := session{hash: hash}
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	acc, err := a.Account(ctx, s.Account)
	if err == ErrNoAccount || err == nil && (acc.Epoch != s.Epoch || now.Sub(s.Seen) > idle || now.Sub(s.Created) > life) {
		_, err := a.shelf.Delete(ctx, kindSession, hash)
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if !unattended && now.Sub(s.Seen) > time.Minute {
		s.Seen = now
		if err := a.keep(ctx, s, life); err != nil {
			return nil, err
		}
	}
	return &visitor{account: acc, session: &s}, nil
}

// proofLife is how long a person who showed who they are may change what everybody's mail depends on (HOSTILE 4.3).
const proofLife = 5 * time.Minute

// fresh reports whether the person showed who they are a moment ago. A token's scopes are proof enough.
func (v *visitor) fresh(now time.Time) bool {
	return v.session == nil || now.Sub(v.session.Proved) < proofLife
}

// asks reports whether a page that changes something has to ask for the password. Whoever a provider vouches for has
// none: they log in once more instead.
func (d *desk) asks(v *visit) bool {
	return !v.visitor.fresh(d.now()) && v.visitor.account.Subject == ""
}

// prove checks the password once more, unless that was a moment ago. A page that was opened when it was asks for none, so
// no password is not a wrong one: it is asked for, and counts as no guess.
func (d *desk) prove(v *visit) error {
	now := d.now()
	if v.visitor.fresh(now) {
		return nil
	}
	if err := d.checkPassword(v); err != nil {
		return err
	}
	v.visitor.session.Proved = now
	return d.deps.Accounts.keep(v.r.Context(), *v.visitor.session, d.cfg.SessionLife)
}

// checkPassword checks the password that came with a form, whatever was proved before.
func (d *desk) checkPassword(v *visit) error {
	password := v.r.PostForm.Get("password")
	switch {
	case v.visitor.account.Subject != "":
		return errProve
	case password == "":
		return errAgain
	}
	_, _, err := d.deps.Accounts.login(v.r.Context(), v.visitor.account.Name, password, v.client, d.now())
	return err
}

// end closes a session.
func (a *Accounts) end(ctx context.Context, s *session) error {
	_, err := a.shelf.Delete(ctx, kindSession, s.hash)
	return err
}

// maxTokenLife bounds the life of a token.
const maxTokenLife = 366 * 24 * time.Hour

// issue makes a token with some of the rights of acc and returns its secret, which is shown once.
func (a *Accounts) issue(ctx context.Context, acc Account, t token) (string, token, error) {
	secret, _ := newSecret()
	secret = "gp_" + secret
	hash := hashSecret(secret)
	t.ID, t.Account = hash[:12], acc.Name
	if t.Expires.IsZero() || t.Expires.Sub(t.Created) > maxTokenLife {
		t.Expires = t.Created.Add(maxTokenLife)
	}
	body, err := json.Marshal(t)
	if err != nil {
		return "", t, err
	}
	return secret, t, a.shelf.Put(ctx, Document{Kind: kindToken, Key: hash, Owner: acc.Name, Body: body, Expires: t.Expires})
}

// tokens lists the tokens of one account, or of all for "".
func (a *Accounts) tokens(ctx context.Context, owner string) ([]token, error) {
	docs, err := a.shelf.List(ctx, kindToken, owner)
	if err != nil {
		return nil, err
	}
	out := make([]token, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Body, &out[i]); err != nil {
			return nil, fmt.Errorf("read token: %w", err)
		}
	}
	slices.SortFunc(out, func(x, y token) int { return y.Created.Compare(x.Created) })
	return out, nil
}

// revoke ends one token of an account.
func (a *Accounts) revoke(ctx context.Context, owner, id string) (bool, error) {
	docs, err := a.shelf.List(ctx, kindToken, owner)
	if err != nil {
		return false, err
	}
	for _, d := range docs {
		if len(d.Key) >= 12 && d.Key[:12] == id {
			return a.shelf.Delete(ctx, kindToken, d.Key)
		}
	}
	return false, nil
}

// bearer finds the visitor behind a token; nil if there is none.
func (a *Accounts) bearer(ctx context.Context, secret string, now time.Time) (*visitor, error) {
	body, err := a.shelf.Get(ctx, kindToken, hashSecret(secret))
	if err != nil || body == nil {
		return nil, err
	}
	var t token
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	if !now.Before(t.Expires) {
		return nil, nil
	}
	acc, err := a.Account(ctx, t.Account)
	if err == ErrNoAccount || err == nil && acc.MustChange {
		return nil, nil
	}
	if t.Scopes == nil {
		t.Scopes = []Right{}
	}
	return &visitor{account: acc, scopes: t.Scopes}, err
}

// The cookie's names. Browsers accept the first only over https, for this host and the whole path (RFC 6265bis section
// 4.1.3.2); the second is for a person at the machine itself, over plain http on loopback.
const (
	secureCookie   = "__Host-gatepost"
	loopbackCookie = "gatepost-loopback"
)

func sessionCookie(secret string, secure bool, life time.Duration) *http.Cookie {
	c := &http.Cookie{Name: loopbackCookie, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(life / time.Second)}
	if secure {
		c.Name, c.Secure = secureCookie, true
	}
	return c
}
