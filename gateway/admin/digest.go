package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// A Digest is the quarantine.digest section of gatepost.yaml: mail that tells people what is held for them.
type Digest struct {
	Times    []string `yaml:"times" default:"[]" doc:"Hours at which people are told what is held for them, such as [\"07:00\", \"13:00\"]. Without any there are no digests."`
	Zone     string   `yaml:"time_zone" doc:"Time zone of the hours, such as Europe/Berlin; empty: the machine's own."`
	From     string   `yaml:"from" doc:"Author of the digests. Default: gatepost@ and the hostname."`
	To       string   `yaml:"to" enum:"accounts|everybody" default:"accounts" doc:"Who gets one: people with an account of the role user, or every recipient for whom something is held."`
	Auth     string   `yaml:"auth" enum:"login|token" default:"login" doc:"What a link asks for: a login of the recipient, or nothing but the link. Without a login only spam can be released, never malware or mail that fails DMARC."`
	Language string   `yaml:"language" enum:"en|zh" default:"en" doc:"Language of the digests, unless the person chose one."`
}

// CheckConf looks for hours and zones that do not exist.
func (c *Digest) CheckConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	for i, s := range c.Times {
		if _, err := time.Parse("15:04", s); err != nil {
			problems = append(problems, n.Key("times").Item(i).Problemf("expected an hour such as \"07:00\", found %q", s))
		}
	}
	if _, err := c.zone(); err != nil {
		problems = append(problems, n.Key("time_zone").Problemf("there is no time zone %q", c.Zone))
	}
	if _, err := mail.ParseAddress(c.From); c.From != "" && err != nil {
		problems = append(problems, n.Key("from").Problemf("%q is not an address", c.From))
	}
	return problems
}

func (c *Digest) zone() (*time.Location, error) {
	if c.Zone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(c.Zone)
}

// slot is the last of the hours that is not after now; ok is false if there are none.
func (c *Digest) slot(now time.Time) (at time.Time, first, ok bool) {
	zone, err := c.zone()
	if err != nil {
		return at, false, false
	}
	local := now.In(zone)
	hours := slices.Sorted(slices.Values(c.Times))
	for _, back := range []int{0, 1} {
		for i, s := range slices.Backward(hours) {
			h, err := time.Parse("15:04", s)
			if err != nil {
				continue
			}
			t := time.Date(local.Year(), local.Month(), local.Day()-back, h.Hour(), h.Minute(), 0, 0, zone)
			if !t.After(now) {
				return t, i == 0, true
			}
		}
	}
	return at, false, false
}

// A Courier takes mail of our own to people's mail servers.
type Courier interface {
	// Send delivers a message to one address; nil once the next hop has it.
	Send(ctx context.Context, to string, message []byte) error
}

// DigestDeps are what digests are made of. All but Log and Now are required.
type DigestDeps struct {
	Quarantine Quarantine
	Own        func(addresses ...string) Quarantine
	Accounts   *Accounts
	Courier    Courier
	BaseURL    string // of the review pages, without a slash at the end
	Hostname   string
	Log        *slog.Logger
	Now        func() time.Time
}

// Digests tell people what is held for them, at chosen hours.
type Digests struct {
	cfg   Digest
	deps  DigestDeps
	texts *texts
	page  *letter
}

// NewDigests prepares digests. Nothing is sent before Run.
func NewDigests(cfg Digest, deps DigestDeps) (*Digests, error) {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if cfg.From == "" {
		cfg.From = "gatepost@" + deps.Hostname
	}
	g := &Digests{cfg: cfg, deps: deps}
	var err error
	if g.texts, err = readTexts(); err != nil {
		return nil, err
	}
	g.page, err = readLetter(g.texts)
	return g, err
}

const (
	digestLook  = time.Minute    // how often the hour is looked at
	digestGrace = 2 * time.Hour  // a slot that was missed by more is not made up for
	digestFirst = 24 * time.Hour // how far back a person's first digest looks
	digestRows  = 50
	digestScan  = 20000 // held messages looked at for everybody's digests
)

