package dsn

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-message"

	"gatepost/filters/mail"
)

// MaxBytes is the most that a notification has (HOSTILE J-07).
const MaxBytes = 64 << 10

// What of a notification may be how long, so that the whole stays below MaxBytes.
const (
	maxRecipients = 25
	maxDiagnostic = 300
	maxHeader     = 24 << 10
	maxLine       = 900 // RFC 5322 section 2.1.1 allows 998
)

// A Failure is one recipient that was refused for good.
type Failure struct {
	Address string
	Status  string // enhanced status code, such as 5.1.1
	Said    string // the reply, with its codes
}

// A Notice is what one notification says. All its text comes out as printable ASCII.
type Notice struct {
	ID      string // of the notification, for Message-ID; the same at every attempt
	Host    string // who reports: our host name
	To      string // the reverse-path of the message
	Now     time.Time
	Arrived time.Time // the message
	Failed  []Failure // of more than 25 the rest is only counted
	Header  []byte    // of the message, as it came; at most 24 KiB are returned, in whole lines
	About   string    // Message-ID of the message, in angle brackets; empty: not known
}

// Write gives the notification, with CRLF line ends: multipart/report of a text for people, a message/delivery-status and the
// header of the message as text/rfc822-headers. Of the body nothing is returned (HOSTILE 5.4).
func (n Notice) Write() ([]byte, error) {
	var b bytes.Buffer
	w, err := message.CreateWriter(&b, n.head())
	if err != nil {
		return nil, fmt.Errorf("begin notification: %w", err)
	}
	for _, p := range []struct{ kind, text string }{
		{"text/plain", n.words()}, {"message/delivery-status", n.status()}, {"text/rfc822-headers", n.header()},
	} {
		var h message.Header
		params := map[string]string{}
		if p.kind == "text/plain" {
			params["charset"] = "us-ascii"
		}
		h.SetContentType(p.kind, params)
		part, err := w.CreatePart(h)
		if err == nil {
			_, err = io.WriteString(part, p.text)
		}
		if err == nil {
			err = part.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("write part %s: %w", p.kind, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("end notification: %w", err)
	}
	if b.Len() > MaxBytes {
		return nil, fmt.Errorf("notification has %d bytes", b.Len())
	}
	return b.Bytes(), nil
}

// head are the fields of the notification. Its subject is ours alone.
func (n Notice) head() message.Header {
	var h message.Header
	h.SetContentType("multipart/report", map[string]string{"report-type": "delivery-status", "boundary": "report-" + n.ID})
	for _, f := range [][2]string{ // the one set last comes first
		{"X-Auto-Response-Suppress", "All"}, {"Auto-Submitted", "auto-replied"}, {"References", n.about()}, {"In-Reply-To", n.about()},
		{"Message-Id", "<" + n.ID + "@" + n.Host + ">"}, {"Date", n.Now.UTC().Format(time.RFC1123Z)},
		{"Subject", "Your message could not be delivered"}, {"To", "<" + n.To + ">"},
		{"From", "Mail Delivery System <mailer-daemon@" + n.Host + ">"},
	} {
		if f[1] != "" {
			h.Set(f[0], f[1])
		}
	}
	return h
}

// about is the Message-ID of the message if it can stand in a field.
func (n Notice) about() string {
	if len(n.About) > 300 || !strings.HasPrefix(n.About, "<") || !strings.HasSuffix(n.About, ">") ||
		strings.ContainsFunc(n.About, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return n.About
}

// words is the part for people.
func (n Notice) words() string {
	var b strings.Builder
	b.WriteString("This is the mail server " + n.Host + ".\r\n\r\nYour message was accepted here, and could then not be delivered to these recipients.\r\nIt will not be tried again.\r\n\r\n")
	for i, f := range n.Failed {
		if i == maxRecipients {
			fmt.Fprintf(&b, "and %d more\r\n", len(n.Failed)-i)
			break
		}
		b.WriteString("  <" + line(f.Address, 320) + ">\r\n      " + line(f.Said, maxDiagnostic) + "\r\n")
	}
	b.WriteString("\r\nThe header of your message follows; its text is not returned.\r\n")
	return b.String()
}

// status is the part for programs: RFC 3464 section 2.
func (n Notice) status() string {
	var b strings.Builder
	b.WriteString("Reporting-MTA: dns; " + n.Host + "\r\nArrival-Date: " + n.Arrived.UTC().Format(time.RFC1123Z) + "\r\n")
	for _, f := range n.Failed[:min(len(n.Failed), maxRecipients)] {
		b.WriteString("\r\nFinal-Recipient: rfc822; " + line(f.Address, 320) + "\r\nAction: failed\r\nStatus: " + line(f.Status, 11) +
			"\r\nDiagnostic-Code: smtp; " + line(f.Said, maxDiagnostic) + "\r\n")
	}
	return b.String()
}

// header is as much of the header of the message as is returned.
func (n Notice) header() string {
	var b strings.Builder
	for l := range bytes.SplitSeq(n.Header, []byte("\n")) {
		text := bytes.TrimRight(l, "\r")
		if len(text) == 0 || b.Len()+min(len(text), maxLine)+2 > maxHeader {
			break
		}
		for _, c := range text[:min(len(text), maxLine)] {
			if c != '\t' && (c < ' ' || c > '~') {
				c = '?'
			}
			b.WriteByte(c)
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

// line is s as one line of printable ASCII.
func line(s string, max int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, mail.Printable(s, max))
}
