package e2e

import (
	"regexp"
	"testing"

	"gatepost/test/harness"
)

// TestTheDemonstrationShowsEveryFate: the table that a newcomer sees first says of each message what is said of it here.
func TestTheDemonstrationShowsEveryFate(t *testing.T) {
	out, code := harness.Command(t, t.TempDir(), "demo", "--once", "--admin", "127.0.0.1:0")
	if code != 0 {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	for _, row := range []string{
		`clean: signed and aligned +delivered `,
		`clean: in Chinese, by SPF alone +delivered `,
		`spoofed: a bank that says p=reject +refused +dmarc-reject +550 5\.7\.26 `,
		`spoofed: our own domain from outside +quarantined .*auth\.own-domain-from-outside`,
		`phishing: a link that shows another +quarantined .*content\.phish\.`,
		`spam: pills +refused .* 550 5\.7\.1 `,
		`executable with a picture's name +quarantined .*attach\.executable`,
		`document with a macro +quarantined .*attach\.macro`,
		`EICAR test file +quarantined .*attach\.eicar`,
		`\n2 messages arrived at the mail server`,
		`malware +\d+\.\d +orders@access\.example`,
		`malware +\d+\.\d +lab@supplier\.example`,
		`phish +\d+\.\d +notice@hosting\.example`,
	} {
		if !regexp.MustCompile(row).MatchString(out) {
			t.Errorf("no row %q in\n%s", row, out)
		}
	}
}
