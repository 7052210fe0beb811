package bulk

import (
	"context"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/web"
	"gatepost/rules/sites"
)

// Config is the filter's section. It has no settings but being switched off.
type Config struct{}

// A Filter is the bulk filter. It is immutable.
type Filter struct{ sites *sites.Table }

// New makes the filter.
func New(_ Config, s *sites.Table) *Filter { return &Filter{s} }

// A check is the examination of one message.
type check struct {
	*Filter
	m     *mail.Mail
	facts filters.Facts
}

// Check implements filters.Filter.
func (f *Filter) Check(_ context.Context, m *mail.Mail) (filters.Facts, error) {
	c := &check{Filter: f, m: m}
	report := c.delivery()
	list := c.list()
	c.wayOut(list || report)
	c.precedence()
	c.mailer()
	c.verp()
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	return c.facts, nil
}

// found states a finding that a header field proves.
func (c *check) found(code, text string, f mail.Field) {
	e := filters.Evidence{Where: "header " + f.Name, At: &[2]int64{f.Span.Start, f.Span.End - f.Span.Start}, What: mail.Printable(strings.TrimSpace(mail.Unfold(f.Value)), 200)}
	if e.What == "" {
		e.What = "(nothing)"
	}
	c.facts.Findings = append(c.facts.Findings, filters.Finding{Code: code, Text: text, Proof: []filters.Evidence{e}})
}

// first is the first field of a name.
func (c *check) first(name string) (mail.Field, bool) {
	list := c.m.Fields(name)
	if len(list) == 0 {
		return mail.Field{}, false
	}
	return list[0], true
}

// delivery looks at bounces and automatic answers (RFC 3464, RFC 3834).
func (c *check) delivery() bool {
	if f, ok := c.first("Content-Type"); ok && c.m.Root.Type == "multipart/report" {
		c.found("bulk.bounce", "The message is a delivery report.", f)
		return true
	}
	for _, name := range [...]string{"Auto-Submitted", "X-Autoreply", "X-Autorespond"} {
		f, ok := c.first(name)
		if !ok || name == "Auto-Submitted" && !strings.HasPrefix(strings.ToLower(strings.TrimSpace(mail.Unfold(f.Value))), "auto-replied") {
			continue
		}
		c.found("bulk.auto-reply", "The message is an automatic answer.", f)
		return true
	}
	if c.m.Remote.IsValid() && c.m.From.IsNull() && !c.bouncer() {
		c.facts.Findings = append(c.facts.Findings, filters.Finding{Code: "bulk.bounce-odd", Text: "The message has the null reverse-path and is no delivery report.",
			Proof: []filters.Evidence{{Where: "envelope", What: "MAIL FROM:<>"}}})
	}
	return false
}

// bouncer reports whether the author is the mail system itself: old ones write reports in no standard form.
func (c *check) bouncer() bool {
	for _, a := range c.m.Authors() {
		local, _, _ := strings.Cut(strings.ToLower(a.Address), "@")
		switch local {
		case "mailer-daemon", "postmaster", "mailerdaemon", "mail-daemon", "mdaemon", "double-bounce":
			return true
		}
	}
	_, auto := c.first("Auto-Submitted")
	return auto
}

// list looks at mailing lists and at the way out of them (RFC 2369, RFC 2919, RFC 8058).
func (c *check) list() bool {
	_, unsubscribe := c.first("List-Unsubscribe")
	list := false
	for _, name := range [...]string{"List-Post", "List-Id", "X-Mailing-List", "Mailing-List", "X-Mailman-Version", "X-BeenThere"} {
		f, ok := c.first(name)
		if !ok || name == "List-Id" && unsubscribe && len(c.m.Fields("List-Post")) == 0 && len(c.m.Fields("X-BeenThere")) == 0 {
			continue
		}
		c.found("bulk.list", "The message came through a mailing list.", f)
		list = true
		break
	}
	if group, ok := c.m.Group(); ok && !list {
		c.found("bulk.list", "The message went to a group, and replies to it go there.", mail.Field{Name: "Reply-To", Value: group.Address, Span: group.Span})
		list = true
	}
	return list
}