// Run sends digests when their hour has come, until ctx ends.
func (g *Digests) Run(ctx context.Context) {
	t := time.NewTicker(digestLook)
	defer t.Stop()
	for {
		if n, err := g.SendDue(ctx); err != nil {
			g.deps.Log.Error("digests", "sent", n, "error", err.Error())
		} else if n > 0 {
			g.deps.Log.Info("digests", "sent", n)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// A digestChoice is what one person chose, and when they were last told.
type digestChoice struct {
	When     string    `json:"when,omitempty"` // "", "daily" (the first hour only) or "off"
	Language string    `json:"language,omitempty"`
	Last     time.Time `json:"last,omitzero"`
}

// kindDigest is the shelf's kind of digestChoice, by canonical address.
const kindDigest = "digest"

func (a *Accounts) digestChoice(ctx context.Context, address string) (c digestChoice, err error) {
	body, err := a.shelf.Get(ctx, kindDigest, address)
	if err != nil || body == nil {
		return c, err
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, fmt.Errorf("read digest settings: %w", err)
	}
	return c, nil
}

func (a *Accounts) chooseDigest(ctx context.Context, address string, c digestChoice) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return a.shelf.Put(ctx, Document{Kind: kindDigest, Key: address, Owner: address, Body: body})
}

// SendDue sends the digests of the last hour that were not sent yet, and returns how many were.
func (g *Digests) SendDue(ctx context.Context) (sent int, err error) {
	now := g.deps.Now()
	slot, first, ok := g.cfg.slot(now)
	if !ok || now.Sub(slot) > digestGrace {
		return 0, nil
	}
	people, err := g.people(ctx, slot)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, address := range people {
		done, err := g.send(ctx, address, slot, first)
		if err != nil {
			errs = append(errs, fmt.Errorf("digest for %s: %w", address, err))
		}
		if done {
			sent++
		}
		if ctx.Err() != nil {
			break
		}
	}
	return sent, errors.Join(errs...)
}

// people are the addresses that may get a digest, in order.
func (g *Digests) people(ctx context.Context, slot time.Time) ([]string, error) {
	found := map[string]bool{}
	if g.cfg.To == "everybody" {
		q := quarantine.Query{State: quarantine.Waiting, Since: slot.Add(-7 * 24 * time.Hour), Limit: 1000}
		for range digestScan / 1000 {
			list, err := g.deps.Quarantine.List(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("list quarantine: %w", err)
			}
			for _, e := range list {
				for _, r := range e.Rcpts {
					if a, err := mail.ParseAddress(r.Address); err == nil && r.State == quarantine.Waiting {
						found[a.Canonical()] = true
					}
				}
			}
			if len(list) < q.Limit {
				break
			}
			q.Before = list[len(list)-1].ID
		}
	}
	accounts, err := g.deps.Accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		if slices.Contains(a.Roles, User) {
			for _, address := range a.Addresses {
				found[address] = !strings.HasPrefix(address, "@")
			}
		}
	}
	var out []string
	for a, yes := range found {
		if yes {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out, nil
}

// send sends one person's digest, if there is anything to tell.
func (g *Digests) send(ctx context.Context, address string, slot time.Time, first bool) (bool, error) {
	c, err := g.deps.Accounts.digestChoice(ctx, address)
	if err != nil {
		return false, err
	}
	if c.When == "off" || c.When == "daily" && !first || !c.Last.Before(slot) {
		return false, nil
	}
	since := c.Last
	if since.IsZero() {
		since = slot.Add(-digestFirst)
	}
	list, err := g.deps.Own(address).List(ctx, quarantine.Query{State: quarantine.Waiting, Since: since, Limit: digestRows + 1})
	if err != nil {
		return false, fmt.Errorf("list quarantine: %w", err)
	}
	if len(list) == 0 {
		return false, nil
	}
	free, release, err := g.claim(ctx, address, slot)
	if err != nil || !free {
		return false, err
	}
	// Until now another gateway may have sent it.
	if c, err = g.deps.Accounts.digestChoice(ctx, address); err != nil || !c.Last.Before(slot) {
		return false, errors.Join(err, release())
	}
	if err := g.tell(ctx, address, list, c); err != nil {
		return false, errors.Join(err, release())
	}
	c.Last = g.deps.Now()
	return true, errors.Join(g.deps.Accounts.chooseDigest(ctx, address, c), release())
}

// digestClaimLife is for how long a digest is one gateway's to send; if it did not, another may.
const digestClaimLife = 10 * time.Minute

// kindDigestClaim is the shelf's kind of what one gateway is about to send.
const kindDigestClaim = "digestclaim"

// claim takes a digest for this gateway, of all that share the shelf.
func (g *Digests) claim(ctx context.Context, address string, slot time.Time) (free bool, release func() error, err error) {
	d := Document{Kind: kindDigestClaim, Key: fmt.Sprint(slot.Unix(), " ", address), Owner: address, Body: []byte("1"), Expires: time.Now().Add(digestClaimLife)}
	free, err = g.deps.Accounts.shelf.Swap(ctx, d, nil)
	return free, func() error {
		_, err := g.deps.Accounts.shelf.Delete(context.WithoutCancel(ctx), d.Kind, d.Key)
		return err
	}, err
}

// tell sends one person's digest of a list.
func (g *Digests) tell(ctx context.Context, address string, list []quarantine.Entry, c digestChoice) error {
	lang := c.Language
	if lang == "" {
		lang = g.cfg.Language
	}
	message, err := g.compose(ctx, address, lang, list)
	if err != nil {
		return err
	}
	if err := g.deps.Courier.Send(ctx, address, message); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// loose reports whether a link alone may release mail of a class with these results (O-03).
func loose(c policy.Class, res *result) bool {
	return (c == policy.Spam || c == policy.Clean) && (res.Auth == nil || res.Auth.DMARC.Result != "fail")
}
