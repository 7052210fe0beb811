package fault

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway/failpoint"
	"gatepost/test/harness"
	"gatepost/test/harness/postgres"
)

// TestAStepInADatabaseThatFailsOrDiesLeavesNothingHalf: where gateways share a database, a message is in it whole or not at
// all, whatever becomes of the gateway that puts it there, and a 250 is only for what is.
func TestAStepInADatabaseThatFailsOrDiesLeavesNothingHalf(t *testing.T) { // P-01, P-03, FP-07, FP-09, FP-10, FP-19, FP-24
	server := postgres.Start(t)
	eicar := `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + "TEST-FILE!$H+H*\n"
	for _, c := range []struct {
		at    failpoint.Point
		does  string
		reply string
		kept  bool
	}{
		{failpoint.BetweenSyncs, "err(EIO)", "451 4.3.0", false},
		{failpoint.BeforeIndex, "err(EIO)", "451 4.3.0", false},
		{failpoint.BeforeDirSync, "err(EIO)", "451 4.3.0", false},
		{failpoint.BeforeDirSync, "err(ENOSPC)", "452 4.3.1", false},
		{failpoint.AtRecord, "err(EIO)", "451 4.3.0", false},
		{failpoint.BetweenSyncs, "kill9", "", false},
		{failpoint.BeforeIndex, "kill9", "", false},
		{failpoint.BeforeDirSync, "kill9", "", false},
		{failpoint.BeforeReply, "kill9", "", true},
	} {
		t.Run(fmt.Sprint(c.at, c.does), func(t *testing.T) {
			b := &bench{store: server.Database(t)}
			b.prepare(t, "defer")
			b.Failpoints = string(c.at) + "=" + c.does
			b.Run()
			b.open(t)
			id := "1@friend.example"
			reply := func() (reply string) {
				d := harness.Dial(t, b.SMTP)
				defer d.Close()
				d.Talk("S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
				d.Raw(harness.Wire(letter(id)+eicar) + ".\r\n")
				if c.reply == "" {
					b.Ended()
					return ""
				}
				return d.Reply()
			}()
			if !strings.HasPrefix(reply, c.reply) {
				t.Errorf("reply %q", reply)
			}
			if c.reply != "" {
				b.Kill()
			}
			b.Failpoints = ""
			b.Run()
			var want []string
			if c.kept {
				want = []string{"quarantined"}
			}
			if got := b.whereabouts(t, id)["bob@example.com"]; !slices.Equal(got, want) {
				t.Errorf("the message is %v, want %v", got, want)
			}
			if rest := server.Ask(t, b.store, `SELECT (SELECT count(*) FROM blobs), (SELECT count(*) FROM pieces), (SELECT count(*) FROM records), (SELECT count(*) FROM gone)`); !c.kept && rest != "0|0|0|0" {
				t.Errorf("left behind: %s", rest)
			}
			if reply := b.say(t, letter("2@friend.example")+eicar); !strings.HasPrefix(reply, "250 ") {
				t.Errorf("after that: %q", reply)
			}
			if out, code := b.Command("quarantine", "verify"); code != 0 {
				t.Errorf("verify: %s", out)
			}
		})
	}
}
