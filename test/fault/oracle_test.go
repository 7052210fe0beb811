package fault

import (
	"slices"
	"testing"
	"time"

	"gatepost/gateway/failpoint"
	"gatepost/test/harness"
	"gatepost/test/oracle"
)

// killedAt are the failpoints that ordinary mail comes past.
var killedAt = []failpoint.Point{
	failpoint.Connected, failpoint.MailTaken, failpoint.FirstByte, failpoint.MoreBytes, failpoint.Received, failpoint.BeforeSync,
	failpoint.BetweenSyncs, failpoint.BeforeRename, failpoint.BeforeDirSync, failpoint.BeforeReply, failpoint.AfterReply, failpoint.AtClose,
	failpoint.BeforeConnect, failpoint.AfterRcpts, failpoint.AfterDot, failpoint.AfterTaken, failpoint.Noted, failpoint.BetweenRcpts,
	failpoint.BeforeIndex, failpoint.GaveUp, failpoint.AtSwap, failpoint.AtRecord,
}

// TestWhatIsAcceptedIsNeverLostWhoeverIsKilledWhen is the oracle run, short; go run ./test/soak -oracle 10000 is the long one.
func TestWhatIsAcceptedIsNeverLostWhoeverIsKilledWhen(t *testing.T) { // P-02, P-03, P-04, P-05, P-14, FP-01 to FP-19, FP-21, FP-23, FP-24
	if testing.Short() {
		t.Skip("takes a minute")
	}
	for _, mode := range []string{"defer", "hold"} {
		t.Run(mode, func(t *testing.T) {
			p := oracle.Plan{
				Binary: harness.BinaryWithFailpoints(t), Dir: t.TempDir(), WhenDown: mode, Letters: 400, Seed: 7, Each: 1, Life: 600 * time.Millisecond, Pace: 50 * time.Millisecond,
				Moods: oracle.Moods{LostReply: 5, Cut: 5, Later: 5}, Log: t.Logf,
			}
			points := killedAt
			if mode == "defer" { // nothing is ever on hold then
				points = slices.DeleteFunc(slices.Clone(points), func(at failpoint.Point) bool {
					return at == failpoint.GaveUp || at == failpoint.Noted
				})
			}
			for _, at := range points {
				p.Points = append(p.Points, string(at))
			}
			r, err := p.Do()
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r)
			for _, at := range points {
				if r.Kills[string(at)] == 0 {
					t.Errorf("the gateway never died at %s", at)
				}
			}
			if len(r.Wrong) > 0 {
				t.Errorf("%d things are wrong", len(r.Wrong))
			}
			for from := range r.Lines {
				if from != "<ann@friend.example>" && !(from == "<>" && mode == "hold") { // the run has judged the notices
					t.Errorf("mail from %s, which nobody sent", from)
				}
			}
		})
	}
}
