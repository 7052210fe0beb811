package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// This file is the second factor: codes that a phone shows (TOTP, RFC 6238), with recovery codes for a lost phone.

const (
	kindTOTP = "totp"
	kindHalf = "half"

	totpStep   = 30 * time.Second
	totpDigits = 6
	halfLife   = 5 * time.Minute // between the password and the code
	recoveries = 8

	halfCookie         = "__Host-gatepost-half"
	halfPlainCookie    = "gatepost-half-loopback"
	secondOptional     = "optional"
	secondForAdmins    = "admins"
	secondForEverybody = "everybody"
)

// ErrCode means that a code is wrong, or was used before.
var ErrCode = errors.New("wrong code")

// A totp is one person's second factor.
type totp struct {
	Secret    []byte   `json:"secret"`
	Confirmed bool     `json:"confirmed"`
	Last      int64    `json:"last"`     // the newest step that a code was taken for: none is taken twice (RFC 6238 section 5.2)
	Recovery  []string `json:"recovery"` // hashes of codes that are good once
}

// totpCode is the code of one step (RFC 4226 section 5.3).
func totpCode(secret []byte, step int64) string {
	m := hmac.New(sha1.New, secret)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(step))
	m.Write(b[:])
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 15
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%1_000_000)
}

// take accepts a code of the step of now, or of one beside it for clocks that differ, once.
func (t *totp) take(code string, now time.Time) bool {
	step := now.Unix() / int64(totpStep/time.Second)
	for _, s := range []int64{step, step - 1, step + 1} {
		if s > t.Last && subtle.ConstantTimeCompare([]byte(totpCode(t.Secret, s)), []byte(code)) == 1 {
			t.Last = s
			return true
		}
	}
	hash := hashSecret(strings.ToLower(code))
	if i := slices.Index(t.Recovery, hash); i >= 0 {
		t.Recovery = slices.Delete(t.Recovery, i, i+1)
		return true
	}
	return false
}

func (a *Accounts) totp(ctx context.Context, name string) (*totp, error) {
	body, err := a.shelf.Get(ctx, kindTOTP, name)
	if err != nil || body == nil {
		return nil, err
	}
	var t totp
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, fmt.Errorf("read second factor: %w", err)
	}
	return &t, nil
}

func (a *Accounts) putTOTP(ctx context.Context, name string, t *totp) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return a.shelf.Put(ctx, Document{Kind: kindTOTP, Key: name, Owner: name, Body: body})
}

// HasSecond reports whether a person's login needs a code after the password.
func (a *Accounts) HasSecond(ctx context.Context, name string) (bool, error) {
	t, err := a.totp(ctx, name)
	return t != nil && t.Confirmed, err
}

// secure reports whether a person has a second factor of any kind.
func (a *Accounts) secured(ctx context.Context, name string) (bool, error) {
	has, err := a.HasSecond(ctx, name)
	if err != nil || has {
		return has, err
	}
	keys, err := a.passkeys(ctx, name)
	return len(keys) > 0, err
}

// checkCode takes a code under the same delays as passwords.
func (a *Accounts) checkCode(ctx context.Context, name, code string, now time.Time) error {
	key := "code " + name
	if a.delays.wait(now, key) > 0 {
		return ErrTooMany
	}
	a.second.Lock() // so that one code is taken once
	defer a.second.Unlock()
	was, err := a.shelf.Get(ctx, kindTOTP, name)
	if err != nil {
		return err
	}
	var t totp
	if was != nil {
		if err := json.Unmarshal(was, &t); err != nil {
			return fmt.Errorf("read second factor: %w", err)
		}
	}
	if was == nil || !t.take(strings.ReplaceAll(strings.TrimSpace(code), " ", ""), now) {
		a.delays.fail(now, key)
		return ErrCode
	}
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	once, err := a.shelf.Swap(ctx, Document{Kind: kindTOTP, Key: name, Owner: name, Body: body}, was)
	if err != nil {
		return err
	}
	if !once { // another gateway took a code at this moment
		return ErrCode
	}
	a.delays.succeed(key)
	return nil
}

