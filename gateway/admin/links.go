package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// This file is the links of digests: signed, short-lived, bound to one copy of one message, and without effect until
// their page is confirmed.

// A digestToken is what a link stands for.
type digestToken struct {
	Key    string `json:"k"`           // names the key that signed it
	ID     string `json:"i,omitempty"` // of the held message
	Rcpt   string `json:"r"`           // whose copy
	Action string `json:"a"`
	Exp    int64  `json:"e"` // seconds since 1970
}

const (
	actDecide   = "decide"
	actSettings = "settings"

	linkLife = 72 * time.Hour
	keyLife  = 24 * time.Hour // how long a key signs
	maxToken = 1024

	kindLinkKey = "linkkey"
)

var (
	errToken   = &problem{status: http.StatusForbidden, key: "error.token403"}
	errExpired = &problem{status: http.StatusGone, key: "error.token410"}
)

// linkKey finds the key of a name; for "" the one that signs now, made if need be.
func (g *Digests) linkKey(ctx context.Context, name string) (string, []byte, error) {
	now := g.deps.Now().UTC()
	today := now.Truncate(keyLife).Format("20060102")
	making := name == ""
	if making {
		name = today
	}
	shelf := g.deps.Accounts.shelf
	body, err := shelf.Get(ctx, kindLinkKey, name)
	if err != nil || body != nil || !making {
		return name, body, err
	}
	secret, _ := newSecret()
	_, err = shelf.Swap(ctx, Document{Kind: kindLinkKey, Key: name, Body: []byte(secret), Expires: now.Add(keyLife + linkLife)}, nil)
	if err != nil {
		return "", nil, err
	}
	body, err = shelf.Get(ctx, kindLinkKey, name) // another gateway may have been faster
	return name, body, err
}

// link is the address of a token's page.
func (g *Digests) link(ctx context.Context, t digestToken) (string, error) {
	var key []byte
	var err error
	if t.Key, key, err = g.linkKey(ctx, ""); err != nil {
		return "", fmt.Errorf("make link: %w", err)
	}
	t.Exp = g.deps.Now().Add(linkLife).Unix()
	body, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	return g.deps.BaseURL + "/d/" + base64.RawURLEncoding.EncodeToString(body) + "." + sign(key, body), nil
}

