package e2e

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatepost/test/harness"
)

// begin opens a session and says EHLO, under TLS if it is asked for.
func begin(t *testing.T, w *harness.World, protect bool) *harness.Dialogue {
	t.Helper()
	d := harness.Dial(t, w.SMTP).Talk("S: 220\nC: EHLO mail.client.example\nS: 250")
	if protect {
		d.StartTLS()
		d.Talk("C: EHLO mail.client.example\nS: 250")
	}
	return d
}

const demands = `tls:
  exempt_recipients: [tlsrpt@example.com]
  enforce:
    - {sender_domains: [bank.example], stage: required}
    - {sender_domains: [vault.example], stage: required, min_version: "1.3"}
    - {sender_domains: [slow.example], stage: warn}
    - {sender_domains: [watched.example], stage: observe}
`

func TestTLSIsDemandedInStagesByDomain(t *testing.T) { // B-04, B-05
	w := harness.Start(t, harness.Setup{Config: demands, Zone: friend})
	for _, c := range []struct {
		protect          bool
		from, rcpt, want string
	}{
		{false, "a@bank.example", "bob@example.com", "550 5.7.1 TLS is required"},
		{false, "a@bank.example", "postmaster@example.com", "250 2.1.5 Recipient OK"},
		{false, "a@bank.example", "tlsrpt@example.com", "250 2.1.5 Recipient OK"},
		{true, "a@bank.example", "bob@example.com", "250 2.1.5 Recipient OK"},
		{true, "a@vault.example", "bob@example.com", "250 2.1.5 Recipient OK"},
		{false, "a@slow.example", "bob@example.com", "250 2.1.5 Recipient OK; TLS will be required"},
		{true, "a@slow.example", "bob@example.com", "250 2.1.5 Recipient OK"},
		{false, "a@watched.example", "bob@example.com", "250 2.1.5 Recipient OK"},
		{false, "a@free.example", "bob@example.com", "250 2.1.5 Recipient OK"},
	} {
		d := begin(t, w, c.protect)
		d.Talk("C: MAIL FROM:<" + c.from + ">\nS: 250\nC: RCPT TO:<" + c.rcpt + ">")
		if got := d.Reply(); !strings.HasPrefix(got, c.want) || strings.Contains(got, "TLS") != strings.Contains(c.want, "TLS") {
			t.Errorf("%+v: %q", c, got)
		}
		d.Close()
	}
}

func TestAListenerGoesFromObserveToRequiredWithoutARestart(t *testing.T) { // B-04, B-05, B-13
	w := harness.Start(t, harness.Setup{TLS: "observe", Zone: friend})
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "250 2.0.0") {
		t.Fatalf("observed: %q", reply)
	}
	old := harness.Dial(t, w.SMTP).Talk("S: 220\nC: EHLO old.client.example\nS: 250\nC: STARTTLS\nS: 220")
	tooOld(t, old)
	protected := begin(t, w, true).Talk("C: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
	protected.Raw(harness.Wire(hello) + ".\r\n")
	protected.Expect("250 2.0.0")

	restage(t, w, "observe", "warn")
	begin(t, w, false).Talk("C: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250 2.1.5 Recipient OK; TLS will be required")

	restage(t, w, "warn", "required")
	d := begin(t, w, false)
	for _, verb := range []string{"MAIL FROM:<ann@friend.example>", "RCPT TO:<bob@example.com>", "DATA", "RSET", "VRFY bob", "HELO x.example"} {
		d.Talk("C: " + verb + "\nS: 530 5.7.0 Must issue a STARTTLS command first")
	}
	d.Talk("C: NOOP\nS: 250\nC: QUIT\nS: 221")

	var report struct {
		Messages, Plain int
		PlainWanted     int `json:"plain_wanted"`
		CutOff          []struct {
			Domain                    string
			Proven                    bool
			Messages, Wanted, Refused int
			Stage                     string
			Error                     string `json:"last_error"`
		} `json:"would_be_cut_off"`
		Failing []struct {
			Failed int
			Error  string `json:"last_error"`
		} `json:"failed_handshakes"`
	}
	harness.Eventually(t, "the report has all", func() bool {
		out, code := w.Command("tls", "report", "--json")
		return code == 0 && json.Unmarshal([]byte(out), &report) == nil && len(report.CutOff) == 2
	})
	if report.Messages != 2 || report.Plain != 1 || report.PlainWanted != 1 {
		t.Errorf("totals %+v", report)
	}
	sender, cut := report.CutOff[0], report.CutOff[1]
	const cause = "client offers no version as new as TLS 1.2"
	if sender.Domain != "friend.example" || !sender.Proven || sender.Messages != 1 || sender.Wanted != 1 || sender.Stage != "required" || sender.Error != cause {
		t.Errorf("who sent: %+v", sender)
	}
	if cut.Domain != "client.example" || cut.Refused == 0 {
		t.Errorf("who was cut off: %+v", cut)
	}
	if len(report.Failing) != 1 || report.Failing[0].Failed != 1 || report.Failing[0].Error != cause {
		t.Errorf("handshakes: %+v", report.Failing)
	}
	if out, code := w.Command("tls", "report"); code != 0 || !strings.Contains(out, "friend.example") || !strings.Contains(out, cause) {
		t.Errorf("for people: exit %d\n%s", code, out)
	}
}

// restage puts another stage in the place of the listener's and waits until it holds.
func restage(t *testing.T, w *harness.World, was, now string) {
	t.Helper()
	path := filepath.Join(w.Dir, "gatepost.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "tls: "+was, "tls: "+now, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.Logged(`"msg":"reloaded"`)
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, "the reload is done", func() bool { return w.Logged(`"msg":"reloaded"`) > before })
}

// tooOld tries a handshake with nothing newer than TLS 1.1.
func tooOld(t *testing.T, d *harness.Dialogue) {
	t.Helper()
	conn := tls.Client(d.Conn(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := conn.Handshake(); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}
