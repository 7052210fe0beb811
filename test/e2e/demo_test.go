package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
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

// While the demonstration is up every command looks in from another shell, as it says itself; a reload does not end it, and
// nothing is left behind.
func TestTheDemonstrationCanBeLookedInto(t *testing.T) {
	cmd := exec.Command(harness.Binary(t), "demo", "--admin", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal that could be gone
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var look []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 5 && words[1] == "explain" {
			look = words[1:]
		}
		if strings.HasPrefix(lines.Text(), "Stop with") {
			break
		}
	}
	if look == nil {
		t.Fatal("it does not say how to look in")
	}
	if out, code := harness.Command(t, t.TempDir(), look...); code != 0 || !strings.Contains(out, "decided by") {
		t.Errorf("%q: exit %d\n%s", look, code, out)
	}
	if out, code := harness.Command(t, t.TempDir(), "reload", "-c", look[2]); code != 0 || !strings.Contains(out, "has taken it over") {
		t.Errorf("reload: exit %d\n%s", code, out)
	}
	if out, code := harness.Command(t, t.TempDir(), "audit", "list", "-c", look[2]); code != 0 || !regexp.MustCompile(`system +reload +- +-`).MatchString(out) {
		t.Errorf("audit: exit %d\n%s", code, out)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if _, err := os.Stat(filepath.Dir(look[2])); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", look[2], err)
	}
}
