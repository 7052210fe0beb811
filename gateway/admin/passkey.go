package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// This file is passkeys (WebAuthn): keys that stay in a device, bound to our name, so that no other site can ask for them.

const (
	kindPasskey  = "passkey"
	kindCeremony = "ceremony"
	ceremonyLife = 5 * time.Minute
)

// A passkey is one key of a person.
type passkey struct {
	Name       string              `json:"name"`
	Created    time.Time           `json:"created"`
	Credential webauthn.Credential `json:"credential"`
	key        string              // on the shelf
}

// ID names the key on pages.
func (p passkey) ID() string { return p.key[:min(16, len(p.key))] }

func (a *Accounts) passkeys(ctx context.Context, owner string) ([]passkey, error) {
	docs, err := a.shelf.List(ctx, kindPasskey, owner)
	if err != nil {
		return nil, err
	}
	out := make([]passkey, len(docs))
	for i, doc := range docs {
		if err := json.Unmarshal(doc.Body, &out[i]); err != nil {
			return nil, fmt.Errorf("read passkey: %w", err)
		}
		out[i].key = doc.Key
	}
	return out, nil
}

func (a *Accounts) putPasskey(ctx context.Context, owner string, p passkey) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return a.shelf.Put(ctx, Document{Kind: kindPasskey, Key: hashSecret(string(p.Credential.ID)), Owner: owner, Body: body})
}

// A holder is an account as the library sees it. Its id is the account's name: stable, and at most 64 bytes.
type holder struct {
	acc  Account
	keys []passkey
}

// WebAuthnID implements webauthn.User.
func (h holder) WebAuthnID() []byte { return []byte(h.acc.Name) }

// WebAuthnName implements webauthn.User.
func (h holder) WebAuthnName() string { return h.acc.Name }

// WebAuthnDisplayName implements webauthn.User.
func (h holder) WebAuthnDisplayName() string { return h.acc.Name }

// WebAuthnCredentials implements webauthn.User.
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	out := make([]webauthn.Credential, len(h.keys))
	for i, k := range h.keys {
		out[i] = k.Credential
	}
	return out
}

// passkeyHost is the name that passkeys are bound to; empty where there can be none: browsers bind them to host names
// over https, and to localhost.
func (d *desk) passkeyHost(v *visit) (host, origin string) {
	if u, err := url.Parse(d.cfg.BaseURL); err == nil && u.Scheme == "https" && u.Hostname() != "" {
		if net.ParseIP(u.Hostname()) != nil {
			return "", ""
		}
		return u.Hostname(), strings.TrimSuffix(d.cfg.BaseURL, "/")
	}
	if h, _, err := net.SplitHostPort(v.r.Host); err == nil && h == "localhost" {
		return "localhost", "http://" + v.r.Host
	}
	return "", ""
}

func (d *desk) webauthn(v *visit) (*webauthn.WebAuthn, error) {
	host, origin := d.passkeyHost(v)
	if host == "" {
		return nil, errNotWired
	}
	w, err := webauthn.New(&webauthn.Config{RPID: host, RPDisplayName: "Gatepost", RPOrigins: []string{origin}})
	if err != nil {
		return nil, fmt.Errorf("prepare passkeys: %w", err)
	}
	return w, nil
}

// A ceremony is what must be remembered between the question to a device and its answer.
type ceremony struct {
	Session webauthn.SessionData `json:"session"`
	Account string               `json:"account,omitempty"`
}

// beginCeremony remembers one; the browser gives its id back with the answer.
func (d *desk) beginCeremony(v *visit, c ceremony, options any) error {
	secret, hash := newSecret()
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	err = d.deps.Accounts.shelf.Put(v.r.Context(), Document{Kind: kindCeremony, Key: hash, Owner: c.Account, Body: body, Expires: d.now().Add(ceremonyLife)})
	if err != nil {
		return err
	}
	d.writeJSON(v, http.StatusOK, map[string]any{"ceremony": secret, "options": options})
	return nil
}

// An apiAnswer is what a device answered.
type apiAnswer struct {
	Ceremony string          `json:"ceremony"`
	Name     string          `json:"name,omitempty"` // of a new key
	Answer   json.RawMessage `json:"answer"`
	Next     string          `json:"next,omitempty"`
}

var errPasskey = &problem{status: http.StatusUnauthorized, key: "error.passkey"}

// answer reads what a device answered, and the ceremony that it answers, which is over with it.
func (d *desk) answer(v *visit) (in apiAnswer, c ceremony, err error) {
	if err := v.readBody(&in); err != nil {
		return in, c, err
	}
	ctx, hash := v.r.Context(), hashSecret(in.Ceremony)
	body, err := d.deps.Accounts.shelf.Get(ctx, kindCeremony, hash)
	if err != nil {
		return in, c, err
	}
	if body == nil {
		return in, c, errPasskey
	}
	once, err := d.deps.Accounts.shelf.Delete(ctx, kindCeremony, hash)
	if err != nil || !once {
		return in, c, cmpErr(err, errPasskey)
	}
	return in, c, json.Unmarshal(body, &c)
}

