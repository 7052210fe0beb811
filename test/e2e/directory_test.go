package e2e

import (
	"fmt"
	"strings"
	"testing"

	"gatepost/test/harness"
	"gatepost/test/harness/slapd"
)

func TestADirectorySaysWhoExists(t *testing.T) { // K-11
	s := slapd.Start(t, "bob@ldap.example")
	section := fmt.Sprintf(`  - name: ldap.example
    downstream: ["127.0.0.1:1"]
    downstream_tls: "off"
    when_down: hold
    recipients: {ldap: {urls: [%q], ca: %q, bind_dn: "cn=reader,dc=example,dc=com", password: secret, base: "dc=example,dc=com"}}
`, s.Plain, s.CA)
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited, Domain: section})
	ask := func(script string) {
		t.Helper()
		d := harness.Dial(t, w.SMTP)
		d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\n" + script)
		d.Close()
	}
	ask("C: RCPT TO:<BOB@ldap.example>\nS: 250\nC: RCPT TO:<carl@ldap.example>\nS: 550 5.1.1\nC: RCPT TO:<\"*\"@ldap.example>\nS: 550 5.1.1\nC: RCPT TO:<postmaster@ldap.example>\nS: 250")
	s.Stop()
	ask("C: RCPT TO:<bob@ldap.example>\nS: 250\nC: RCPT TO:<dora@ldap.example>\nS: 451 4.1.1")
	if _, body := w.Get("/readyz"); !strings.Contains(body, "directory "+s.Plain) {
		t.Errorf("readyz does not tell: %s", body)
	}
	s.Run()
	harness.Eventually(t, "the directory is asked again", func() bool {
		d := harness.Dial(t, w.SMTP)
		defer d.Close()
		d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<dora@ldap.example>")
		return strings.HasPrefix(d.Reply(), "550 5.1.1")
	})
}