// wayOut looks at how a reader can get off.
func (c *check) wayOut(exempt bool) {
	f, ok := c.first("List-Unsubscribe")
	if !ok {
		if !exempt {
			c.noWayOut()
		}
		return
	}
	c.found("bulk.newsletter", "The message says how to unsubscribe.", f)
	if p, ok := c.first("List-Unsubscribe-Post"); ok && strings.Contains(strings.ToLower(p.Value), "one-click") {
		c.found("bulk.one-click", "The message can be unsubscribed from by one click.", p)
	}
	authors := c.m.Authors()
	if exempt || len(authors) == 0 {
		return
	}
	author := mail.OrganizationalDomain(authors[0].Domain)
	ways := 0
	for _, one := range strings.Split(mail.Unfold(f.Value), ",") {
		host := ""
		t, ok := web.Parse(strings.Trim(strings.TrimSpace(one), "<>"))
		switch {
		case !ok:
			continue
		case t.Scheme == "mailto":
			address, _, _ := strings.Cut(t.Path, "?")
			host = strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
		default:
			host = t.Host
		}
		ways++
		if d := mail.OrganizationalDomain(host); d == author || d != "" && d == mail.OrganizationalDomain(c.m.From.Domain()) || c.sites.Class(host).Is(sites.Tracker) {
			return
		}
	}
	if ways > 0 {
		c.found("bulk.unsubscribe-elsewhere", "The way to unsubscribe leads to neither the author's domain nor a known mailing service.", f)
	}
}

// waysOut are words by which texts tell how to get off; in lower case.
var waysOut = [...]string{"unsubscribe", "opt out", "opt-out", "abmelden", "abbestellen", "désabonner", "desinscri", "désinscri", "cancelar inscri", "cancelar suscri", "darse de baja", "afmelden", "uitschrijven", "退订", "remove yourself"}

// noWayOut looks for a way out in the text that the header does not have.
func (c *check) noWayOut() {
	text := c.m.Text()
	if len(text) > maxText {
		text = text[len(text)-maxText:] // that is where it stands
	}
	text = strings.ToLower(text)
	for _, w := range waysOut {
		if n := strings.Index(text, w); n >= 0 {
			c.facts.Findings = append(c.facts.Findings, filters.Finding{Code: "bulk.no-way-out", Text: "The text tells how to unsubscribe, and the header does not.",
				Proof: []filters.Evidence{{Where: "text", What: mail.Printable(text[max(0, n-40):min(len(text), n+60)], 200)}}})
			return
		}
	}
}

// maxText is how much of a text is searched.
const maxText = 16 << 10

// precedence looks at what the message calls itself.
func (c *check) precedence() {
	f, ok := c.first("Precedence")
	if !ok {
		return
	}
	switch strings.ToLower(strings.TrimSpace(mail.Unfold(f.Value))) {
	case "bulk", "junk":
		c.found("bulk.precedence", "The message calls itself bulk.", f)
	}
}

// mailers are fields that mailing services write.
var mailers = [...]string{"Feedback-ID", "X-SG-EID", "X-Mailgun-Sid", "X-MC-User", "X-Mandrill-User", "X-CSA-Complaints", "X-SFMC-Stack", "X-Campaign", "X-CampaignID",
	"X-Report-Abuse", "X-Mailjet-Campaign", "X-SES-Outgoing", "X-PM-Message-Id", "X-Klaviyo-Message-Id", "X-HubSpot-Message-Source", "X-job", "X-Sib-Id", "X-Roving-Id", "X-Mailer-LID"}

// mailer looks for a mailing service.
func (c *check) mailer() {
	for _, name := range mailers {
		if f, ok := c.first(name); ok {
			c.found("bulk.mailer", "A known mailing service sent the message.", f)
			return
		}
	}
}

// verp looks for the recipient in the reverse-path.
func (c *check) verp() {
	if len(c.m.Rcpts) != 1 || c.m.From.IsNull() {
		return
	}
	r := c.m.Rcpts[0]
	local := strings.ToLower(c.m.From.Local())
	if strings.Contains(local, strings.ToLower(r.Local())+"=") && strings.Contains(local, r.Domain()) {
		c.facts.Findings = append(c.facts.Findings, filters.Finding{Code: "bulk.verp", Text: "The reverse-path names the recipient.",
			Proof: []filters.Evidence{{Where: "envelope", What: mail.Printable(c.m.From.String(), 200)}}})
	}
}
