package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// TestSendersLearnThatMailMustBeEncrypted: the MTA-STS policy is served, and the records that belong to it are named, with
// what the DNS says of each.
func TestSendersLearnThatMailMustBeEncrypted(t *testing.T) {
	w := harness.Prepare(t, harness.Setup{Zone: friend + "_mta-sts.example.com TXT v=STSv1; id=of-another-policy\n_smtp._tls.example.com TXT v=TLSRPTv1; rua=mailto:tls@example.com\n"})
	path := filepath.Join(w.Dir, "gatepost.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const plain = `admin: {address: "127.0.0.1:0"}`
	with := strings.Replace(string(text), plain, `admin: {address: "127.0.0.1:0", mta_sts: {mode: testing, max_age: 2d}}`, 1)
	if err := os.WriteFile(path, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Run()
	status, body := w.Get("/.well-known/mta-sts.txt")
	if want := "version: STSv1\r\nmode: testing\r\nmx: mx.gatepost.example\r\nmax_age: 172800\r\n"; status != 200 || body != want {
		t.Errorf("%d %q", status, body)
	}
	out, code := w.Command("tls", "records")
	for _, row := range []string{`_mta-sts\.example\.com\. +TXT +"v=STSv1; id=[0-9a-f]+" +differs`, `_smtp\._tls\.example\.com\. +TXT .* published`} {
		if code != 0 || !regexp.MustCompile(row).MatchString(out) {
			t.Errorf("exit %d, no %q in\n%s", code, row, out)
		}
	}
}
