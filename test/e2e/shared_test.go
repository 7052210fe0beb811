package e2e

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// redis starts a real redis-server and returns its address and how to end it.
func redis(t *testing.T) (addr string, kill func()) {
	t.Helper()
	program := harness.Need(t, "redis-server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	_, port, _ := strings.Cut(addr, ":")
	cmd := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	kill = func() {
		if !ended {
			ended = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(kill)
	harness.Eventually(t, "redis answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr, kill
}

func TestGatewaysOfASiteShareWhatTheyKnowAndDoWithoutIt(t *testing.T) { // M-01, M-04, P-20
	addr, kill := redis(t)
	setup := harness.Setup{
		Zone: friend + pools, TLS: behindProxy, Policy: "version: 1\nrules:\n  - {name: doubt, from: \"@stranger.example\", then: greylist}\n",
		Files:  map[string]string{"users.txt": "bob@b.test\n"},
		Domain: "  - {name: b.test, downstream: [\"127.0.0.1:1\"], recipients: {file: users.txt}}\n",
		Config: "state: {url: \"redis://" + addr + "\"}\ngreylist: {delay: 1h}\nlimits: {unknown_recipients_per_minute: 2}\n",
	}
	one, two := harness.Start(t, setup), harness.Start(t, setup)
	send := func(w *harness.World, client, domain, want string) {
		t.Helper()
		d := as(t, w, client).Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@" + domain + ">\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
		d.Raw(harness.Wire(letterFrom(domain)) + ".\r\n")
		d.Expect(want)
	}
	send(one, "198.51.100.7", "stranger.example", "450 4.7.1 Greylisted: ")
	list := waiting(t, two)
	if len(list) != 1 || list[0].Mail_from != "ann@stranger.example" {
		t.Fatalf("the other gateway lists %+v", list)
	}
	if out, code := two.Command("greylist", "pass", list[0].ID); code != 0 {
		t.Fatalf("pass: exit %d %s", code, out)
	}
	send(one, "198.51.100.8", "stranger.example", "250 2.0.0")
	d := as(t, one, "198.51.100.9").Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250")
	for range 3 {
		d.Talk("C: RCPT TO:<nobody@b.test>\nS: 550 5.1.1")
	}
	as(t, two, "198.51.100.9").Talk("S: 421 4.7.0").Closed() // banned by the one, and by the other

	kill()
	as(t, two, "198.51.100.9").Talk("S: 421 4.7.0").Closed() // what it was told it knows by itself
	for range 12 {
		send(two, "198.51.100.20", "plain.example", "250 2.0.0")
	}
	send(one, "198.51.100.8", "stranger.example", "250 2.0.0")
	if event(t, two, `gatepost_state_events_total{event="failure"}`) == "0" || event(t, two, `gatepost_state_events_total{event="call"}`) == "0" {
		t.Error("no metric tells that Redis is away")
	}
	if status, body := two.Get("/readyz"); status != 200 || !strings.Contains(body, "shared state") {
		t.Errorf("readiness: %d %s", status, body)
	}
}
