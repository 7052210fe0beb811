package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// OIDC is the admin.oidc section: login by an OpenID provider.
type OIDC struct {
	Issuer   string              `yaml:"issuer" doc:"The provider's issuer URL; empty: no login by a provider."`
	ClientID string              `yaml:"client_id" doc:"What the provider calls this gateway."`
	Secret   conf.Secret         `yaml:"client_secret" doc:"What the provider knows it by."`
	Name     string              `yaml:"name" default:"OpenID" doc:"What the button says."`
	Scopes   []string            `yaml:"scopes" default:"[profile, email]" doc:"Asked for beside openid."`
	Claim    string              `yaml:"name_claim" default:"email" doc:"Claim that becomes the account's name: email, which must be verified, or preferred_username."`
	Groups   string              `yaml:"groups_claim" default:"groups" doc:"Claim that lists the person's groups."`
	Roles    map[string][]string `yaml:"roles" doc:"Which group gives which roles; everybody else is a user of their own verified address."`
}

// on reports whether there is a provider.
func (c *OIDC) on() bool { return c.Issuer != "" }

const (
	kindOIDC   = "oidc"
	oidcLife   = 10 * time.Minute
	oidcTime   = 10 * time.Second // for one question to the provider
	oidcCookie = "gatepost-oidc"
)

// A provider is what is known of the OpenID provider, asked for at the first login and kept.
type provider struct {
	mu   sync.Mutex
	made *oidc.Provider
}

// get finds the provider. A failure is not kept: it may be back in a moment.
func (p *provider) get(ctx context.Context, issuer string) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made != nil {
		return p.made, nil
	}
	// The provider's keys are fetched later too, under the context given here: it must not end with this request.
	made, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), &http.Client{Timeout: oidcTime}), issuer)
	if err != nil {
		return nil, fmt.Errorf("ask OpenID provider: %w", err)
	}
	p.made = made
	return made, nil
}

// oauth is the client of the provider, with our address to come back to.
func (d *desk) oauth(v *visit, p *oidc.Provider) *oauth2.Config {
	base := strings.TrimSuffix(d.cfg.BaseURL, "/")
	if base == "" {
		base = "http://" + v.r.Host
	}
	c := &d.cfg.OIDC
	return &oauth2.Config{ClientID: c.ClientID, ClientSecret: c.Secret.Reveal(), Endpoint: p.Endpoint(), RedirectURL: base + "/login/oidc/callback",
		Scopes: append([]string{oidc.ScopeOpenID}, c.Scopes...)}
}

// A journeyOIDC is a login that is under way at the provider.
type journeyOIDC struct {
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // PKCE, RFC 7636
	Next     string `json:"next"`
}

var errProvider = &problem{status: http.StatusBadGateway, key: "error.provider"}

// oidcBegin sends the person to the provider.
func oidcBegin(d *desk, v *visit) error {
	p, err := d.provider.get(v.r.Context(), d.cfg.OIDC.Issuer)
	if err != nil {
		return &problem{status: errProvider.status, key: errProvider.key, err: err}
	}
	j := journeyOIDC{Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: localPath(v.r.PostForm.Get("next"))}
	body, err := json.Marshal(j)
	if err != nil {
		return err
	}
	secret, hash := newSecret()
	err = d.deps.Accounts.shelf.Put(v.r.Context(), Document{Kind: kindOIDC, Key: hash, Body: body, Expires: d.now().Add(oidcLife)})
	if err != nil {
		return err
	}
	http.SetCookie(v.w, &http.Cookie{Name: oidcCookie, Value: secret, Path: "/login/oidc", HttpOnly: true, Secure: v.secure, SameSite: http.SameSiteLaxMode, MaxAge: int(oidcLife / time.Second)})
	http.Redirect(v.w, v.r, d.oauth(v, p).AuthCodeURL(secret, oidc.Nonce(j.Nonce), oauth2.S256ChallengeOption(j.Verifier)), http.StatusSeeOther)
	return nil
}

// claims are what we read of a person.
type claims struct {
	Subject, Name, Email string
	Verified             bool
	Groups               []string
}

// oidcBack takes a person back from the provider. It is a GET by the protocol; without the state that this browser was
// given, and that is good once, it does nothing.
func oidcBack(d *desk, v *visit) error {
	c, next, err := d.oidcClaims(v)
	var acc Account
	if err == nil {
		acc, err = d.oidcAccount(v.r.Context(), c)
	}
	if err != nil {
		d.log.Warn("login by OpenID refused", "request", v.id, "error", err.Error())
		v.redirect("/login?error=oidc")
		return nil
	}
	return d.welcome(v, acc, next, "login by OpenID")
}