// RemoveSecond takes away a person's second factors.
func (a *Accounts) RemoveSecond(ctx context.Context, name string) error {
	_, err := a.shelf.Delete(ctx, kindTOTP, name)
	keys, kerr := a.passkeys(ctx, name)
	for _, k := range keys {
		_, derr := a.shelf.Delete(ctx, kindPasskey, k.key)
		kerr = errors.Join(kerr, derr)
	}
	return errors.Join(err, kerr)
}

// A half is a login that still needs its code. The browser holds its secret in a cookie.
type half struct {
	Account string `json:"account"`
	Epoch   string `json:"epoch"`
	Next    string `json:"next"`
}

func (d *desk) halfCookie(v *visit, value string, age int) {
	c := &http.Cookie{Name: halfPlainCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: age}
	if v.secure {
		c.Name, c.Secure = halfCookie, true
	}
	http.SetCookie(v.w, c)
}

// beginHalf remembers that the password was right, and asks for the code.
func (d *desk) beginHalf(v *visit, acc Account, next string) error {
	secret, hash := newSecret()
	body, err := json.Marshal(half{acc.Name, acc.Epoch, next})
	if err != nil {
		return err
	}
	err = d.deps.Accounts.shelf.Put(v.r.Context(), Document{Kind: kindHalf, Key: hash, Owner: acc.Name, Body: body, Expires: d.now().Add(halfLife)})
	if err != nil {
		return err
	}
	d.halfCookie(v, secret, int(halfLife/time.Second))
	return d.render(v, http.StatusOK, "code", loginPage{Next: next})
}

