package admin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost/gateway/journal"
)

type loginPage struct {
	Next  string
	Name  string
	Error string // catalogue key
	Wait  int    // seconds
	Plain bool   // over plain http from elsewhere: no login
	OIDC  string // name of the provider; empty: none
	Keys  bool   // passkeys can be used here
}

// loginPage is the login form as it is offered here.
func (d *desk) loginPage(v *visit, next string) loginPage {
	p := loginPage{Next: localPath(next), Plain: v.plainFromAfar()}
	if d.cfg.OIDC.on() {
		p.OIDC = d.cfg.OIDC.Name
		v.w.Header().Set("Content-Security-Policy", strings.Replace(pagePolicy, "form-action 'self'", "form-action 'self' "+d.cfg.OIDC.issuerOrigin(), 1))
	}
	host, _ := d.passkeyHost(v)
	p.Keys = host != ""
	return p
}

// plainFromAfar reports whether a password would cross a network in clear text.
func (v *visit) plainFromAfar() bool { return !v.secure && !v.client.IsLoopback() }

func loginForm(d *desk, v *visit) error {
	if v.visitor != nil {
		v.redirect(v.r.URL.Query().Get("next"))
		return nil
	}
	p := d.loginPage(v, v.r.URL.Query().Get("next"))
	if v.r.URL.Query().Get("error") == "oidc" {
		p.Error = "error.oidc"
	}
	return d.render(v, http.StatusOK, "login", p)
}

func login(d *desk, v *visit) error {
	form := v.r.PostForm
	p := d.loginPage(v, form.Get("next"))
	p.Name = clip(form.Get("name"), 64)
	if p.Plain {
		return d.render(v, http.StatusForbidden, "login", p)
	}
	ctx, now := v.r.Context(), d.now()
	name := strings.ToLower(strings.TrimSpace(p.Name))
	acc, wait, err := d.deps.Accounts.login(ctx, name, form.Get("password"), v.client, now)
	switch {
	case errors.Is(err, ErrTooMany):
		p.Error, p.Wait = "error.slow", max(1, int((wait+time.Second-1)/time.Second))
		v.w.Header().Set("Retry-After", fmt.Sprint(p.Wait))
		return d.render(v, http.StatusTooManyRequests, "login", p)
	case errors.Is(err, ErrWrong):
		if err := d.audit(v, "login failed", "", name); err != nil {
			return err
		}
		p.Error = "error.wrong"
		return d.render(v, http.StatusUnauthorized, "login", p)
	case err != nil:
		return err
	}
	needs, err := d.deps.Accounts.HasSecond(ctx, acc.Name)
	if err != nil {
		return err
	}
	if needs {
		return d.beginHalf(v, acc, p.Next)
	}
	return d.welcome(v, acc, p.Next, "login")
}

// startSession opens a session under a new id and gives the browser its cookie.
func (d *desk) startSession(v *visit, acc Account) error {
	life := d.cfg.SessionLife
	secret, err := d.deps.Accounts.begin(v.r.Context(), acc, v.client.String(), d.now(), life)
	if err != nil {
		return err
	}
	http.SetCookie(v.w, sessionCookie(secret, v.secure, life))
	return nil
}

func logout(d *desk, v *visit) error {
	if v.visitor.session != nil {
		if err := d.deps.Accounts.end(v.r.Context(), v.visitor.session); err != nil {
			return err
		}
	}
	if err := d.audit(v, "logout", "", ""); err != nil {
		return err
	}
	gone := sessionCookie("", v.secure, 0)
	gone.MaxAge = -1
	http.SetCookie(v.w, gone)
	v.redirect("/login")
	return nil
}

// chooseLanguage keeps a choice in a cookie that holds nothing else.
func chooseLanguage(d *desk, v *visit) error {
	lang := v.r.PostForm.Get("language")
	if _, ok := d.texts.byLang[lang]; !ok {
		return errBadForm
	}
	http.SetCookie(v.w, &http.Cookie{Name: languageCookie, Value: lang, Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, Secure: v.secure, SameSite: http.SameSiteLaxMode})
	v.redirect(v.r.PostForm.Get("next"))
	return nil
}

type accountView struct {
	Account    Account
	Tokens     []token
	Scopes     []Right
	Secret     string // of a token just made
	Error      string
	Lives      []int  // days that a token may be made for
	TOTP       string // a secret that is to be confirmed
	TOTPLink   string
	Recovery   []string // codes, shown once
	Second     bool     // a code is asked for at login
	Passkeys   []passkey
	Keys       bool // passkeys can be made here
	Setup      bool // the person is told how they could be
	Prove      bool
	MustSecure bool
	Digests    bool // they are sent, and the person gets one
	Choice     digestChoice
}

