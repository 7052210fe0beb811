package spamd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/daemon"
)

// ownRules score a message by its own fields, and one rule hits where SpamAssassin read our trace as it stands.
const ownRules = `
util_rb_tld com example
use_bayes 0
header OWN_SPAM exists:X-Spam
score OWN_SPAM 7.5
header OWN_MORE exists:X-More
score OWN_MORE 3.5
header OWN_LITTLE exists:X-Little
score OWN_LITTLE -1.25
header OWN_TRACE X-Spam-Relays-External =~ /^\[ ip=192\.0\.2\.7 rdns=out\.friend\.example helo=friend\.example\S* by=mx\.example\.com/
score OWN_TRACE 0.01
`

// real starts spamd, which looks nothing up, and returns where it listens.
func real(t *testing.T, socket bool) (d *daemon.Daemon, address string) {
	t.Helper()
	program, dir := harness.Need(t, "spamd"), daemon.Dir(t)
	daemon.Write(t, dir, "own.cf", ownRules)
	daemon.Write(t, dir, "own.pre", "loadplugin Mail::SpamAssassin::Plugin::Check\n")
	args := []string{"-L", "-x", "-m", "2", "--min-children=1", "-H", dir, "--siteconfigpath=" + dir, "--configpath=" + dir, "-s", "stderr", "--pidfile=" + filepath.Join(dir, "pid")}
	network, at := "tcp", daemon.Address(t)
	if socket {
		network, at = "unix", filepath.Join(dir, "s")
		args = append(args, "--socketpath="+at)
		address = "unix:" + at
	} else {
		host, port, _ := strings.Cut(at, ":")
		args = append(args, "-i", host, "-p", port)
		address = at
	}
	if os.Geteuid() == 0 { // it gives its rights away, and must read its rules then
		args = append(args, "-u", "nobody")
	}
	return daemon.Start(t, daemon.Listens(network, at), program, args...), address
}

func TestTheRealSpamdIsUnderstood(t *testing.T) {
	for _, socket := range []bool{false, true} {
		_, address := real(t, socket)
		cfg := settings(address)
		cfg.Timeout = 30 * time.Second
		for fields, want := range map[string]string{
			"":                           "spamd.ham; score 0.0 of 5.0; OWN_TRACE",
			"X-Little: y\r\n":            "spamd.ham; score -1.2 of 5.0; OWN_LITTLE, OWN_TRACE",
			"X-Spam: y\r\n":              "spamd.spam; score 7.5 of 5.0; OWN_SPAM, OWN_TRACE",
			"X-Spam: y\r\nX-More: z\r\n": "spamd.spam-high; score 11.0 of 5.0; OWN_MORE, OWN_SPAM, OWN_TRACE",
		} {
			got, err := asked(t, cfg, letter(t, fields+plain, "bob@example.com"))
			if err != nil || !slices.Equal(got, []string{want}) {
				t.Errorf("socket %v, %q: %q, %v", socket, fields, got, err)
			}
		}
		if got, err := asked(t, cfg, letter(t, plain+strings.Repeat("0123456789\r\n", 30_000))); err != nil || len(got) != 1 {
			t.Errorf("a long message: %q, %v", got, err)
		}
		if c := New(cfg).Conditions(t.Context())[0]; c.Err != nil {
			t.Errorf("%+v", c)
		}
	}
}

func TestARealSpamdThatIsGoneIsNeverClean(t *testing.T) {
	d, address := real(t, false)
	d.Stop()
	if got, err := asked(t, settings(address), letter(t, plain)); err == nil {
		t.Errorf("it is gone: %q", got)
	}
	if c := New(settings(address)).Conditions(t.Context())[0]; c.Err == nil || !c.Down {
		t.Errorf("it is gone: %+v", c)
	}
}