// request is the answer as the library reads it.
func (in apiAnswer) request() *http.Request {
	return &http.Request{Method: post, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(in.Answer))}
}

func apiPasskeyBegin(d *desk, v *visit) error {
	if v.visitor.session == nil {
		return errForbidden
	}
	if !v.visitor.fresh(d.now()) {
		return errProve
	}
	w, err := d.webauthn(v)
	if err != nil {
		return err
	}
	keys, err := d.deps.Accounts.passkeys(v.r.Context(), v.visitor.account.Name)
	if err != nil {
		return err
	}
	h := holder{v.visitor.account, keys}
	options, session, err := w.BeginRegistration(h, webauthn.WithResidentKeyRequirement(protocol.ResidentKeyRequirementRequired),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired}),
		webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return fmt.Errorf("begin passkey: %w", err)
	}
	return d.beginCeremony(v, ceremony{*session, h.acc.Name}, options.Response)
}

func apiPasskeyFinish(d *desk, v *visit) error {
	in, c, err := d.answer(v)
	if err != nil {
		return err
	}
	w, err := d.webauthn(v)
	if err != nil {
		return err
	}
	if c.Account != v.visitor.account.Name {
		return errPasskey
	}
	cred, err := w.FinishRegistration(holder{acc: v.visitor.account}, c.Session, in.request())
	if err != nil {
		d.log.Warn("passkey refused", "request", v.id, "error", err.Error())
		return errPasskey
	}
	if err := d.audit(v, "passkey added", "", in.Name); err != nil {
		return err
	}
	p := passkey{Name: clip(strings.TrimSpace(in.Name), 64), Created: d.now().UTC().Truncate(time.Second), Credential: *cred}
	if p.Name == "" {
		p.Name = "passkey"
	}
	return v.nothing(d.deps.Accounts.putPasskey(v.r.Context(), v.visitor.account.Name, p))
}

// removePasskey takes one key of the person away.
func removePasskey(d *desk, v *visit) error {
	keys, err := d.deps.Accounts.passkeys(v.r.Context(), v.visitor.account.Name)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k passkey) bool { return k.ID() == v.r.PathValue("id") })
	if i < 0 {
		return errNotFound
	}
	if err := d.prove(v); err != nil { // or a session that was left open could take the second factor away
		return d.proofFailed(v, err)
	}
	if err := d.audit(v, "passkey removed", "", keys[i].Name); err != nil {
		return err
	}
	if _, err := d.deps.Accounts.shelf.Delete(v.r.Context(), kindPasskey, keys[i].key); err != nil {
		return err
	}
	v.redirect("/account")
	return nil
}

func apiPasskeyLogin(d *desk, v *visit) error {
	if v.plainFromAfar() {
		return errForbidden
	}
	w, err := d.webauthn(v)
	if err != nil {
		return err
	}
	options, session, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return fmt.Errorf("begin login: %w", err)
	}
	return d.beginCeremony(v, ceremony{Session: *session}, options.Response)
}

// apiPasskeyEnter opens a session for the owner of a key. The device checked the person, so it is both factors at once.
func apiPasskeyEnter(d *desk, v *visit) error {
	in, c, err := d.answer(v)
	if err != nil {
		return err
	}
	w, err := d.webauthn(v)
	if err != nil {
		return err
	}
	ctx, a := v.r.Context(), d.deps.Accounts
	var who holder
	find := func(_, id []byte) (webauthn.User, error) {
		acc, err := a.Account(ctx, string(id))
		if err != nil {
			return nil, err
		}
		keys, err := a.passkeys(ctx, acc.Name)
		who = holder{acc, keys}
		return who, err
	}
	cred, err := w.FinishDiscoverableLogin(find, c.Session, in.request())
	if err == nil && cred.Authenticator.CloneWarning {
		err = errors.New("the key's counter went back: it may have been copied")
	}
	if err != nil {
		d.log.Warn("passkey refused", "request", v.id, "error", err.Error())
		if err := d.audit(v, "login failed", "", "passkey"); err != nil {
			return err
		}
		return errPasskey
	}
	for _, k := range who.keys {
		if bytes.Equal(k.Credential.ID, cred.ID) {
			k.Credential = *cred
			if err := a.putPasskey(ctx, who.acc.Name, k); err != nil {
				return err
			}
		}
	}
	v.visitor = &visitor{account: who.acc}
	if err := d.audit(v, "login with passkey", "", ""); err != nil {
		return err
	}
	if err := d.startSession(v, who.acc); err != nil {
		return err
	}
	d.writeJSON(v, http.StatusOK, map[string]string{"next": localPath(in.Next)})
	return nil
}
