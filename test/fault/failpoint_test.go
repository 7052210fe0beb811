package fault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway/failpoint"
	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
	"gatepost/test/oracle"
)

// TestTheReleaseBinaryHasNoFailpoints looks into both binaries for what the tag adds.
func TestTheReleaseBinaryHasNoFailpoints(t *testing.T) {
	for path, want := range map[string]bool{harness.Binary(t): false, harness.BinaryWithFailpoints(t): true} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"GATEPOST_FAILPOINTS", "failpoint %s: %s %s", "gateway/failpoint.parse"} {
			if bytes.Contains(b, []byte(text)) != want {
				t.Errorf("%s: %q in it is %v", filepath.Base(path), text, !want)
			}
		}
	}
}

// TestEveryFailpointHasAScenario holds the points against those of the oracle run, of the table of errors, and of the
// tests of their own.
func TestEveryFailpointHasAScenario(t *testing.T) {
	own := []failpoint.Point{failpoint.AtRelease, failpoint.SharedState}
	for _, p := range failpoint.Points() {
		failing := slices.ContainsFunc(failures, func(f failure) bool { return f.at == p })
		if !slices.Contains(killedAt, p) && !slices.Contains(own, p) {
			t.Errorf("nothing dies at %s", p)
		}
		if !failing && !slices.Contains(own, p) && p != failpoint.MailTaken && p != failpoint.BeforeReply && p != failpoint.AfterReply && p != failpoint.BetweenRcpts {
			t.Errorf("nothing fails at %s", p)
		}
	}
}

// A failure is what a client sees when a step fails, and where its message is then.
type failure struct {
	at    failpoint.Point
	err   string
	mode  string // when_down; the next hop is down in mode hold
	kept  bool   // the message is one for the quarantine
	reply string
	where string // of the copy afterwards: nowhere, delivered, held, quarantined, anywhere
}

// failures are the right-hand column of HOSTILE 1.2.
var failures = []failure{
	{failpoint.Connected, "EMFILE", "defer", false, "421 4.3.2", "nowhere"},
	{failpoint.FirstByte, "ENOSPC", "defer", false, "452 4.3.1", "nowhere"},
	{failpoint.MoreBytes, "EIO", "defer", false, "452 4.3.1", "nowhere"},
	{failpoint.Received, "EIO", "defer", false, "451 4.3.0", "nowhere"},
	{failpoint.BeforeSync, "EIO", "defer", true, "451 4.3.0", "nowhere"},
	{failpoint.BeforeSync, "EIO", "hold", false, "451 4.3.0", "nowhere"},
	{failpoint.BeforeSync, "ENOSPC", "defer", true, "452 4.3.1", "nowhere"},
	{failpoint.BeforeSync, "EDQUOT", "hold", false, "452 4.3.1", "nowhere"},
	{failpoint.BetweenSyncs, "EIO", "defer", true, "451 4.3.0", "nowhere"},
	{failpoint.BetweenSyncs, "EIO", "hold", false, "451 4.3.0", "nowhere"},
	{failpoint.BeforeRename, "EIO", "defer", true, "451 4.3.0", "nowhere"},
	{failpoint.BeforeRename, "ENOSPC", "hold", false, "452 4.3.1", "nowhere"},
	{failpoint.BeforeDirSync, "EIO", "defer", true, "451 4.3.0", "nowhere"},
	{failpoint.BeforeDirSync, "EIO", "hold", false, "451 4.3.0", "nowhere"},
	{failpoint.AtClose, "EIO", "defer", true, "451 4.3.0", "nowhere"},
	{failpoint.AtClose, "EIO", "hold", false, "451 4.3.0", "nowhere"},
	{failpoint.BeforeConnect, "EMFILE", "defer", false, "451 4.4.1", "nowhere"},
	{failpoint.BeforeConnect, "EMFILE", "hold", false, "250 2.0.0", "held"},
	{failpoint.AfterRcpts, "EIO", "defer", false, "451 4.4.2", "nowhere"},
	{failpoint.AfterDot, "EIO", "defer", false, "451 4.4.2", "anywhere"}, // the next hop's window: it may have the message
	{failpoint.BeforeIndex, "EIO", "defer", true, "451 4.3.0", "nowhere"},
	{failpoint.AtRecord, "EIO", "defer", true, "451 4.3.0", "nowhere"},
	{failpoint.AtRecord, "EIO", "hold", false, "451 4.3.0", "nowhere"},
	{failpoint.AtRecord, "EIO", "defer", false, "250 2.0.0", "delivered"}, // a refusal would double it
	{failpoint.AfterTaken, "EIO", "drained", false, "250 2.0.0", "delivered"},
	{failpoint.Noted, "EIO", "drained", false, "250 2.0.0", "delivered"},
	{failpoint.GaveUp, "EIO", "refused", false, "250 2.0.0", "quarantined"},
	{failpoint.AtSwap, "EIO", "reload", false, "250 2.0.0", "delivered"},
}

