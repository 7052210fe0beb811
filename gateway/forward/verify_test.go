package forward_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/gateway/forward"
	"gatepost/test/harness/badsink"
)

// asked is a sink that knows b@b.test, counts the questions, and can be told to answer otherwise.
func asked(t *testing.T) (s *badsink.Sink, questions *atomic.Int32, answer *atomic.Value) {
	questions, answer = new(atomic.Int32), new(atomic.Value)
	answer.Store("")
	s = start(t, badsink.Script{On: func(e badsink.Event) *badsink.Action {
		if e.Step != badsink.Rcpt {
			return nil
		}
		questions.Add(1)
		if a := answer.Load().(string); a != "" {
			return &badsink.Action{Reply: a}
		}
		if e.Rcpt != "b@b.test" {
			return &badsink.Action{Reply: "550 5.1.1 no such user"}
		}
		return nil
	}})
	return s, questions, answer
}

func TestAnswersAboutRecipientsAreRemembered(t *testing.T) {
	s, questions, _ := asked(t)
	f := forwarder(t, forward.Config{}, s.Address())
	for range 3 {
		if got, r := f.Verify(t.Context(), address(t, "b@b.test")); got != forward.Known || r.Code != 250 {
			t.Error(got, r)
		}
		if got, r := f.Verify(t.Context(), address(t, "x@b.test")); got != forward.Unknown || r.Code != 550 {
			t.Error(got, r)
		}
	}
	if got, _ := f.Verify(t.Context(), address(t, "x@sub.b.test")); got != forward.CannotSay {
		t.Error("an answer about a domain that is not ours")
	}
	if questions.Load() != 2 || s.Sessions() != 1 {
		t.Errorf("%d questions over %d connections", questions.Load(), s.Sessions())
	}
}

func TestATemporaryReplyIsNoKnowledge(t *testing.T) { // K-11
	for _, reply := range []string{"450 4.2.0 greylisted", "554 5.7.1 relay access denied", "503 5.5.1 MAIL first", "421 4.3.2 leaving"} {
		s, questions, answer := asked(t)
		f := forwarder(t, forward.Config{}, s.Address())
		answer.Store(reply)
		for range 2 {
			if got, _ := f.Verify(t.Context(), address(t, "b@b.test")); got != forward.CannotSay {
				t.Errorf("%s: %v", reply, got)
			}
		}
		answer.Store("")
		if got, _ := f.Verify(t.Context(), address(t, "b@b.test")); got != forward.Known || questions.Load() < 3 {
			t.Errorf("after %s: %v, %d questions", reply, got, questions.Load())
		}
	}
}

func TestAnOldYesCountsWhileTheHopIsDownAndAnOldNoDoesNot(t *testing.T) {
	s, _, _ := asked(t)
	f := forwarder(t, forward.Config{Verify: forward.VerifyConfig{Keep: time.Nanosecond, No: time.Nanosecond}}, s.Address())
	f.Verify(t.Context(), address(t, "b@b.test"))
	f.Verify(t.Context(), address(t, "x@b.test"))
	s.Close()
	if got, _ := f.Verify(t.Context(), address(t, "b@b.test")); got != forward.Known {
		t.Error(got)
	}
	if got, _ := f.Verify(t.Context(), address(t, "x@b.test")); got != forward.CannotSay {
		t.Error(got)
	}
}

func TestOneRecipientIsAskedForOnceAtATime(t *testing.T) {
	s, questions, _ := asked(t)
	f := forwarder(t, forward.Config{}, s.Address())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got, _ := f.Verify(t.Context(), address(t, "b@b.test")); got != forward.Known {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	if questions.Load() != 1 {
		t.Errorf("%d questions", questions.Load())
	}
}

func TestTheMemoryOfRecipientsIsBounded(t *testing.T) {
	s, questions, _ := asked(t)
	f := forwarder(t, forward.Config{Verify: forward.VerifyConfig{Most: 10}}, s.Address())
	for i := range 100 {
		f.Verify(t.Context(), address(t, fmt.Sprintf("x%d@b.test", i)))
	}
	f.Verify(t.Context(), address(t, "x99@b.test"))
	if questions.Load() != 100 {
		t.Errorf("%d questions", questions.Load())
	}
}

func TestAReloadForgetsNothing(t *testing.T) { // P-18
	s, questions, _ := asked(t)
	gone := dead(t)
	old := forwarder(t, forward.Config{}, s.Address(), gone)
	old.Warm(t.Context())
	old.Verify(t.Context(), address(t, "b@b.test"))
	f := forwarder(t, forward.Config{}, gone, s.Address())
	f.Succeed(old)
	old.Close()
	if got, _ := f.Verify(t.Context(), address(t, "b@b.test")); got != forward.Known || questions.Load() != 1 {
		t.Error(got, questions.Load())
	}
	if c, ok := f.Capabilities("b.test"); !ok || !c.SMTPUTF8 {
		t.Error(c, ok)
	}
	if h := f.Hops(); h[0].Up || h[0].Err == nil || !h[1].Up {
		t.Errorf("%+v", h)
	}
}
