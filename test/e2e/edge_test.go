package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

// behindProxy is a listener's tls mode, and the proxies that may say who connects: tests speak for many clients.
const behindProxy = "offered\n    proxy_protocol: [127.0.0.0/8]"

// as connects as another client, to the address 192.0.2.25.
func as(t *testing.T, w *harness.World, client string) *harness.Dialogue {
	t.Helper()
	d := harness.Dial(t, w.SMTP)
	d.Raw("PROXY TCP4 " + client + " 192.0.2.25 4000 25\r\n")
	return d
}

// event is a number of the metrics.
func event(t *testing.T, w *harness.World, series string) string {
	t.Helper()
	_, body := w.Get("/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestWhoTriesAddressesIsSlowedAndBannedAlsoAfterARestart(t *testing.T) { // C-16, M-04
	w := harness.Start(t, harness.Setup{
		Zone: friend, TLS: behindProxy, Files: map[string]string{"users.txt": "bob@b.test\n"},
		Domain: "  - {name: b.test, downstream: [\"127.0.0.1:1\"], recipients: {file: users.txt}}\n",
		Config: "limits: {soft_unknown_recipients: 2, unknown_recipients: 4, unknown_recipients_per_minute: 4}\ntimeouts: {greet_delay: 0s, normal: {error_delay: 10ms}}\n",
	})
	d := as(t, w, "198.51.100.7").Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@b.test>\nS: 250")
	for range 4 {
		d.Talk("C: RCPT TO:<nobody@b.test>\nS: 550 5.1.1")
	}
	d.Talk("C: RCPT TO:<nobody@b.test>\nS: 421 4.7.0").Closed()
	as(t, w, "198.51.100.7").Talk("S: 421 4.7.0").Closed()
	as(t, w, "198.51.100.8").Talk("S: 220") // the neighbour does not pay
	for series, want := range map[string]string{
		`gatepost_smtp_events_total{event="tarpit"}`: "2", `gatepost_smtp_events_total{event="unknown_recipients"}`: "1",
		`gatepost_access_events_total{event="unknown_recipients_per_minute"}`: "1", `gatepost_access_events_total{event="banned"}`: "1",
	} {
		if got := event(t, w, series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.Run()
	as(t, w, "198.51.100.7").Talk("S: 421 4.7.0").Closed()
	as(t, w, "198.51.100.8").Talk("S: 220")
}

func TestBotsAreToldFromMailServersWithoutAForcedReconnect(t *testing.T) { // C-01, C-02, C-09, C-10
	w := harness.Start(t, harness.Setup{TLS: behindProxy, Zone: friend + "9.100.51.198.in-addr.arpa PTR real.name.example\n", Config: "timeouts: {greet_delay: 1s}\n"})
	early := as(t, w, "198.51.100.1")
	early.Raw("EHLO c.example\r\n")
	early.Expect("554 5.5.0")
	early.Closed()
	other := as(t, w, "198.51.100.2")
	other.Raw("\x16\x03\x01\x02\x00\x01")
	other.Expect("500 5.5.2")
	other.Closed()
	for _, name := range []string{"mx.gatepost.example", "MX.gatepost.EXAMPLE", "[192.0.2.25]", "[127.0.0.1]"} {
		as(t, w, "198.51.100.3").Talk("S: 220\nC: EHLO " + name + "\nS: 550 5.7.1 EHLO or HELO gave this server's own name")
	}
	send := func() {
		t.Helper()
		d := as(t, w, "198.51.100.9").Talk("S: 220\nC: EHLO other.name.example\nS: 250\nC: MAIL FROM:<>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
		d.Raw(harness.Wire(letterFrom("plain.example")) + ".\r\n")
		d.Expect("250 2.0.0")
	}
	const waited, spared = `gatepost_access_events_total{event="greet_delay"}`, `gatepost_access_events_total{event="greet_delay_spared"}`
	send()
	if got := event(t, w, waited) + " " + event(t, w, spared); got != "7 0" {
		t.Errorf("strangers waited, were spared: %s", got)
	}
	send()
	if got := event(t, w, spared); got != "1" {
		t.Errorf("who sent mail waits again: spared %s", got)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.Run()
	send()
	if got := event(t, w, waited) + " " + event(t, w, spared); got != "0 1" {
		t.Errorf("after a restart, waited and spared: %s", got)
	}
}

func TestNewLimitsHoldForNewSessionsWithoutARestart(t *testing.T) { // P-18
	w := harness.Start(t, harness.Setup{Zone: friend})
	old := harness.Dial(t, w.SMTP).Talk("S: 220\nC: EHLO c.example\nS: 250")
	path := filepath.Join(w.Dir, "gatepost.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(text), "greet_delay: 0s", "greet_delay: 1s, normal: {verdict: 8m}", 1) +
		"limits: {recipients: 2, messages_per_minute: 1, message_bytes: 100KiB, header_bytes: 64KiB, header_field_bytes: 32KiB}\nstate: {gateways: 7}\n"
	if err := os.WriteFile(path, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, "the reload is done", func() bool { return w.Logged(`"msg":"reloaded"`) == 1 })
	d := harness.Dial(t, w.SMTP)
	d.Expect("220")
	d.Raw("EHLO c.example\r\n")
	if got := d.Expect("250"); !strings.Contains(got, "SIZE 102400") || !strings.Contains(got, "LIMITS RCPTMAX=2 ") {
		t.Errorf("offered %q", got)
	}
	d.Talk("C: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<a@example.com>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: RCPT TO:<c@example.com>\nS: 452 4.5.3")
	d.Talk("C: RSET\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 450 4.7.1")
	if event(t, w, `gatepost_access_events_total{event="greet_delay"}`) != "1" {
		t.Error("the new wait does not hold")
	}
	old.Talk("C: NOOP\nS: 250") // no session is dropped
	if !strings.Contains(w.Log(), `"changed, and takes effect at a restart","key":"state"`) {
		t.Error("nobody is told what waits for a restart")
	}
}

func TestTheClientIsToldInTimeThatAVerdictTakesTooLong(t *testing.T) { // HOSTILE 3.2
	slow := badsink.Script{On: func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Data {
			return &badsink.Action{Delay: time.Minute}
		}
		return nil
	}}
	w := harness.Start(t, harness.Setup{Zone: friend, Script: slow, Config: "timeouts: {greet_delay: 0s, normal: {verdict: 1s}}\n"})
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "451 4.4.5 ") {
		t.Errorf("reply %q", reply)
	}
	if n := w.Sink.Count(); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestRecipientsAreTakenByTheirOneSpellingAndTenantsApart(t *testing.T) { // A-09, K-06, K-07, K-08, K-12
	w := harness.Start(t, harness.Setup{
		Zone: friend, Domain: "  - {name: b.test, downstream: [\"127.0.0.1:1\"], recipients: any}\n  - {name: ÖURS.example, downstream: [\"127.0.0.1:1\"], recipients: any}\n",
	})
	d := begin(t, w, false)
	for _, c := range []struct{ rcpt, want string }{
		{"User@EXAMPLE.com", "250 2.1.5"}, {"user@example.com.", "250 2.1.5"}, {"user@xn--urs-rna.example", "250 2.1.5"},
		{"user@[127.0.0.1]", "550 5.7.1"}, {"user@[IPv6:::1]", "550 5.7.1"},
		{"postmaster", "250 2.1.5"}, {"Postmaster", "250 2.1.5"}, {"Postmaster@b.test", "250 2.1.5"},
	} {
		d.Talk("C: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<" + c.rcpt + ">\nS: " + c.want + "\nC: RSET\nS: 250")
	}
	// Another tenant's recipient comes in a transaction of its own, so that neither's policy touches the other.
	d.Talk("C: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: RCPT TO:<bob@b.test>\nS: 452 4.5.3\nC: RCPT TO:<ann@example.com>\nS: 250\nC: RSET\nS: 250")
	// An empty message ends where it should, and is no message.
	d.Talk("C: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354\nC: .\nS: 550 5.6.0\nC: NOOP\nS: 250")
}

// Idle clients cannot take the files that a message needs on its way: with few of them, fewer clients are let in (I-05).
func TestIdleClientsLeaveFilesForMail(t *testing.T) {
	w := harness.Prepare(t, harness.Setup{TLS: behindProxy, Zone: friend, Config: "trusted_networks: [192.0.2.77/32]\n"})
	w.Wrap = []string{"sh", "-c", `ulimit -n 160; exec "$@"`, "sh"}
	w.Run()
	if w.Logged("160 open files allow 80 connections") != 1 {
		t.Fatalf("nobody was told:\n%s", w.Log())
	}
	for i := range 300 {
		c, err := net.Dial("tcp", w.SMTP)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "PROXY TCP4 198.51.%d.%d 192.0.2.25 4000 25\r\n", i/100, i%100+1)
	}
	for range 100 { // until the crowd is sorted, whoever comes may be turned away
		if d := greeted(t, w, "192.0.2.77"); d != nil {
			d.Talk("C: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@elsewhere.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\n" +
				"C: DATA\nS: 354\nC: From: ann@elsewhere.example\nC: Subject: hello\nC:\nC: Hello.\nC: .\nS: 250")
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if n := len(w.Sink.Messages()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}

// greeted connects as a client; nil if the gateway does not greet it.
func greeted(t *testing.T, w *harness.World, client string) *harness.Dialogue {
	t.Helper()
	d := as(t, w, client)
	line := make([]byte, 4)
	_ = d.Conn().SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(d.Conn(), line); err != nil || string(line) != "220 " {
		d.Close()
		return nil
	}
	d.Reply() // the rest of the line
	return d
}
