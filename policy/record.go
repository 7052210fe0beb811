package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Kept is a report as it is to be recorded, for replays and for tests made from it: of the header it has only the
// fields that the policy's rules ask for. A draft that asks for others is told that they are unknown.
func (p *Policy) Kept(rep *filters.Report) *filters.Report {
	if rep.Message == nil || rep.Message.Header == nil || len(p.headers) == 0 {
		return rep
	}
	r, m := *rep, *rep.Message
	m.Kept = map[string][]string{}
	for _, name := range p.headers {
		m.Kept[name] = some(m.Header.Values(name))
	}
	r.Message = &m
	return &r
}

// TestFromRecord writes a test for the policy file out of a recorded message: its facts, with local parts of
// addresses and display names replaced, expecting what p makes of it. It is an entry of tests, indented by two.
func TestFromRecord(p *Policy, past Past) ([]byte, error) {
	r := redaction{names: map[string]string{}}
	env, rep := r.redact(past)
	d := p.Decide(env, rep)
	if d.Action != past.Was.Action {
		return nil, fmt.Errorf("write test of %s: without the addresses of people it is judged otherwise (%s, not %s)", env.ID, d.Action, past.Was.Action)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    given:\n", quote("message "+env.ID+" is treated as it was: "+string(d.Action)))
	line := func(key string, v any) {
		if s := quote(v); s != `""` && s != "null" && s != "[]" && s != "{}" && s != "0" && s != "false" {
			fmt.Fprintf(&b, "      %s: %s\n", key, s)
		}
	}
	line("client", env.Remote)
	line("client_name", env.RemoteName)
	line("helo", env.Helo)
	line("mail_from", env.From.String())
	rcpts := make([]string, len(env.Rcpts))
	for i, a := range env.Rcpts {
		rcpts[i] = a.String()
	}
	line("rcpt", rcpts)
	line("tls", env.TLS.On())
	line("trusted", env.Trusted)
	line("country", env.Country)
	line("asn", env.ASN)
	line("time", env.Time.UTC().Format(time.RFC3339))
	writeFacts(line, rep)
	fmt.Fprintf(&b, "    expect: {action: %s", d.Action)
	if d.Class != Clean {
		fmt.Fprintf(&b, ", class: %s", d.Class)
	}
	fmt.Fprintf(&b, ", score: %s}\n", d.Score)
	return []byte(b.String()), nil
}

// quote is a value as JSON, which YAML reads.
func quote(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(data)
}

// writeFacts writes a report as the keys of given.
func writeFacts(line func(string, any), rep *filters.Report) {
	var codes, notRun, absent []string
	for _, f := range rep.Findings {
		if !slices.Contains(codes, f.Code) {
			codes = append(codes, f.Code)
		}
	}
	for _, f := range rep.Failures {
		notRun = append(notRun, f.Filter)
	}
	line("findings", codes)
	line("not_run", notRun)
	if a := rep.Auth; a != nil {
		auth := map[string]string{"spf": a.SPF.Result, "dkim": bestDKIM(a.DKIM), "dmarc": a.DMARC.Result, "arc": a.ARC.Result,
			"dmarc_policy": a.DMARC.Policy, "dmarc_disposition": a.DMARC.Disposition, "domain": a.Domain}
		for k, v := range auth {
			if v == "" {
				delete(auth, k)
			}
		}
		line("auth", auth)
	} else {
		absent = append(absent, "auth")
	}
	if m := rep.Message; m != nil {
		line("from", m.From)
		line("from_name", m.FromName)
		line("to", m.To)
		line("reply_to", m.ReplyTo)
		line("subject", m.Subject)
		line("date", m.Date)
		line("size", m.Size)
		header := map[string]string{}
		for name, v := range m.Kept {
			if len(v) > 0 {
				header[name] = v[0]
			}
		}
		line("header", header)
	} else {
		absent = append(absent, "message")
	}
	if rep.Attachments == nil {
		absent = append(absent, "attachments")
	}
	line("attachments", attachmentsOf(rep.Attachments))
	if rep.URLs == nil {
		absent = append(absent, "urls")
	}
	var urls []string
	for _, u := range rep.URLs {
		urls = append(urls, u.URL)
	}
	line("urls", urls)
	if t := rep.Text; t != nil {
		line("text", map[string]any{"language": t.Language, "words": t.Words})
	} else {
		absent = append(absent, "text")
	}
	if s := rep.Sender; s != nil {
		sender := map[string]any{"remembered": s.Remembered, "messages": s.Messages, "authenticated": s.Authenticated, "first_contact": s.FirstContact, "free_mail": s.FreeMail}
		if !s.FirstSeen.IsZero() {
			sender["first_seen"] = s.FirstSeen.UTC().Format(time.RFC3339)
		}
		line("sender", sender)
	}
	line("absent", absent)
}

// attachmentsOf is attachments in the form of given.
func attachmentsOf(list []filters.Attachment) []map[string]any {
	var out []map[string]any
	for _, a := range list {
		m := map[string]any{"name": a.Name, "type": a.Type, "size": a.Size}
		for k, v := range map[string]bool{"macro": a.Macro, "encrypted": a.Encrypted, "executable": a.Executable} {
			if v {
				m[k] = true
			}
		}
		if len(a.Path) > 0 {
			m["path"] = a.Path
		}
		if len(a.Names) > 1 {
			m["names"] = a.Names
		}
		out = append(out, m)
	}
	return out
}

// A redaction replaces people by numbers, the same person by the same number.
type redaction struct{ names map[string]string }

// redact is a past message without the names of people.
func (r *redaction) redact(past Past) (*mail.Envelope, *filters.Report) {
	env, rep := *past.Envelope, *past.Report
	env.From = r.mailbox(env.From)
	env.Rcpts = slices.Clone(env.Rcpts)
	for i := range env.Rcpts {
		env.Rcpts[i] = r.mailbox(env.Rcpts[i])
	}
	if rep.Message != nil {
		m := *rep.Message
		m.From, m.FromName, m.MessageID = r.address(m.From), "", ""
		m.Froms, m.To, m.ReplyTo = r.addresses(m.Froms), r.addresses(m.To), r.addresses(m.ReplyTo)
		rep.Message = &m
	}
	return &env, &rep
}

// everybody are local parts of roles, which name no one.
var everybody = []string{"postmaster", "abuse", "info", "noreply", "no-reply", "mailer-daemon", "root", "admin", "sales", "support"}

// address replaces the local part.
func (r *redaction) address(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || slices.Contains(everybody, strings.ToLower(s[:at])) {
		return s
	}
	key := strings.ToLower(s)
	if r.names[key] == "" {
		r.names[key] = fmt.Sprintf("person%d", len(r.names)+1)
	}
	return r.names[key] + s[at:]
}

func (r *redaction) addresses(l []string) []string {
	out := make([]string, len(l))
	for i, s := range l {
		out[i] = r.address(s)
	}
	return out
}

func (r *redaction) mailbox(a mail.Address) mail.Address {
	b, err := mail.ParseAddress(r.address(a.String()))
	if err != nil {
		return a
	}
	return b
}
