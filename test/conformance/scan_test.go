package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/filters"
	"gatepost/test/harness"
	"gatepost/test/harness/dnszone"
)

// The program as an administrator calls it: `scan --json --batch` with dns.servers pointing at a test server.
func TestScanTellsWhoVouchesForEveryMessage(t *testing.T) {
	server := dnszone.Start(t, football+`
		football.example.com TXT v=spf1 ip4:192.0.2.1 -all
		_dmarc.football.example.com TXT v=DMARC1; p=reject
		slow.example TXT TIMEOUT
		broken.example SERVFAIL
		_dmarc.slow.example TIMEOUT
		_dmarc.broken.example SERVFAIL
		open.example TXT v=spf1 +all
	`)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := write("gatepost.yaml", fmt.Sprintf("version: 1\nhostname: mx.test.example\ndata_dir: %s\ndns: {servers: [%q], timeout: 200ms}\ndomains: [{name: test.example, downstream: [\"127.0.0.1:9\"]}]\n", dir, server.Addr()))
	signed := filepath.Join(corpus(t, "dkim-basic/mimekit/UnitTests/TestData/dkim"), "rfc8463-example.msg")
	from := func(domain string) string {
		return write(domain+".eml", harness.Wire("From: a@"+domain+"\nTo: b@test.example\nSubject: x\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <1@"+domain+">\n\nText.\n"))
	}
	var batch strings.Builder
	for _, l := range []struct{ file, ip, sender string }{
		{signed, "192.0.2.1", "joe@football.example.com"}, {signed, "192.0.2.9", "joe@football.example.com"},
		{from("football.example.com"), "192.0.2.9", "x@open.example"},
		{from("slow.example"), "192.0.2.9", "a@slow.example"}, {from("broken.example"), "192.0.2.9", "a@broken.example"},
	} {
		b, _ := json.Marshal(map[string]any{"file": l.file, "client_ip": l.ip, "helo": "h.example", "mail_from": l.sender, "rcpt": []string{"b@test.example"}})
		batch.Write(append(b, '\n'))
	}
	out, code := harness.Command(t, dir, "scan", "-c", conf, "--json", "--batch", write("in.jsonl", batch.String()))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	want := []string{
		"spf=pass dkim=pass pass dmarc=pass domain=football.example.com by=dkim",
		"spf=fail dkim=pass pass dmarc=pass domain=football.example.com by=dkim",
		"spf=pass dkim= dmarc=fail domain= by=",
		"spf=temperror dkim= dmarc=temperror domain= by=",
		"spf=temperror dkim= dmarc=temperror domain= by=",
	}
	if code != 0 || len(lines) != len(want) {
		t.Fatalf("exit %d, %d lines:\n%s", code, len(lines), out)
	}
	for i, line := range lines {
		var r struct {
			Action string
			Auth   filters.Auth
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %d: %v: %s", i, err, line)
		}
		got := fmt.Sprintf("spf=%s dkim=%s dmarc=%s domain=%s by=%s", r.Auth.SPF.Result, words(&r.Auth), r.Auth.DMARC.Result, r.Auth.Domain, r.Auth.By)
		t.Logf("%s -> %s", got, r.Action)
		if got != want[i] {
			t.Errorf("line %d: %s, want %s", i, got, want[i])
		}
	}
}
