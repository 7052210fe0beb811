package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"html/template"
	"mime"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// A letter is the form of a digest in every language.
type letter struct{ html map[string]*template.Template }

func readLetter(t *texts) (*letter, error) {
	l := &letter{html: make(map[string]*template.Template)}
	for _, lang := range languages() {
		page, err := template.New("digest.html").Funcs(template.FuncMap{
			"t":     func(key string, pairs ...any) string { return t.say(lang[0], key, pairs...) },
			"class": func(c policy.Class) string { return t.say(lang[0], classKey(c)) },
			"utc":   func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") + " UTC" },
		}).ParseFS(letterFiles, "letters/digest.html")
		if err != nil {
			return nil, fmt.Errorf("parse digest: %w", err)
		}
		l.html[lang[0]] = page
	}
	return l, nil
}

// A digestView is what a digest says.
type digestView struct {
	Lang     string
	Address  string
	Rows     []digestRow
	More     bool
	All      string // address of the whole list
	Settings string
}

// A digestRow is one held message. Its words are a stranger's: cut, printable, and escaped wherever they are shown.
type digestRow struct {
	From, Subject string
	Class         policy.Class
	Time          time.Time
	Link          string // empty: somebody with more rights decides
}

// maxDigestText bounds what is shown of a stranger's words, in bytes (HOSTILE 4.3).
const maxDigestText = 80

// compose writes one digest as a message: HTML and text, neither with anything remote in it.
func (g *Digests) compose(ctx context.Context, address, lang string, list []quarantine.Entry) ([]byte, error) {
	v := digestView{Lang: lang, Address: address, More: len(list) > digestRows, All: g.deps.BaseURL + "/quarantine"}
	for _, e := range list[:min(len(list), digestRows)] {
		row := digestRow{From: shortAddress(e.Author), Subject: short(e.Subject), Class: e.Class, Time: e.Time}
		if e.Author == "" {
			row.From = shortAddress(e.MailFrom)
		}
		if e.Class != policy.Malware {
			link, err := g.link(ctx, digestToken{ID: e.ID, Rcpt: address, Action: actDecide})
			if err != nil {
				return nil, err
			}
			row.Link = link
		}
		v.Rows = append(v.Rows, row)
	}
	var err error
	if v.Settings, err = g.link(ctx, digestToken{Rcpt: address, Action: actSettings}); err != nil {
		return nil, err
	}
	var page bytes.Buffer
	if err := g.page.html[lang].Execute(&page, v); err != nil {
		return nil, fmt.Errorf("write digest: %w", err)
	}
	return g.envelope(v, g.plain(v), page.String()), nil
}

// short is a stranger's text as a digest shows it.
func short(s string) string { return clip(mail.Printable(s, 4*maxDigestText), maxDigestText) }

// shortAddress is a stranger's address as a digest shows it, its end always with it.
func shortAddress(s string) string { return elide(mail.Printable(s, 4*maxDigestText), maxDigestText) }

// plain is the digest as text.
func (g *Digests) plain(v digestView) string {
	say := func(key string, pairs ...any) string { return g.texts.say(v.Lang, key, pairs...) }
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", say("digest.intro", "n", len(v.Rows), "address", v.Address))
	for _, r := range v.Rows {
		subject := r.Subject
		if subject == "" {
			subject = say("list.nosubject")
		}
		fmt.Fprintf(&b, "* %s\n  %s · %s · %s\n", subject, r.From, say(classKey(r.Class)), r.Time.UTC().Format("2006-01-02 15:04 UTC"))
		if r.Link != "" {
			fmt.Fprintf(&b, "  %s\n", r.Link)
		} else {
			fmt.Fprintf(&b, "  %s\n", say("digest.locked"))
		}
		b.WriteString("\n")
	}
	if v.More {
		fmt.Fprintf(&b, "%s\n", say("digest.more"))
	}
	fmt.Fprintf(&b, "%s %s\n\n%s\n%s %s\n", say("digest.all"), v.All, say("digest.safe"), say("digest.settings"), v.Settings)
	return b.String()
}

// envelope puts the two forms into a message. Nothing in its header is a stranger's.
func (g *Digests) envelope(v digestView, text, html string) []byte {
	now := g.deps.Now()
	id := mail.NewID(now)
	boundary := "digest-" + id
	var b bytes.Buffer
	for _, f := range [][2]string{
		{"From", "Gatepost <" + g.cfg.From + ">"}, {"To", "<" + v.Address + ">"},
		{"Subject", mime.BEncoding.Encode("utf-8", g.texts.say(v.Lang, "digest.subject", "n", len(v.Rows)))},
		{"Date", now.Format(time.RFC1123Z)}, {"Message-ID", "<" + id + "@" + g.deps.Hostname + ">"},
		{"Auto-Submitted", "auto-generated"}, {"X-Auto-Response-Suppress", "All"}, {"MIME-Version", "1.0"},
		{"Content-Type", `multipart/alternative; boundary="` + boundary + `"`},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	for _, p := range [][2]string{{"text/plain", text}, {"text/html", html}} {
		fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", boundary, p[0])
		body := base64.StdEncoding.EncodeToString([]byte(p[1]))
		for len(body) > 76 {
			b.WriteString(body[:76] + "\r\n")
			body = body[76:]
		}
		b.WriteString(body)
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}