func (d *desk) showAccount(v *visit, status int, p accountView) error {
	p.Account, p.Lives = v.visitor.account, []int{7, 30, 90, 365}
	tokens, err := d.deps.Accounts.tokens(v.r.Context(), p.Account.Name)
	if err != nil {
		return err
	}
	p.Tokens = tokens
	if p.Second, err = d.deps.Accounts.HasSecond(v.r.Context(), p.Account.Name); err != nil {
		return err
	}
	if p.Passkeys, err = d.deps.Accounts.passkeys(v.r.Context(), p.Account.Name); err != nil {
		return err
	}
	if p.MustSecure, err = d.mustSecure(v); err != nil {
		return err
	}
	host, _ := d.passkeyHost(v)
	p.Keys, p.Prove, p.Setup = host != "", d.asks(v), v.visitor.may(RightPeople)
	if own := p.Account.Addresses; d.deps.Digests != nil && len(own) > 0 && slices.Contains(p.Account.Roles, User) {
		p.Digests = true
		if p.Choice, err = d.deps.Accounts.digestChoice(v.r.Context(), own[0]); err != nil {
			return err
		}
	}
	for _, r := range allRights() {
		if v.visitor.may(r) {
			p.Scopes = append(p.Scopes, r)
		}
	}
	return d.render(v, status, "account", p)
}

func accountPage(d *desk, v *visit) error { return d.showAccount(v, http.StatusOK, accountView{}) }

func changePassword(d *desk, v *visit) error {
	form, ctx := v.r.PostForm, v.r.Context()
	acc, _, err := d.deps.Accounts.login(ctx, v.visitor.account.Name, form.Get("current"), v.client, d.now())
	if errors.Is(err, ErrWrong) || errors.Is(err, ErrTooMany) {
		return d.showAccount(v, http.StatusForbidden, accountView{Error: errorKey(err)})
	}
	if err != nil {
		return err
	}
	if form.Get("password") == form.Get("current") {
		return d.showAccount(v, http.StatusBadRequest, accountView{Error: "error.same"})
	}
	err = d.deps.Accounts.SetPassword(ctx, acc.Name, form.Get("password"), false)
	if key := errorKey(err); key != "" {
		return d.showAccount(v, http.StatusBadRequest, accountView{Error: key})
	}
	if err != nil {
		return err
	}
	if err := d.audit(v, "password changed", "", acc.Name); err != nil {
		return err
	}
	if acc, err = d.deps.Accounts.Account(ctx, acc.Name); err != nil {
		return err
	}
	if err := d.startSession(v, acc); err != nil {
		return err
	}
	v.redirect("/")
	return nil
}

// errorKey is the sentence for an error that the person can do something about; "" for others.
func errorKey(err error) string {
	for e, key := range map[error]string{
		ErrWrong: "error.wrong", ErrCode: "error.code", ErrTooMany: "error.slow", ErrWeak: "error.weak", ErrName: "error.name", ErrExists: "error.exists",
		ErrRole: "error.role", ErrNoAddress: "error.address", ErrLastAdmin: "error.lastadmin", errBadPassword: "error.weak", errProve: "error.prove", errAgain: "error.again",
	} {
		if errors.Is(err, e) {
			return key
		}
	}
	return ""
}

func createToken(d *desk, v *visit) error {
	form := v.r.PostForm
	t := token{Name: clip(strings.TrimSpace(form.Get("name")), 64), Created: d.now().UTC().Truncate(time.Second), Scopes: []Right{}}
	for _, s := range form["scope"] {
		if r := Right(s); slices.Contains(allRights(), r) && v.visitor.may(r) {
			t.Scopes = append(t.Scopes, r)
		}
	}
	if t.Name == "" || len(t.Scopes) == 0 {
		return d.showAccount(v, http.StatusBadRequest, accountView{Error: "error.token"})
	}
	if err := d.prove(v); err != nil { // or a session that was left open would live on in a token
		return d.proofFailed(v, err)
	}
	days := map[string]int{"7": 7, "30": 30, "90": 90, "365": 365}[form.Get("days")]
	t.Expires = t.Created.Add(time.Duration(max(days, 1)) * 24 * time.Hour)
	if err := d.audit(v, "token created", "", t.Name); err != nil {
		return err
	}
	secret, _, err := d.deps.Accounts.issue(v.r.Context(), v.visitor.account, t)
	if err != nil {
		return err
	}
	return d.showAccount(v, http.StatusOK, accountView{Secret: secret})
}

