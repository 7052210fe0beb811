package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway/journal"
	"gatepost/policy"
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
		text := fmt.Sprintf("version: 1\nweights: {dmarc.pass: -%d}\n", i%1000)
		if i%3 == 2 {
			text = "version: 1\nweights: {dmarc.psas: 1}\n"
		}
		write(t, w, text)
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

// judgedByOne reads the whole journal: each message has one generation, and was weighed as this generation weighs.
func judgedByOne(t *testing.T, w *harness.World, want int64) {
	t.Helper()
	weights := map[uint64]policy.Points{} // of dmarc.pass, which every generation weighs in its own way
	n := int64(0)
	err := journal.NewReader(filepath.Join(w.Dir, "data", "journal")).Scan(t.Context(), time.Time{}, time.Time{}, func(r *journal.Record) error {
		if r.Kind != journal.Message || r.Decision == nil {
			return nil
		}
		n++
		because := r.Decision.Recipients[0].Because
		var weight policy.Points // what weighs nothing is no reason
		if at := slices.IndexFunc(because, func(x policy.Reason) bool { return x.Code == "dmarc.pass" }); at >= 0 {
			weight = because[at].Weight
		}
		if before, ok := weights[r.Generation]; ok && before != weight {
			return fmt.Errorf("generation %d weighed %s and %s", r.Generation, before, weight)
		}
		weights[r.Generation] = weight
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < want {
		t.Errorf("the journal has %d of %d messages", n, want)
	}
	t.Logf("%d messages accepted, %d in the journal, judged by %d generations", want, n, len(weights))
}
