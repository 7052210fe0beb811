package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// An Entry is one allow or deny entry of access, as people see and make it.
type Entry struct {
	Allow     bool      `json:"allow"` // otherwise deny
	Unsafe    bool      `json:"unsafe,omitempty"`
	Client    []string  `json:"client,omitempty"`
	Helo      []string  `json:"helo,omitempty"`
	Sender    []string  `json:"sender,omitempty"`
	Recipient []string  `json:"recipient,omitempty"`
	Country   []string  `json:"country,omitempty"`
	ASN       []string  `json:"asn,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Owner     string    `json:"owner,omitempty"`
	From      string    `json:"created_from,omitempty"` // id of the message that it was made from
	Expires   time.Time `json:"expires,omitzero"`       // from then on it does not count; zero: it always does
	At        string    `json:"at,omitempty"`           // where it stands, as reasons name it
	Key       string    `json:"key,omitempty"`          // names the entry if it can be removed on the pages; empty for one of the policy file
}

// A List is one of the policy's lists in a few words.
type List struct {
	Name    string    `json:"name"`
	Size    int       `json:"size"`
	Owner   string    `json:"owner,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	At      string    `json:"at,omitempty"`
}

// An entriesDoc is the file that Options.Entries names.
type entriesDoc struct {
	Version int        `yaml:"version" doc:"Format of this file: 1." default:"1"`
	Access  []entryDoc `yaml:"access" doc:"Entries, asked after those of the policy file."`
}

// readEntries reads the entries that were made on the review pages; a file that is not there holds none.
func (c *compiler) readEntries() []entryDoc {
	if c.opts.Entries == "" {
		return nil
	}
	data, err := c.opts.ReadFile(c.opts.Entries)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.problem(conf.Pos{File: c.opts.Entries}, "", "cannot read the entries of the review pages: %v", err)
		return nil
	}
	var doc entriesDoc
	c.problems = append(c.problems, conf.Decode(c.opts.Entries, data, &doc)...)
	return doc.Access
}

// public is d as people see it.
func (d *whoseDoc) public(allow bool) Entry {
	return Entry{Allow: allow, Unsafe: d.Unsafe, Client: d.Client.strings(), Helo: d.Helo.strings(), Sender: d.Sender.strings(),
		Recipient: d.Recipient.strings(), Country: d.Country.strings(), ASN: d.ASN.strings(),
		Reason: d.Reason, Owner: d.Owner, From: d.From, Expires: d.Expires.end}
}

// Entries lists the entries of access in the order in which they are asked.
func (p *Policy) Entries() []Entry {
	out := make([]Entry, len(p.access.entries))
	for i, e := range p.access.entries {
		out[i] = e.public
	}
	return out
}

// Lists lists the policy's lists by name.
func (p *Policy) Lists() []List {
	out := make([]List, 0, len(p.lists))
	for _, l := range p.lists {
		out = append(out, List{Name: l.name, Size: l.size, Owner: l.owner, Reason: l.reason, Expires: l.expires.end, At: l.at})
	}
	slices.SortFunc(out, func(a, b List) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// key names an entry by what it says.
func (e Entry) key() string {
	e.At, e.Key = "", ""
	sum := sha256.Sum256([]byte(e.line()))
	return hex.EncodeToString(sum[:8])
}

// line is e as one line of YAML: what is between the braces is JSON, so that no text can be more than text.
func (e Entry) line() string {
	var b strings.Builder
	b.WriteString("  - deny: {")
	if e.Allow {
		b.Reset()
		b.WriteString("  - allow: {")
	}
	first := true
	add := func(key string, v any) {
		if !first {
			b.WriteString(", ")
		}
		first = false
		fmt.Fprintf(&b, "%s: %s", key, quote(v))
	}
	for _, k := range []struct {
		key    string
		values []string
	}{{"client", e.Client}, {"helo", e.Helo}, {"sender", e.Sender}, {"recipient", e.Recipient}, {"country", e.Country}, {"asn", e.ASN}} {
		if len(k.values) > 0 {
			clean := make([]string, len(k.values))
			for i, v := range k.values {
				clean[i] = mail.Printable(v, 320)
			}
			add(k.key, clean)
		}
	}
	if e.Unsafe {
		add("unsafe", true)
	}
	for _, k := range [][2]string{{"reason", e.Reason}, {"owner", e.Owner}, {"created_from", e.From}} {
		if k[1] != "" {
			add(k[0], mail.Printable(k[1], 300))
		}
	}
	if !e.Expires.IsZero() {
		add("expires", e.Expires.UTC().Format(time.RFC3339))
	}
	b.WriteString("}\n")
	return b.String()
}

// entriesHead is what stands above the entries.
const entriesHead = `# Allow and deny entries that were made on the review pages. They are asked after those of the policy file, so that
# what is written there by hand always comes first.
version: 1
access:`

// WriteEntries is the file of entries that Options.Entries names.
func WriteEntries(entries []Entry) []byte {
	var b strings.Builder
	b.WriteString(entriesHead)
	if len(entries) == 0 {
		b.WriteString(" []\n")
		return []byte(b.String())
	}
	b.WriteString("\n")
	for _, e := range entries {
		b.WriteString(e.line())
	}
	return []byte(b.String())
}

// EntryFor says where the entry of access stands that decides a message, or an attempt that was refused before there
// was a report (then rep is nil). It is empty if no entry does. Of several recipients the first decides whom one does.
func (p *Policy) EntryFor(env *mail.Envelope, rep *filters.Report) string {
	if len(p.access.entries) == 0 {
		return ""
	}
	q := question{at: Helo, env: env, now: env.Time}
	if !env.From.IsNull() || len(env.Rcpts) > 0 {
		q.at, q.sender = MailFrom, env.From.Canonical()
	}
	rcpts := []string{""}
	if len(env.Rcpts) > 0 {
		q.at, rcpts = Rcpt, rcpts[:0]
		for _, a := range env.Rcpts {
			rcpts = append(rcpts, a.Canonical())
		}
	}
	if rep != nil {
		q.at, q.auth = atEnd, rep.Auth
		if rep.Message != nil {
			q.author = rep.Message.From
		}
	}
	for _, q.rcpt = range rcpts {
		if e := p.access.first(&q); e != nil {
			return e.at
		}
	}
	return ""
}

// FailureOf is what is done with a message that a filter could not look at.
func (p *Policy) FailureOf(filter string) Action { return p.failures[filter].action }

// A RuleInfo is one rule as people see it.
type RuleInfo struct {
	Name    string    `json:"name"`
	At      string    `json:"at"`
	Says    string    `json:"says"` // matchers and actions, in the words of the file
	Reason  string    `json:"reason,omitempty"`
	Monitor bool      `json:"monitor,omitempty"` // recorded, not acted on
	Expires time.Time `json:"expires,omitzero"`
}

// RuleList lists the rules in the order in which they are asked.
func (p *Policy) RuleList() []RuleInfo {
	out := make([]RuleInfo, len(p.rules))
	for i, r := range p.rules {
		out[i] = RuleInfo{Name: r.name, At: r.at, Says: r.source, Reason: r.reason, Monitor: r.monitor, Expires: r.expires.end}
	}
	return out
}
