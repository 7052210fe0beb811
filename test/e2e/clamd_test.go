package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/filters/clamd"
	"gatepost/filters/mail"
	"gatepost/test/harness"
	"gatepost/test/harness/clamav"
)

const clamdLetter = "From: Ann <ann@friend.example>\r\nTo: <bob@example.com>\r\nSubject: File\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <9@friend.example>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--b\r\nContent-Type: application/octet-stream; name=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n"

func askedOf(t *testing.T, address string, content []byte) (codes []string, err error) {
	t.Helper()
	text := fmt.Sprintf(clamdLetter, "a.bin", base64.StdEncoding.EncodeToString(content))
	f := clamd.New(clamd.Config{Address: clamd.Addresses{address}, Timeout: 20 * time.Second, Connections: 2, MaxBytes: 1 << 20})
	facts, err := f.Check(context.Background(), &mail.Mail{Message: mail.Parse(mail.Memory(text))})
	for _, x := range facts.Findings {
		codes = append(codes, x.Code+" "+x.Proof[0].What)
	}
	return codes, err
}

func TestTheRealClamdFindsEICARAndNothingInACleanFile(t *testing.T) {
	d := clamav.Start(t, "StreamMaxLength 300K")
	for _, address := range []string{d.Address, d.TCP} {
		if got, err := askedOf(t, address, []byte(clamav.EICAR)); err != nil || len(got) != 2 || got[0] != "clamd.malware Eicar-Test-Signature.UNOFFICIAL" {
			t.Errorf("%s: EICAR: %v, %v", address, got, err)
		}
		if got, err := askedOf(t, address, []byte("nothing to see")); err != nil || len(got) != 0 {
			t.Errorf("%s: a clean file: %v, %v", address, got, err)
		}
		if got, err := askedOf(t, address, make([]byte, 350<<10)); err != nil || len(got) == 0 || !strings.HasPrefix(got[0], "clamd.unscannable.limit") {
			t.Errorf("%s: more than StreamMaxLength: %v, %v", address, got, err)
		}
	}
}

// scanned is how gatepost scan judges clean mail in a folder with this configuration and policy.
func scanned(t *testing.T, config, policy string) (result struct {
	Action string
	Reply  struct{ Code int }
	NotRun []struct{ Filter, Error string } `json:"not_run"`
}) {
	t.Helper()
	dir := t.TempDir()
	text := "version: 1\nhostname: mx.gatepost.example\ndata_dir: " + dir + "/data\ndomains: [{name: example.com, downstream: [\"127.0.0.1:1\"]}]\ndns: {servers: [\"127.0.0.1:1\"]}\npolicy: policy.yaml\n" +
		"filters: {auth: {enabled: false}, clamd: {" + config + "}}\n"
	files := map[string]string{"gatepost.yaml": text, "policy.yaml": "version: 1\n" + policy, "m.eml": fmt.Sprintf(clamdLetter, "a.txt", base64.StdEncoding.EncodeToString([]byte("hello")))}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, code := harness.Command(t, dir, "scan", "--json", "m.eml")
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 0 {
		t.Fatalf("scan: exit %d, %v\n%s", code, err, out)
	}
	return result
}

// liar is a clamd that answers everything with the same bytes.
func liar(t *testing.T, says string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte(says))
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// G-16, G-17: whatever keeps clamd from looking, what policy declares for it is what happens, and the result says so.
func TestAClamdThatCouldNotLookIsNeverClean(t *testing.T) {
	hung := clamav.Start(t)
	if err := hung.Hang(); err != nil {
		t.Fatal(err)
	}
	stopped := clamav.Start(t)
	stopped.Stop()
	for name, config := range map[string]string{
		"stopped": "address: '" + stopped.Address + "'", "hung": "address: '" + hung.Address + "', timeout: 300ms",
		"lying": "address: '" + liar(t, "stream: OK\x00") + "'", "silent": "address: '" + liar(t, "") + "'",
	} {
		for policy, want := range map[string]string{"": "defer", "failures: {clamd: quarantine}\n": "quarantine", "failures: {clamd: tag}\n": "tag", "failures: {clamd: reject}\n": "reject"} {
			if name != "stopped" && want != "defer" && want != "quarantine" {
				continue // what policy says does not depend on why
			}
			got := scanned(t, config, policy)
			if got.Action != want || len(got.NotRun) != 1 || got.NotRun[0].Filter != "clamd" || want == "defer" && got.Reply.Code != 451 {
				t.Errorf("%s, %q: %+v", name, policy, got)
			}
		}
	}
	well := clamav.Start(t)
	if got := scanned(t, "address: '"+well.Address+"'", ""); got.Action != "accept" || len(got.NotRun) != 0 {
		t.Errorf("a clamd that is well: %+v", got)
	}
}

