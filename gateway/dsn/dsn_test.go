package dsn

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"testing"
	"time"
)

func notice(failed ...Failure) Notice {
	return Notice{
		ID: "m1-notice", Host: "mx.b.test", To: "s@s.test", Now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC),
		Arrived: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), Failed: failed, About: "<1@s.test>",
		Header: []byte("From: s@s.test\r\nSubject: \xff\x1b[31mhello\r\n folded\r\nTo: gone@b.test\r\n\r\nbody: no\r\n"),
	}
}

// parts reads a notification with other programs than wrote it.
func parts(t testing.TB, b []byte) (netmail.Header, map[string]string) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%s %v %v", kind, params, err)
	}
	found := map[string]string{}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return m.Header, found
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(p)
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		found[kind] += string(text)
	}
}

func TestANotificationIsAReportWithTheHeaderAndNothingOfTheBody(t *testing.T) { // J-04, J-07, RFC 3464
	b, err := notice(Failure{"gone@b.test", "5.1.1", "550 5.1.1 no such user"}).Write()
	if err != nil {
		t.Fatal(err)
	}
	head, found := parts(t, b)
	for name, want := range map[string]string{
		"Auto-Submitted": "auto-replied", "To": "<s@s.test>", "In-Reply-To": "<1@s.test>", "Message-Id": "<m1-notice@mx.b.test>",
		"Subject": "Your message could not be delivered", "X-Auto-Response-Suppress": "All", "Mime-Version": "1.0",
		"From": "Mail Delivery System <mailer-daemon@mx.b.test>", "Date": "Mon, 30 Nov 2026 12:00:00 +0000",
	} {
		if got := head.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(found) != 3 || found["text/rfc822-headers"] != "From: s@s.test\r\nSubject: ??[31mhello\r\n folded\r\nTo: gone@b.test\r\n" {
		t.Errorf("%q", found)
	}
	want := "Reporting-MTA: dns; mx.b.test\r\nArrival-Date: Sun, 29 Nov 2026 12:00:00 +0000\r\n\r\n" +
		"Final-Recipient: rfc822; gone@b.test\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
	if found["message/delivery-status"] != want {
		t.Errorf("%q", found["message/delivery-status"])
	}
	if bytes.Contains(b, []byte("body")) || !strings.Contains(found["text/plain"], "<gone@b.test>") {
		t.Errorf("%s", b)
	}
}

func TestANotificationIsBoundedAndPlain(t *testing.T) { // J-07, R-15
	n := notice()
	for range 1000 {
		n.Failed = append(n.Failed, Failure{strings.Repeat("a", 400) + "@b.test", "5.1.1\r\nX: 1", "550 \r\nBcc: x\x1b" + strings.Repeat("\xff", 5000)})
	}
	n.Header = []byte(strings.Repeat("X: "+strings.Repeat("y", 5000)+"\n", 1000))
	n.About = "<a b\r\nBcc: x@s.test>"
	b, err := n.Write()
	if err != nil || len(b) > MaxBytes {
		t.Fatal(len(b), err)
	}
	head, found := parts(t, b)
	if head.Get("Bcc") != "" || head.Get("References") != "" || !strings.Contains(found["text/plain"], "and 975 more") {
		t.Error(head)
	}
	plain := bytes.ReplaceAll(b, []byte("\r\n"), nil)
	if bytes.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Error("it is not plain ASCII")
	}
	for l := range bytes.SplitSeq(b, []byte("\r\n")) {
		if len(l) > 998 {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
}

func FuzzNotice(f *testing.F) {
	f.Add("gone@b.test", "550 5.1.1 no", []byte("From: a@b\r\n\r\n"), "<1@s.test>")
	f.Fuzz(func(t *testing.T, address, said string, header []byte, about string) {
		n := notice(Failure{address, "5.0.0", said})
		n.Header, n.About = header, about
		b, err := n.Write()
		if err != nil || len(b) > MaxBytes {
			t.Fatal(len(b), err)
		}
		if bytes.ContainsAny(bytes.ReplaceAll(b, []byte("\r\n"), nil), "\r\n\x00") {
			t.Fatalf("%q", b)
		}
		if _, found := parts(t, b); len(found) != 3 {
			t.Fatalf("%q", b)
		}
	})
}