func revokeToken(d *desk, v *visit) error {
	found, err := d.deps.Accounts.revoke(v.r.Context(), v.visitor.account.Name, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if !found {
		return errNotFound
	}
	if err := d.audit(v, "token revoked", "", v.r.PathValue("id")); err != nil {
		return err
	}
	v.redirect("/account")
	return nil
}

type overviewPage struct {
	Summary Summary
	Charts  []chart // for a desk, and for a phone
	TLS     int     // percent
	Waiting []heldRow
	Held    bool // the visitor may see them
}

func overview(d *desk, v *visit) error {
	if !v.visitor.may(RightOverview) {
		if v.visitor.may(RightList) {
			v.redirect("/quarantine")
			return nil
		}
		return errForbidden
	}
	p := overviewPage{Summary: d.deps.Meter.Summary(d.now()), Held: v.visitor.may(RightList)}
	p.Charts = []chart{drawHours(p.Summary.Hours, 760, 210), drawHours(p.Summary.Hours, 380, 220)}
	if p.Summary.Messages > 0 {
		p.TLS = p.Summary.TLS * 100 / p.Summary.Messages
	}
	if p.Held {
		q := filter{State: "waiting"}.query(d.now())
		q.Limit = 5
		entries, _, err := d.held(v.r.Context(), v.visitor, q)
		if err != nil {
			return err
		}
		if p.Waiting, err = d.heldRows(v.r.Context(), v.visitor, entries); err != nil {
			return err
		}
	}
	return d.render(v, http.StatusOK, "overview", p)
}

func healthPage(d *desk, v *visit) error { return d.render(v, http.StatusOK, "health", d.health()) }

type traceView struct {
	Query   string
	Records []traceRow
}

// A traceRow is one journal record in a list.
type traceRow struct {
	journal.Record
	Outcome Outcome
	Client  string
	Reasons []string
}

func traceRows(recs []journal.Record) []traceRow {
	out := make([]traceRow, len(recs))
	for i, r := range recs {
		out[i] = traceRow{Record: r, Outcome: OutcomeOf(&recs[i]), Client: clientName(r.Client, r.Name)}
		if r.Decision != nil {
			out[i].Reasons = r.Decision.Decided
		}
	}
	return out
}

func tracePage(d *desk, v *visit) error {
	p := traceView{Query: clip(strings.TrimSpace(v.r.URL.Query().Get("q")), 320)}
	recs, err := d.trace(v, p.Query, 100)
	if err != nil {
		return err
	}
	p.Records = traceRows(recs)
	return d.render(v, http.StatusOK, "trace", p)
}

// trace searches the journal; without a query it shows what happened last. What people did is the audit's.
func (d *desk) trace(v *visit, query string, limit int) (recs []journal.Record, err error) {
	ctx := v.r.Context()
	if query == "" {
		for _, kind := range []journal.Kind{journal.Message, journal.Refusal} {
			some, err := d.deps.Journal.Recent(ctx, kind, time.Time{}, limit)
			if err != nil {
				return nil, fmt.Errorf("read journal: %w", err)
			}
			recs = append(recs, some...)
		}
	} else if recs, err = d.deps.Journal.Trace(ctx, query, limit); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	if !v.visitor.may(RightAudit) {
		recs = slices.DeleteFunc(recs, func(r journal.Record) bool { return r.Kind == journal.Management && r.ID == "" })
	}
	slices.SortStableFunc(recs, func(a, b journal.Record) int { return b.Time.Compare(a.Time) })
	return recs[:min(limit, len(recs))], nil
}

func traceOne(d *desk, v *visit) error {
	id := v.r.PathValue("id")
	if !validID(id) {
		return errNotFound
	}
	recs, err := d.journey(v.r.Context(), v.visitor, id)
	if err != nil {
		return err
	}
	if len(recs) == 0 {
		return errNotFound
	}
	p := messageView{Journey: traceRows(recs), ID: id}
	for i := range recs {
		if recs[i].Kind == journal.Message || p.Record == nil {
			p.Record = &p.Journey[i]
		}
	}
	if res := resultOf(&p.Record.Record); res != nil {
		p.explain(res, nil)
	}
	_, _, err = d.entry(v.r.Context(), v.visitor, id)
	p.Held = err == nil && v.visitor.may(RightList)
	return d.render(v, http.StatusOK, "record", p)
}

func auditPage(d *desk, v *visit) error {
	recs, err := d.deps.Journal.Recent(v.r.Context(), journal.Management, time.Time{}, 200)
	if err != nil {
		return fmt.Errorf("read audit: %w", err)
	}
	return d.render(v, http.StatusOK, "audit", traceRows(recs))
}