// checkup is what gatepost doctor says in a world.
type checkup struct {
	OK     bool
	Checks []struct{ Name, State, Detail, Effect, Hint string }
}

func doctor(t *testing.T, w *harness.World) (c checkup, exit int) {
	t.Helper()
	out, code := w.Command("doctor", "--json")
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatalf("doctor: exit %d, %v\n%s", code, err, out)
	}
	return c, code
}

// G-16, section 5.2: who looks at the doctor or at the health of a running gateway sees what a hung clamd does to mail.
func TestAHungClamdIsSeenInDoctorAndInHealth(t *testing.T) {
	d := clamav.Start(t)
	w := harness.Start(t, harness.Setup{Zone: friend, Config: "filters: {clamd: {address: '" + d.Address + "', timeout: 500ms}}"})
	c, code := doctor(t, w)
	if !c.OK || code != 0 {
		t.Errorf("all is well: exit %d, %+v", code, c)
	}
	for _, name := range []string{"configuration", "dns", "next hop ", "clamd unix:", "certificate", "disk of ", "clock"} {
		found := false
		for _, x := range c.Checks {
			found = found || strings.HasPrefix(x.Name, name)
			if x.State != "ok" && x.State != "warning" {
				t.Errorf("all is well: %+v", x)
			}
		}
		if !found {
			t.Errorf("nothing is said of %s: %+v", name, c.Checks)
		}
	}
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "250 ") {
		t.Errorf("clean mail: %q", reply)
	}

	if err := d.Hang(); err != nil {
		t.Fatal(err)
	}
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "451 4.7.1 ") {
		t.Errorf("clamd hangs: %q", reply)
	}
	c, code = doctor(t, w)
	seen := false
	for _, x := range c.Checks {
		if strings.HasPrefix(x.Name, "clamd unix:") {
			seen = x.State == "critical" && strings.Contains(x.Detail, "timeout") && strings.Contains(x.Effect, "451") && x.Hint != ""
		}
	}
	if c.OK || code != 1 || !seen {
		t.Errorf("clamd hangs: exit %d, %+v", code, c)
	}
	harness.Eventually(t, "the gateway is not ready", func() bool {
		status, body := w.Get("/readyz")
		return status == 503 && strings.Contains(body, "clamd unix:")
	})

	d.Wake()
	harness.Eventually(t, "mail passes again", func() bool {
		return strings.HasPrefix(w.Send("ann@friend.example", "bob@example.com", hello), "250 ")
	})
}

// Section 5.3: an open door is loud: on the message itself, and in doctor.
func TestMailThatPassedUnscannedSaysSo(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: "filters: {clamd: {address: 'unix:/nowhere/clamd'}}", Policy: "version: 1\nfailures: {clamd: accept}\n"})
	if reply := w.Send("ann@friend.example", "bob@example.com", "X-Gatepost-Not-Run: nobody\n"+hello); !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("%q", reply)
	}
	got := string(w.Sink.Messages()[0].Data)
	if !strings.Contains(got, "\r\nX-Gatepost-Not-Run: clamd\r\n") || strings.Contains(got, "nobody") {
		t.Errorf("the message does not say so:\n%s", got)
	}
	c, _ := doctor(t, w)
	loud := 0
	for _, x := range c.Checks {
		if x.Name == "policy" && strings.Contains(x.Detail, "clamd says accept") || strings.HasPrefix(x.Name, "clamd") && strings.Contains(x.Effect, "without having been looked at") {
			loud++
		}
	}
	if loud != 2 {
		t.Errorf("%+v", c.Checks)
	}
}