func sign(key, body []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write(body)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// open reads a token. Forged is errToken, too old errExpired.
func (g *Digests) open(ctx context.Context, s string) (digestToken, error) {
	var t digestToken
	text, mac, ok := strings.Cut(s, ".")
	if !ok || len(s) > maxToken {
		return t, errToken
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(body, &t) != nil || len(t.Key) != 8 {
		return t, errToken
	}
	_, key, err := g.linkKey(ctx, t.Key)
	if err != nil {
		return t, fmt.Errorf("read link key: %w", err)
	}
	if key == nil {
		return t, errExpired // no key is kept longer than its links live
	}
	if !hmac.Equal([]byte(sign(key, body)), []byte(mac)) {
		return t, errToken
	}
	if g.deps.Now().Unix() >= t.Exp {
		return t, errExpired
	}
	return t, nil
}

// A linkView is the page that a digest's link leads to.
type linkView struct {
	Token   string
	Address string
	Entry   *quarantine.Entry
	Code    string // of what decided; empty: a rule
	Reason  string
	Result  *result
	Release bool // it may be released here
	Choice  digestChoice
	Saved   bool
}

// linkVisit reads the token of a visit and makes sure that it is used by whom it was made for.
func (d *desk) linkVisit(v *visit) (digestToken, error) {
	g := d.deps.Digests
	t, err := g.open(v.r.Context(), v.r.PathValue("token"))
	if err != nil {
		return t, err
	}
	if g.cfg.Auth == "token" && v.visitor == nil {
		return t, nil
	}
	if v.visitor == nil {
		return t, errLogin
	}
	if mine, all := v.visitor.scope(); !all && !owns(mine, t.Rcpt) {
		return t, errToken
	}
	return t, nil
}

// linkEntry is the copy that a token is about; gone is errExpired, be it released, deleted or expired.
func (d *desk) linkEntry(v *visit, t digestToken) (*quarantine.Entry, *result, error) {
	e, err := d.deps.Own(t.Rcpt).Entry(v.r.Context(), t.ID)
	if errors.Is(err, quarantine.ErrNotFound) {
		return nil, nil, errExpired
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read quarantine entry: %w", err)
	}
	res, err := readResult(e.Result)
	if err != nil {
		return nil, nil, err
	}
	one := *e
	if !narrow(&one, []string{t.Rcpt}) || len(waiting(&one, nil)) == 0 {
		return nil, nil, errExpired
	}
	res.only([]string{t.Rcpt})
	return &one, res, nil
}

// mayByLink reports whether a message may be released on the page of its link.
func (d *desk) mayByLink(v *visit, e *quarantine.Entry, res *result) bool {
	if d.deps.Releaser == nil || e.Class == policy.Malware {
		return false
	}
	if v.visitor == nil {
		return loose(e.Class, res)
	}
	return v.visitor.mayRelease(e.Class)
}

func linkPage(d *desk, v *visit) error {
	t, err := d.linkVisit(v)
	if err != nil {
		return err
	}
	p := linkView{Token: v.r.PathValue("token"), Address: t.Rcpt}
	if t.Action == actSettings {
		if p.Choice, err = d.deps.Accounts.digestChoice(v.r.Context(), t.Rcpt); err != nil {
			return err
		}
		return d.render(v, http.StatusOK, "link", p)
	}
	e, res, err := d.linkEntry(v, t)
	if err != nil {
		return err
	}
	p.Entry, p.Result, p.Release = e, res, d.mayByLink(v, e, res)
	if best := policy.Heaviest(res.Recipients, res.Decided); best != nil {
		p.Code, p.Reason = best.Code, best.Text
	}
	return d.render(v, http.StatusOK, "link", p)
}

// linkAct does what the page of a link was confirmed for.
func linkAct(d *desk, v *visit) error {
	t, err := d.linkVisit(v)
	if errors.Is(err, errToken) || errors.Is(err, errExpired) {
		if err := d.audit(v, "link refused", "", clip(v.r.PathValue("token"), 80)); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if t.Action == actSettings {
		return d.linkSettings(v, t)
	}
	e, res, err := d.linkEntry(v, t)
	if err != nil {
		return err
	}
	by := v.visitor
	if by == nil { // the link is the credential, for one copy and nothing else
		v.visitor = &visitor{account: Account{Name: "link of " + t.Rcpt, Roles: []Role{User}, Addresses: []string{t.Rcpt}}}
	}
	done := act{ID: e.ID, Subject: e.Subject}
	name := v.r.PostForm.Get("act")
	switch {
	case name == "release" && !d.mayByLinkAs(v, by, e, res):
		err = errNoRelease
	case name == "release":
		done.Outcomes, err = d.release(v, e.ID, []string{waiting(e, nil)[0]})
	case name == "delete":
		done.Deleted, err = d.discard(v, e.ID, []string{waiting(e, nil)[0]})
	default:
		err = errBadForm
	}
	v.visitor = by
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "done", doneView{Act: name, Acts: []act{done}})
}

// mayByLinkAs is mayByLink for whoever came, be it nobody.
func (d *desk) mayByLinkAs(v *visit, by *visitor, e *quarantine.Entry, res *result) bool {
	return d.mayByLink(&visit{r: v.r, visitor: by}, e, res)
}

// digestForm reads what a person chose of their digests.
func digestForm(v *visit, c digestChoice) (digestChoice, error) {
	form := v.r.PostForm
	c.When, c.Language = form.Get("when"), form.Get("language")
	if !slices.Contains([]string{"", "daily", "off"}, c.When) || !slices.Contains([]string{"", "en", "zh"}, c.Language) {
		return c, errBadForm
	}
	return c, nil
}

func (d *desk) linkSettings(v *visit, t digestToken) error {
	ctx := v.r.Context()
	c, err := d.deps.Accounts.digestChoice(ctx, t.Rcpt)
	if err != nil {
		return err
	}
	if c, err = digestForm(v, c); err != nil {
		return err
	}
	if err := d.audit(v, "digest settings", "", t.Rcpt+" "+c.When+" "+c.Language); err != nil {
		return err
	}
	if err := d.deps.Accounts.chooseDigest(ctx, t.Rcpt, c); err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "link", linkView{Token: v.r.PathValue("token"), Address: t.Rcpt, Choice: c, Saved: true})
}

// accountDigest changes what a person with an account chose, for all of their addresses.
func accountDigest(d *desk, v *visit) error {
	ctx := v.r.Context()
	for _, address := range v.visitor.account.Addresses {
		c, err := d.deps.Accounts.digestChoice(ctx, address)
		if err != nil {
			return err
		}
		if c, err = digestForm(v, c); err != nil {
			return err
		}
		if err := d.audit(v, "digest settings", "", address+" "+c.When+" "+c.Language); err != nil {
			return err
		}
		if err := d.deps.Accounts.chooseDigest(ctx, address, c); err != nil {
			return err
		}
	}
	v.redirect("/account")
	return nil
}