// TestAStepThatFailsIsARefusalForNowOrHarmless makes each step fail every time, sends a message, and looks where it is.
func TestAStepThatFailsIsARefusalForNowOrHarmless(t *testing.T) { // FP-01 to FP-24, S-03, S-04, P-12
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	var all sync.WaitGroup
	defer all.Wait()
	next := make(chan failure)
	for range 6 {
		all.Go(func() {
			for f := range next {
				what := "clean"
				if f.kept {
					what = "kept"
				}
				t.Run(fmt.Sprint(f.at, f.err, f.mode, what), func(t *testing.T) { new(bench).fails(t, f) })
			}
		})
	}
	for _, f := range failures {
		next <- f
	}
	close(next)
}

// fails runs one failure.
func (b *bench) fails(t *testing.T, f failure) {
	mode := f.mode
	if mode != "defer" && mode != "reload" {
		mode = "hold"
	} else {
		mode = "defer"
	}
	b.prepare(t, mode)
	if f.mode != "defer" && f.mode != "reload" && f.at != failpoint.BeforeConnect {
		b.now.Store(&misdeed{step: badsink.Connect, act: badsink.Action{Reset: true}})
	}
	b.Failpoints = string(f.at) + "=err(" + f.err + ")"
	b.Run()
	b.open(t)
	if f.at == failpoint.AtSwap {
		b.Signal(syscall.SIGHUP)
		harness.Eventually(t, "the reload failed", func() bool { return b.Logged("reload changed nothing") > 0 })
	}
	id := "1@friend.example"
	text := letter(id) + strings.Repeat("A line of text that makes it long enough.\n", 4000)
	if f.kept {
		text = letter(id) + `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + "TEST-FILE!$H+H*\n"
	}
	reply := b.say(t, text)
	if !strings.HasPrefix(reply, f.reply) {
		t.Errorf("reply %q, want %s", reply, f.reply)
	}
	switch f.mode {
	case "refused":
		b.now.Store(&misdeed{step: badsink.Rcpt, act: badsink.Action{Reply: "550 5.1.1 no"}})
		b.drain(t)
	case "drained":
		b.now.Store(nil)
		b.drain(t)
	}
	want := []string{f.where}
	if f.where == "nowhere" {
		want = nil
	}
	if got := b.whereabouts(t, id)["bob@example.com"]; !slices.Equal(got, want) && f.where != "anywhere" {
		t.Errorf("the message is %v, want %v", got, want)
	}
	harness.Eventually(t, "the failpoint was come past", func() bool { return b.Logged("failpoint "+string(f.at)) > 0 })
	// Without the fault the next start finds nothing to do, and ordinary mail goes through.
	b.Kill()
	b.Failpoints = ""
	b.now.Store(nil)
	b.Run()
	if f.mode == "hold" {
		b.drain(t)
	}
	if reply := b.say(t, letter("2@friend.example")); !strings.HasPrefix(reply, "250 ") {
		t.Errorf("after that: %q", reply)
	}
	if got := b.whereabouts(t, id)["bob@example.com"]; f.where != "held" && f.where != "anywhere" && !slices.Equal(got, want) {
		t.Errorf("after a restart the message is %v, want %v", got, want)
	}
}

// say sends a message to bob and returns the reply that ends the attempt.
func (b *bench) say(t *testing.T, text string) string {
	d := harness.Dial(t, b.SMTP)
	defer d.Close()
	if first := d.Reply(); !strings.HasPrefix(first, "220") {
		return first
	}
	d.Talk("C: EHLO client.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
	d.Raw(harness.Wire(text) + ".\r\n")
	return d.Reply()
}

// TestAReleaseThatWasCutOffIsCarriedOutOnce kills the process that releases between its claim and the sending, be it the
// gateway or a command.
func TestAReleaseThatWasCutOffIsCarriedOutOnce(t *testing.T) { // FP-20, P-05
	b := &bench{}
	b.prepare(t, "defer")
	b.Run()
	b.open(t)
	if reply := b.say(t, letter("1@friend.example")+`X5O!P%@AP[4\PZX54(P^)7CC)7}$`+`EICAR-STANDARD-ANTIVIRUS-`+"TEST-FILE!$H+H*\n"); !strings.HasPrefix(reply, "250") {
		t.Fatalf("reply %q", reply)
	}
	out, _ := b.Command("quarantine", "list", "--json")
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(harness.BinaryWithFailpoints(t), "quarantine", "release", list[0].ID, "-c", filepath.Join(b.Dir, "gatepost.yaml"))
	cmd.Env = append(os.Environ(), "GATEPOST_FAILPOINTS=FP-20=kill9")
	if err := cmd.Run(); err == nil {
		t.Fatal("the command was not killed")
	}
	// A command may still be at it: its claim holds, for a restart of the gateway as for everybody.
	b.Kill()
	b.Run()
	if out, code := b.Command("quarantine", "release", list[0].ID); code == 0 || b.Sink.Count() != 0 {
		t.Errorf("exit %d, %d copies\n%s", code, b.Sink.Count(), out)
	}
	// Once its lease is over, or if it was the gateway before this one, the release is carried out.
	if _, err := b.index.Exec(t.Context(), `UPDATE recipients SET at = ?`, time.Now().Add(-16*time.Minute).UnixMilli()); err != nil {
		t.Fatal(err)
	}
	b.Kill()
	b.Run()
	if !b.Sink.Wait(1, 20*time.Second) {
		t.Fatal("not released")
	}
	harness.Eventually(t, "the quarantine knows", func() bool {
		e, err := b.kept.Entry(t.Context(), list[0].ID)
		return err == nil && e.Rcpts[0].State == "released"
	})
	b.Kill()
	b.Run()
	if out, code := b.Command("quarantine", "release", list[0].ID); code != 0 || b.Sink.Count() != 1 {
		t.Errorf("exit %d, %d copies\n%s", code, b.Sink.Count(), out)
	}
}

// TestMailFlowsWhateverBecomesOfTheSharedState makes every call of Redis fail, and die.
func TestMailFlowsWhateverBecomesOfTheSharedState(t *testing.T) { // FP-22, P-20
	b := &bench{more: "state: {url: \"redis://127.0.0.1:1\"}\n", alien: true}
	b.prepare(t, "defer")
	b.Failpoints = "FP-22=err(EIO)"
	b.Run()
	for range 3 {
		if reply := b.say(t, letter("1@friend.example")); !strings.HasPrefix(reply, "250") {
			t.Fatalf("reply %q", reply)
		}
	}
	b.Kill()
	b.Failpoints = "FP-22=kill9"
	b.Run()
	oracle.Offer(b.SMTP, oracle.Write(1, 1))
	b.Ended()
	if n := b.Sink.Count(); n != 3 {
		t.Errorf("%d messages arrived", n)
	}
	b.Failpoints = ""
	b.Run()
	if reply := b.say(t, letter("2@friend.example")); !strings.HasPrefix(reply, "250") {
		t.Errorf("reply %q", reply)
	}
}

// TestASenderIsToldOnceWhereverTheProcessEnds kills it between the steps by which refused mail ends and its sender is told,
// with what is on hold sealed.
func TestASenderIsToldOnceWhereverTheProcessEnds(t *testing.T) { // FP-16, FP-17, FP-21, J-07, P-05
	for _, rule := range []string{"FP-21=kill9", "FP-16=kill9@2", "FP-16=kill9@3", "FP-17=kill9", "FP-24=kill9@2", "FP-24=kill9@3", ""} {
		t.Run("at "+rule, func(t *testing.T) {
			b := &bench{more: "hold: {notify_senders: authenticated}\n", key: strings.Repeat("0123456789abcdef", 4)}
			b.prepare(t, "hold")
			b.now.Store(&misdeed{step: badsink.Connect, act: badsink.Action{Reset: true}})
			b.Failpoints = rule
			b.Run()
			b.open(t)
			if reply := b.say(t, letter("1@friend.example")); !strings.HasPrefix(reply, "250 ") {
				t.Fatalf("reply %q", reply)
			}
			b.now.Store(&misdeed{step: badsink.Rcpt, rcpt: "bob@example.com", act: badsink.Action{Reply: "550 5.1.1 no"}})
			if rule != "" {
				b.Command("hold", "retry", "--all")
				b.Ended()
				b.Failpoints = ""
				b.Run()
			}
			b.drain(t)
			told := 0
			for _, m := range b.Sink.Messages() {
				if m.From == "" && slices.Equal(m.Rcpts, []string{"ann@friend.example"}) {
					told++
				}
			}
			if got := b.whereabouts(t, "1@friend.example")["bob@example.com"]; told != 1 || !slices.Equal(got, []string{"quarantined"}) {
				t.Errorf("told %d times; the message is %v", told, got)
			}
		})
	}
}
