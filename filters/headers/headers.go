package headers

import (
	"context"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Config is the filter's section. It has no settings but being switched off.
type Config struct{}

// A Filter is the headers filter. It keeps no state.
type Filter struct{}

// New makes the filter.
func New(Config) *Filter { return &Filter{} }

// Check implements filters.Filter. It always sets Facts.Message.
func (*Filter) Check(_ context.Context, m *mail.Mail) (filters.Facts, error) {
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	facts := filters.Facts{Message: read(m.Message)}
	c := check{m: m, facts: &facts}
	c.defects()
	c.authors()
	c.hiddenText()
	c.date()
	c.missing()
	return facts, nil
}

// maxShown bounds what is kept of one decoded value.
const maxShown = 998

// read collects the decoded header block.
func read(m *mail.Message) *filters.MessageFacts {
	f := &filters.MessageFacts{Subject: mail.Printable(m.Subject(), maxShown), MessageID: mail.Printable(m.MessageID(), maxShown), Size: m.Size()}
	authors := m.Authors()
	if len(authors) > 0 {
		a := authors[0]
		f.From, f.FromDomain, f.FromName = canonical(a), a.Domain, mail.Printable(a.Name, maxShown)
	}
	if len(authors) > 1 {
		for _, a := range authors {
			f.Froms = append(f.Froms, canonical(a))
		}
	}
	f.To, f.ReplyTo = addresses(m, "To", 100), addresses(m, "Reply-To", 10)
	if d := m.Date(); !d.IsZero() {
		f.Date = d.Format(time.RFC3339)
	}
	f.Header = filters.Header(m.Header)
	if f.Header == nil {
		f.Header = filters.Header{} // known to be empty
	}
	return f
}

// addresses are the canonical addresses of a field, at most max.
func addresses(m *mail.Message, name string, max int) []string {
	var list []string
	for _, a := range m.Addresses(name) {
		if len(list) == max {
			break
		}
		list = append(list, canonical(a))
	}
	return list
}

// canonical is the mailbox's address with its domain in lower-case A-labels.
func canonical(a mail.Mailbox) string {
	at := strings.LastIndexByte(a.Address, '@')
	if at < 0 || a.Domain == "" {
		return mail.Printable(a.Address, 320)
	}
	return mail.Printable(strings.ToLower(a.Address[:at]), 256) + "@" + a.Domain
}

// A check gathers findings about one message.
type check struct {
	m     *mail.Mail
	facts *filters.Facts
}

// found adds a finding whose proof stands in the message.
func (c *check) found(code, text, where string, at mail.Span) {
	c.facts.Findings = append(c.facts.Findings, filters.Finding{
		Code: code, Text: text, Proof: []filters.Evidence{c.proof(where, at)},
	})
}

// proof quotes what stands at a span.
func (c *check) proof(where string, at mail.Span) filters.Evidence {
	const shown = 120
	e := filters.Evidence{Where: where, At: &[2]int64{at.Start, at.End - at.Start}}
	quoted := at
	if quoted.End > quoted.Start+shown {
		quoted.End = quoted.Start + shown
	}
	e.What = mail.Printable(strings.TrimSpace(string(c.m.Bytes(quoted))), 200)
	if e.What == "" {
		e.What = "(nothing)"
	}
	return e
}

// defects turns what the parse recorded into findings, one for each code, with every place as proof up to a few.
func (c *check) defects() {
	const places = 5
	at := map[string]int{}
	for _, d := range c.m.Defects {
		code := "defect." + d.Code
		i, seen := at[code]
		if !seen {
			at[code] = len(c.facts.Findings)
			c.found(code, d.Text, "message", d.Span)
			continue
		}
		if f := &c.facts.Findings[i]; len(f.Proof) < places {
			f.Proof = append(f.Proof, c.proof("message", d.Span))
		}
	}
}

// authors looks at the names that stand before the author's address (D-17).
func (c *check) authors() {
	authors := c.m.Authors()
	if len(authors) > 1 {
		c.found("headers.several-authors", "The From field names more than one address; programs show different ones.", "header From", authors[0].Span)
	}
	for _, a := range authors {
		for _, word := range strings.FieldsFunc(a.Name, func(r rune) bool { return strings.ContainsRune(" <>()\"',;:[]", r) }) {
			at := strings.LastIndexByte(word, '@')
			if at <= 0 || at == len(word)-1 {
				continue
			}
			if d, err := mail.CanonicalDomain(word[at+1:]); err == nil && strings.Contains(d, ".") && mail.OrganizationalDomain(d) != mail.OrganizationalDomain(a.Domain) {
				c.found("headers.name-is-other-address", "The author's display name is an address of another domain than the author's.", "header From", a.Span)
				return
			}
		}
	}
}

// hiddenText looks for characters that change what a reader sees (D-18).
func (c *check) hiddenText() {
	for _, name := range [...]string{"From", "Subject", "Reply-To", "Sender"} {
		for _, f := range c.m.Fields(name) {
			if mail.Hidden(mail.DecodeWords(strings.ReplaceAll(mail.Unfold(f.Value), "\t", " "))) {
				c.found("headers.hidden-characters", "A header that people read holds characters that cannot be seen or that turn the direction of text.", "header "+name, f.Span)
				break
			}
		}
	}
}

// date compares the Date field with the clock of the message.
func (c *check) date() {
	fields := c.m.Fields("Date")
	if len(fields) == 0 {
		return // missing says so
	}
	d := c.m.Date()
	switch {
	case d.IsZero():
		c.found("headers.date-unreadable", "The Date field is in no form that mail programs write.", "header Date", fields[0].Span)
	case d.After(c.m.Time.Add(24 * time.Hour)):
		c.found("headers.date-future", "The Date field is more than a day in the future.", "header Date", fields[0].Span)
	case d.Before(c.m.Time.Add(-30 * 24 * time.Hour)):
		c.found("headers.date-old", "The Date field is more than thirty days in the past.", "header Date", fields[0].Span)
	}
}

// missing names fields that honest programs write (RFC 5322 section 3.6).
func (c *check) missing() {
	head := c.m.HeaderSpan()
	for _, f := range [...]struct{ name, code, text string }{
		{"From", "headers.no-from", "There is no From field."},
		{"Date", "headers.no-date", "There is no Date field."},
		{"Message-ID", "headers.no-message-id", "There is no Message-ID field."},
		{"Subject", "headers.no-subject", "There is no Subject field."},
	} {
		if len(c.m.Fields(f.name)) == 0 {
			c.found(f.code, f.text, "header block", head)
		}
	}
	to, cc := c.m.Fields("To"), c.m.Fields("Cc")
	switch {
	case len(to) == 0 && len(cc) == 0:
		c.found("headers.no-recipients", "Neither To nor Cc names anybody.", "header block", head)
	case len(to) > 0 && (undisclosed(to[0].Value) || len(c.m.Addresses("To"))+len(c.m.Addresses("Cc")) == 0):
		c.found("headers.recipients-undisclosed", "The To field names nobody.", "header To", to[0].Span)
	}
}

// undisclosed reports whether a To field says that it does not tell whom the message is for.
func undisclosed(value string) bool {
	value = strings.ToLower(value[:min(len(value), 1<<10)])
	return strings.Contains(value, "undisclosed") && strings.Contains(value, "recipient")
}