// loginCode ends a login that needed a code.
func loginCode(d *desk, v *visit) error {
	ctx, name := v.r.Context(), halfPlainCookie
	if v.secure {
		name = halfCookie
	}
	c, err := v.r.Cookie(name)
	if err != nil || len(c.Value) > 100 {
		return errLogin
	}
	hash := hashSecret(c.Value)
	body, err := d.deps.Accounts.shelf.Get(ctx, kindHalf, hash)
	if err != nil {
		return err
	}
	var h half
	if body == nil || json.Unmarshal(body, &h) != nil {
		v.redirect("/login")
		return nil
	}
	err = d.deps.Accounts.checkCode(ctx, h.Account, v.r.PostForm.Get("code"), d.now())
	if key := errorKey(err); key != "" {
		if err := d.audit(v, "login failed", "", h.Account+" (code)"); err != nil {
			return err
		}
		return d.render(v, http.StatusUnauthorized, "code", loginPage{Next: h.Next, Error: key})
	}
	if err != nil {
		return err
	}
	if once, err := d.deps.Accounts.shelf.Delete(ctx, kindHalf, hash); err != nil || !once {
		return cmpErr(err, errLogin)
	}
	acc, err := d.deps.Accounts.Account(ctx, h.Account)
	if err != nil || acc.Epoch != h.Epoch {
		return errLogin // the password changed meanwhile
	}
	d.halfCookie(v, "", -1)
	return d.welcome(v, acc, h.Next, "login with code")
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// welcome opens a session for someone who showed who they are, under a new id, and goes where they wanted to.
func (d *desk) welcome(v *visit, acc Account, next, how string) error {
	if v.visitor != nil && v.visitor.session != nil {
		if err := d.deps.Accounts.end(v.r.Context(), v.visitor.session); err != nil {
			return err
		}
	}
	v.visitor = &visitor{account: acc}
	if err := d.audit(v, how, "", ""); err != nil {
		return err
	}
	if err := d.startSession(v, acc); err != nil {
		return err
	}
	v.redirect(next)
	return nil
}

// mustSecure reports whether the person has to set up a second factor before anything else.
func (d *desk) mustSecure(v *visit) (bool, error) {
	if v.visitor == nil || v.visitor.session == nil || v.visitor.account.Subject != "" {
		return false, nil // a provider's login is the provider's to secure
	}
	switch d.cfg.SecondFactor {
	case secondForEverybody:
	case secondForAdmins:
		if !slices.Contains(v.visitor.account.Roles, Admin) {
			return false, nil
		}
	default:
		return false, nil
	}
	has, err := d.deps.Accounts.secured(v.r.Context(), v.visitor.account.Name)
	return !has, err
}

// beginTOTP makes a secret and shows it, to be confirmed by a code.
func beginTOTP(d *desk, v *visit) error {
	ctx, name := v.r.Context(), v.visitor.account.Name
	if err := d.prove(v); err != nil {
		return d.proofFailed(v, err)
	}
	if has, err := d.deps.Accounts.HasSecond(ctx, name); err != nil || has {
		return cmpErr(err, errBadForm)
	}
	t := &totp{Secret: randomBytes(20)}
	if err := d.deps.Accounts.putTOTP(ctx, name, t); err != nil {
		return err
	}
	return d.showAccount(v, http.StatusOK, accountView{TOTP: totpSecret(t.Secret), TOTPLink: totpLink(t.Secret, name, v.r.Host)})
}

func (d *desk) proofFailed(v *visit, err error) error {
	key := errorKey(err)
	if key == "" {
		return err
	}
	return d.showAccount(v, http.StatusForbidden, accountView{Error: key})
}

func totpSecret(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// totpLink is the address by which a phone takes the secret over.
func totpLink(secret []byte, name, host string) string {
	q := url.Values{"secret": {totpSecret(secret)}, "issuer": {"Gatepost"}}
	return "otpauth://totp/" + url.PathEscape("Gatepost "+host+":"+name) + "?" + q.Encode()
}

// confirmTOTP switches the second factor on once the phone shows the right code, and shows the recovery codes once.
func confirmTOTP(d *desk, v *visit) error {
	ctx, name, a := v.r.Context(), v.visitor.account.Name, d.deps.Accounts
	t, err := a.totp(ctx, name)
	if err != nil || t == nil || t.Confirmed {
		return cmpErr(err, errBadForm)
	}
	if err := a.checkCode(ctx, name, v.r.PostForm.Get("code"), d.now()); err != nil {
		key := errorKey(err)
		if key == "" {
			return err
		}
		return d.showAccount(v, http.StatusBadRequest, accountView{Error: key, TOTP: totpSecret(t.Secret), TOTPLink: totpLink(t.Secret, name, v.r.Host)})
	}
	if err := d.audit(v, "second factor set up", "", ""); err != nil {
		return err
	}
	if t, err = a.totp(ctx, name); err != nil {
		return err
	}
	var codes []string
	t.Confirmed, t.Recovery = true, nil
	for range recoveries {
		code := strings.ToLower(base32.StdEncoding.EncodeToString(randomBytes(10)))
		codes = append(codes, code)
		t.Recovery = append(t.Recovery, hashSecret(code))
	}
	if err := a.putTOTP(ctx, name, t); err != nil {
		return err
	}
	return d.showAccount(v, http.StatusOK, accountView{Recovery: codes})
}

// removeSecond takes the second factors of the person away.
func removeSecond(d *desk, v *visit) error {
	_, _, err := d.deps.Accounts.login(v.r.Context(), v.visitor.account.Name, v.r.PostForm.Get("password"), v.client, d.now())
	if err != nil {
		return d.proofFailed(v, err)
	}
	if err := d.audit(v, "second factor removed", "", v.visitor.account.Name); err != nil {
		return err
	}
	if err := d.deps.Accounts.RemoveSecond(v.r.Context(), v.visitor.account.Name); err != nil {
		return err
	}
	v.redirect("/account")
	return nil
}

// resetSecond takes the second factors of somebody who lost them away.
func resetSecond(d *desk, v *visit) error {
	acc, err := d.person(v)
	if err != nil {
		return err
	}
	if sure, err := d.askFirst(v, &acc, "second"); !sure {
		return err
	}
	if err := d.audit(v, "second factor removed", "", acc.Name); err != nil {
		return err
	}
	if err := d.deps.Accounts.RemoveSecond(v.r.Context(), acc.Name); err != nil {
		return err
	}
	v.redirect("/people/" + url.PathEscape(acc.Name))
	return nil
}
