package e2e

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatepost/test/harness"
)

// yaraRule knows the letters of these tests by a word.
const yaraRule = "rule Herring : test {\n meta:\n  description = \"a red herring\"\n strings:\n  $a = \"red herring\"\n condition:\n  $a\n}\n"

// herring is a message whose file the rule knows; smoked is one that it does not know.
const herring = "From: Ann <ann@friend.example>\nTo: <bob@example.com>\nSubject: Fish\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <4@friend.example>\nMIME-Version: 1.0\n" +
	"Content-Type: application/octet-stream; name=fish.dat\nContent-Transfer-Encoding: base64\n\ncmVkIGhlcnJpbmc=\n"

var smoked = strings.Replace(herring, "cmVkIGhlcnJpbmc=", "cmVkIGhlcnI=", 1)

// A fishmonger is a gateway with this rule, by a program that the test can break: while there is a file "broken" it does
// something else.
type fishmonger struct {
	*harness.World
	broken string
}

func sellFish(t *testing.T, otherwise string) *fishmonger {
	t.Helper()
	program := harness.Need(t, "yara")
	harness.Need(t, "yarac")
	dir := t.TempDir()
	wrapper, broken := filepath.Join(dir, "yara"), filepath.Join(dir, "broken")
	text := "#!/bin/sh\nif [ -e '" + broken + "' ] && [ \"$1\" != --version ]; then " + otherwise + "; fi\nexec " + program + " \"$@\"\n"
	if err := os.WriteFile(wrapper, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return &fishmonger{broken: broken, World: harness.Start(t, harness.Setup{
		Zone: friend, Config: unlimited + "filters: {yara: {rules: [rules.yar], program: '" + wrapper + "'}}\n", Files: map[string]string{"rules.yar": yaraRule},
	})}
}

func (f *fishmonger) send(letter string) string {
	return f.Send("ann@friend.example", "bob@example.com", letter)
}

func TestWhatAYARARuleKnowsIsHeld(t *testing.T) {
	f := sellFish(t, "exit 1")
	for _, letter := range []string{herring, smoked} {
		if reply := f.send(letter); !strings.HasPrefix(reply, "250 ") {
			t.Errorf("%q", reply)
		}
	}
	if n := f.Sink.Count(); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestAScanShowsWhatAYARARuleKnows(t *testing.T) {
	harness.Need(t, "yara")
	harness.Need(t, "yarac")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"gatepost.yaml": "version: 1\nhostname: mx.gatepost.example\ndata_dir: " + dir + "/data\ndomains: [{name: example.com, downstream: [\"127.0.0.1:1\"]}]\ndns: {servers: [\"127.0.0.1:1\"]}\n" +
			"filters: {auth: {enabled: false}, yara: {rules: [rules]}}\n",
		"rules/a.yar": yaraRule, "known.eml": herring, "unknown.eml": smoked,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"known.eml": "quarantine", "unknown.eml": "accept"} {
		out, code := harness.Command(t, dir, "scan", "--json", name)
		var result struct {
			Action   string
			Class    string
			Findings []struct {
				Filter, Code, Text string
				Proof              []struct{ Where, What string }
			}
		}
		if err := json.Unmarshal([]byte(out), &result); err != nil {
			t.Fatalf("%s: exit %d, %v\n%s", name, code, err, out)
		}
		seen := false
		for _, x := range result.Findings {
			seen = seen || x.Code == "yara.match" && x.Text == "The YARA rule Herring knows fish.dat." && x.Proof[0].Where == "body" && x.Proof[0].What == "Herring in fish.dat: $a at 0" &&
				x.Proof[1].What == "description: a red herring; tags: test; from a.yar"
		}
		if known := want == "quarantine"; result.Action != want || seen != known || known && result.Class != "malware" {
			t.Errorf("%s: exit %d\n%s", name, code, out)
		}
	}
}

// P-18: a rule that cannot be compiled changes nothing, and check tells where it stands.
func TestABrokenYARARuleChangesNothing(t *testing.T) {
	f := sellFish(t, "exit 1")
	rules := filepath.Join(f.Dir, "rules.yar")
	change := func(text string) {
		t.Helper()
		taken, refused := reloads(f.World)
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f.Signal(syscall.SIGHUP)
		harness.Eventually(t, "it was read", func() bool { a, b := reloads(f.World); return a+b > taken+refused })
	}
	change("\nrule Herring {\n condition: nonsense here\n}\n")
	if out, code := harness.CommandBoth(t, f.Dir, "check"); code == 0 || !strings.Contains(out, "rules.yar:3: rule Herring: undefined identifier") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	if taken, refused := reloads(f.World); taken != 0 || refused != 1 {
		t.Errorf("%d reloads were taken, %d refused", taken, refused)
	}
	if f.send(herring); f.Sink.Count() != 0 {
		t.Error("the rule from before is gone")
	}
	change("rule Other { strings: $a = \"other words\" condition: $a }\n")
	if f.send(herring); f.Sink.Count() != 1 {
		t.Error("the new rules are not in force")
	}
}

// G-16: while YARA cannot look, mail waits; health and the doctor say so.
func TestAYARAThatFailsIsSeen(t *testing.T) {
	f := sellFish(t, "exit 1")
	if err := os.WriteFile(f.broken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if reply := f.send(smoked); !strings.HasPrefix(reply, "451 4.7.1 ") {
		t.Errorf("%q", reply)
	}
	harness.Eventually(t, "the gateway is not ready", func() bool {
		status, body := f.Get("/readyz")
		return status == 503 && strings.Contains(body, "yara ")
	})
	if c, code := doctor(t, f.World); c.OK || code != 1 {
		t.Errorf("doctor: exit %d, %+v", code, c)
	}
	if err := os.Remove(f.broken); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "mail passes again", func() bool { return strings.HasPrefix(f.send(smoked), "250 ") })
	well := false
	c, _ := doctor(t, f.World)
	for _, x := range c.Checks {
		well = well || strings.HasPrefix(x.Name, "yara ") && x.State == "ok" && strings.HasPrefix(x.Detail, "YARA 4.")
	}
	if !well {
		t.Errorf("doctor: %+v", c.Checks)
	}
}

// What the gateway started ends with it, however it ends.
func TestAYARAProcessDiesWithTheGateway(t *testing.T) {
	pids := t.TempDir()
	f := sellFish(t, "mkdir '"+pids+"'/$$; exec sleep 600")
	if err := os.WriteFile(f.broken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d := harness.Dial(t, f.SMTP)
	d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
	d.Raw(harness.Wire(smoked) + ".\r\n")
	var entries []os.DirEntry
	harness.Eventually(t, "YARA runs", func() bool { entries, _ = os.ReadDir(pids); return len(entries) == 1 })
	f.Kill()
	harness.Eventually(t, "YARA is gone", func() bool {
		stat, err := os.ReadFile("/proc/" + entries[0].Name() + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// P-28: what root compiled is scanned with by whom the gateway becomes.
func TestYARAScansAfterRootWasGivenUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has something to give up")
	}
	harness.Need(t, "yara")
	harness.Need(t, "yarac")
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	w := harness.Prepare(t, harness.Setup{Zone: friend, Config: "user: nobody\n" + unlimited + "filters: {yara: {rules: [rules.yar]}}\n", Files: map[string]string{"rules.yar": yaraRule}})
	for _, dir := range []string{filepath.Dir(w.Dir), filepath.Dir(harness.Binary(t))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
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
	f := &fishmonger{World: w}
	if reply := f.send(smoked); !strings.HasPrefix(reply, "250 ") || f.Sink.Count() != 1 {
		t.Errorf("clean mail: %q, %d arrived", reply, f.Sink.Count())
	}
	if reply := f.send(herring); !strings.HasPrefix(reply, "250 ") || f.Sink.Count() != 1 {
		t.Errorf("what the rule knows: %q, %d arrived", reply, f.Sink.Count())
	}
}
