package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatepost/test/harness"
)

// TestRootIsGivenUpOnceTheSocketsAreThere: P-28: a low port is bound, and then nothing of root is left in any thread, over a
// restart too; commands that root gives leave nothing behind that the gateway cannot read.
func TestRootIsGivenUpOnceTheSocketsAreThere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has something to give up")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	w := harness.Prepare(t, harness.Setup{Zone: friend, Listen: "127.83.7.1:25", Config: "user: nobody\n"})
	for _, dir := range []string{filepath.Dir(w.Dir), filepath.Dir(harness.Binary(t))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	err = filepath.WalkDir(w.Dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, -1)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Run()
	bare := func(when string) {
		t.Helper()
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", w.Pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("%s: no threads: %v", when, err)
		}
		for _, path := range threads {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // the thread has ended
			}
			for _, line := range []string{
				fmt.Sprintf(`Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d`, uid), `CapPrm:\t0+`, `CapEff:\t0+`, `CapInh:\t0+`, `CapAmb:\t0+`, `NoNewPrivs:\t1`,
			} {
				if !regexp.MustCompile(`(?m)^` + line + `$`).Match(text) {
					t.Errorf("%s: %s is not so in\n%s", when, line, text)
				}
			}
		}
	}
	bare("after the start")
	w.Send("ann@friend.example", "bob@example.com", "From: <ann@friend.example>\n\nHello\n")
	if out, code := w.Command("user", "list"); code != 0 || !strings.Contains(out, "admin") {
		t.Errorf("user list: %d %s", code, out)
	}
	err = filepath.WalkDir(filepath.Join(w.Dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && int(info.Sys().(*syscall.Stat_t).Uid) != uid {
			t.Errorf("%s does not belong to the gateway", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	w.Signal(syscall.SIGUSR2)
	harness.Eventually(t, "a restart", func() bool { return w.Logged(`"restarting"`) > 0 })
	harness.Eventually(t, "mail after the restart", func() bool {
		d := harness.Dial(t, w.SMTP)
		defer d.Close()
		return strings.HasPrefix(d.Reply(), "220")
	})
	bare("after the restart")
}

// TestADataDirectoryOfSomebodyElseIsNotTakenOver: the message says whose it is and what to do.
func TestADataDirectoryOfSomebodyElseIsNotTakenOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has something to give up")
	}
	w := harness.Prepare(t, harness.Setup{Zone: friend, Config: "user: nobody\n"})
	if err := os.Mkdir(filepath.Join(w.Dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, code := harness.CommandBoth(t, w.Dir, "serve")
	if code != 1 || !strings.Contains(out, "belongs to root, not to user nobody; chown -R nobody it") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestTheAuditIsVerifiedFromAShell: P-27: whole while nobody touched it, and broken at the octet that somebody changed.
func TestTheAuditIsVerifiedFromAShell(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend})
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, "a record of the reload", func() bool {
		out, _ := w.Command("audit", "list")
		return strings.Contains(out, "reload")
	})
	if out, code := w.Command("audit", "verify"); code != 0 || !strings.HasPrefix(out, "the audit is whole") {
		t.Errorf("exit %d: %s", code, out)
	}
	path := filepath.Join(w.Dir, "data", "journal", "audit.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := w.Command("audit", "verify"); code != 1 || !strings.Contains(out, "broken at offset") {
		t.Errorf("exit %d: %s", code, out)
	}
}
