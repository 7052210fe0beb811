package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"gatepost/test/harness"
)

// reloadCount is how many reloads the storm has; GATEPOST_RELOADS asks for more.
func reloadCount() int {
	if n, err := strconv.Atoi(os.Getenv("GATEPOST_RELOADS")); err == nil {
		return n
	}
	return 30
}

// Every message is judged by exactly one generation and every accepted one arrives, while policies come and go, a third of them broken.
func TestReloadsUnderLoadLoseNothingAndMixNothing(t *testing.T) { // P-18
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited})
	var stop atomic.Bool
	var accepted atomic.Int64
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			d := harness.Dial(t, w.SMTP)
			d.Talk("S: 220\nC: EHLO c.example\nS: 250")
			for !stop.Load() {
				d.Talk("C: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
				d.Raw(harness.Wire(hello) + ".\r\n")
				d.Expect("250 2.0.0")
				accepted.Add(1)
			}
		})
	}
	for i := range reloadCount() {
		taken, refused := reloads(w)
		policy := fmt.Sprintf("version: 1\nweights: {dmarc.pass: -%d}\n", i%1000)
		if i%3 == 2 {
			policy = "version: 1\nweights: {dmarc.psas: 1}\n"
		}
		write(t, w, policy)
		w.Signal(syscall.SIGHUP)
		harness.Eventually(t, "reload "+strconv.Itoa(i), func() bool {
			a, b := reloads(w)
			return a+b > taken+refused
		})
	}
	stop.Store(true)
	senders.Wait()
	if n := int64(w.Sink.Count()); n != accepted.Load() {
		t.Errorf("%d accepted, %d arrived", accepted.Load(), n)
	}
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	judgedByOne(t, w, accepted.Load())
}

// judgedByOne reads the journal: each message has one generation, and its score is the one that this generation gives.
func judgedByOne(t *testing.T, w *harness.World, want int64) {
	t.Helper()
	out, _ := w.Command("trace", "ann@friend.example", "--json")
	scores := map[uint64]string{}
	n := 0
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var r struct {
			Kind       string
			Generation uint64
			Decision   struct{ Score json.Number }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Kind != "message" {
			continue
		}
		n++
		score := r.Decision.Score.String()
		if before, ok := scores[r.Generation]; ok && before != score {
			t.Fatalf("generation %d gave scores %s and %s", r.Generation, before, score)
		}
		scores[r.Generation] = score
	}
	if n == 0 || int64(n) > want {
		t.Errorf("the journal shows %d of %d messages", n, want)
	}
	t.Logf("%d messages accepted, %d looked at, judged by %d generations", want, n, len(scores))
}