// oidcClaims ends the exchange with the provider.
func (d *desk) oidcClaims(v *visit) (out claims, next string, err error) {
	q, ctx := v.r.URL.Query(), v.r.Context()
	cookie, err := v.r.Cookie(oidcCookie)
	if err != nil || cookie.Value == "" || cookie.Value != q.Get("state") {
		return out, "", errors.New("the state is not the one that this browser was given")
	}
	hash := hashSecret(cookie.Value)
	body, err := d.deps.Accounts.shelf.Get(ctx, kindOIDC, hash)
	if err != nil {
		return out, "", err
	}
	if once, err := d.deps.Accounts.shelf.Delete(ctx, kindOIDC, hash); err != nil || !once || body == nil {
		return out, "", cmpErr(err, errors.New("the state was used before, or is too old"))
	}
	var j journeyOIDC
	if err := json.Unmarshal(body, &j); err != nil {
		return out, "", err
	}
	p, err := d.provider.get(ctx, d.cfg.OIDC.Issuer)
	if err != nil {
		return out, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, oidcTime)
	defer cancel()
	tok, err := d.oauth(v, p).Exchange(ctx, q.Get("code"), oauth2.VerifierOption(j.Verifier))
	if err != nil {
		return out, "", fmt.Errorf("exchange code: %w", err)
	}
	raw, _ := tok.Extra("id_token").(string)
	id, err := p.Verifier(&oidc.Config{ClientID: d.cfg.OIDC.ClientID}).Verify(ctx, raw)
	if err != nil {
		return out, "", fmt.Errorf("verify token: %w", err)
	}
	if id.Nonce != j.Nonce {
		return out, "", errors.New("the nonce is another")
	}
	out, err = d.cfg.OIDC.read(id)
	if err == nil && out.Email == "" { // some providers tell it only when asked for it
		if info, ierr := p.UserInfo(ctx, oauth2.StaticTokenSource(tok)); ierr == nil && info.Subject == id.Subject {
			out.Email, out.Verified = info.Email, info.EmailVerified
		}
	}
	return out, j.Next, err
}

// read takes the claims that are configured.
func (c *OIDC) read(id *oidc.IDToken) (claims, error) {
	var all map[string]any
	if err := id.Claims(&all); err != nil {
		return claims{}, fmt.Errorf("read claims: %w", err)
	}
	out := claims{Subject: id.Issuer + " " + id.Subject}
	out.Email, _ = all["email"].(string)
	out.Verified, _ = all["email_verified"].(bool)
	out.Name, _ = all[c.Claim].(string)
	groups, _ := all[c.Groups].([]any)
	for _, g := range groups {
		if s, ok := g.(string); ok {
			out.Groups = append(out.Groups, s)
		}
	}
	return out, nil
}

// oidcAccount is the account of a person whom the provider vouches for. An account that was made here, with a password,
// is never taken over by a name that a provider hands out.
func (d *desk) oidcAccount(ctx context.Context, c claims) (Account, error) {
	if d.cfg.OIDC.Claim == "email" || c.Name == "" {
		if !c.Verified {
			return Account{}, errors.New("the provider did not verify the address")
		}
		c.Name = c.Email
	}
	spec := AccountSpec{Name: strings.ToLower(c.Name), Roles: d.cfg.OIDC.rolesOf(c.Groups)}
	if addr, err := mail.ParseAddress(c.Email); err == nil && c.Verified {
		spec.Addresses = []string{addr.Canonical()}
	}
	want, err := spec.account()
	if err != nil {
		return Account{}, err
	}
	a := d.deps.Accounts
	have, err := a.Account(ctx, want.Name)
	if errors.Is(err, ErrNoAccount) {
		want.Subject, want.Created = c.Subject, d.now().UTC().Truncate(time.Second)
		if err := a.put(ctx, want); err != nil {
			return Account{}, err
		}
		return a.Account(ctx, want.Name)
	}
	if err != nil {
		return Account{}, err
	}
	if have.Subject != c.Subject {
		return Account{}, fmt.Errorf("the account %s is another person's", have.Name)
	}
	if slices.Equal(have.Roles, want.Roles) && slices.Equal(have.Addresses, want.Addresses) {
		return have, nil
	}
	have.Roles, have.Addresses = want.Roles, want.Addresses
	if err := a.put(ctx, have); err != nil {
		return Account{}, err
	}
	return a.Account(ctx, have.Name)
}

// rolesOf are the roles that groups give.
func (c *OIDC) rolesOf(groups []string) []Role {
	var out []Role
	for _, g := range groups {
		for _, r := range c.Roles[g] {
			if !slices.Contains(out, Role(r)) {
				out = append(out, Role(r))
			}
		}
	}
	if len(out) == 0 {
		out = []Role{User}
	}
	return out
}

// faults are what cannot stand in c.
func (c *OIDC) faults() []fault {
	if !c.on() {
		return nil
	}
	var out []fault
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && !loopbackAddress(u.Host) {
		out = append(out, fault{"oidc", fmt.Sprintf("the issuer is a URL such as https://login.example.com, found %q", c.Issuer)})
	}
	if c.ClientID == "" {
		out = append(out, fault{"oidc", "it needs a client_id"})
	}
	for group, roles := range c.Roles {
		for _, r := range roles {
			if !slices.Contains(Roles(), Role(r)) {
				out = append(out, fault{"oidc", fmt.Sprintf("the group %s gives %q, which is no role", group, r)})
			}
		}
	}
	return out
}

// issuerOrigin is where the login form may lead, for the content policy.
func (c *OIDC) issuerOrigin() string {
	u, err := url.Parse(c.Issuer)
	if !c.on() || err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
