package forward_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"gatepost/gateway/forward"
	"gatepost/test/harness/badsink"
	"gatepost/test/harness/faultproxy"
)

func proxied(t *testing.T, s *badsink.Sink, plan faultproxy.Plan) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(s.Address(), plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestALost250IsDoubtfulAndNotResentUnasked(t *testing.T) { // P-05, R-03
	s := start(t, badsink.Script{})
	p := proxied(t, s, faultproxy.Always(faultproxy.Faults{}, faultproxy.Faults{CutAt: []byte("250 2.0.0 taken")}))
	f := forwarder(t, forward.Config{}, p.Address())
	d := delivery(t, "x\r\n", "b@b.test")
	d.Edits.Add = forward.Received(envelope(t), by)
	out := f.Send(t.Context(), d)
	if replies(out) != "451 4.4.2" || !out[0].Doubtful || s.Count() != 1 {
		t.Fatalf("%+v, %d messages", out, s.Count())
	}
	p.Change(nil)
	if out := f.Send(t.Context(), d); replies(out) != "250 2.0.0" || s.Count() != 2 {
		t.Fatalf("%+v, %d messages", out, s.Count())
	}
	if m := s.Messages(); string(m[0].Data) != string(m[1].Data) {
		t.Error("the copies differ")
	}
}

// TestACutAnywhereLeavesAWholeMessageOrNone cuts the line to the next hop after each byte: what the hop has is whole, and
// our reply says yes only if it has it.
func TestACutAnywhereLeavesAWholeMessageOrNone(t *testing.T) { // P-03, P-05
	const content = "a: b\r\n\r\n.\r\n..\r\nx\r\n"
	for cut := int64(1); ; cut++ {
		s := start(t, badsink.Script{})
		p := proxied(t, s, faultproxy.Always(faultproxy.Faults{CutAfter: cut}, faultproxy.Faults{}))
		f := forwarder(t, forward.Config{}, p.Address())
		out := f.Send(t.Context(), delivery(t, content, "b@b.test"))
		whole := p.Connections() == 1 && out[0].Err == nil
		p.Close()
		s.Close()
		switch m := s.Messages(); {
		case len(m) > 1 || len(m) == 1 && string(m[0].Data) != content:
			t.Fatalf("cut after %d: %+v", cut, m)
		case len(m) == 1 && out[0].Err != nil && !out[0].Doubtful:
			t.Fatalf("cut after %d: the hop has it, and we did not think it possible", cut)
		case len(m) == 0 && out[0].Reply.Code == 250:
			t.Fatalf("cut after %d: lost", cut)
		case out[0].Err != nil && replies(out) != "451 4.4.2" && replies(out) != "451 4.4.1":
			t.Fatalf("cut after %d: %s", cut, replies(out))
		}
		if whole {
			return
		}
	}
}

func TestTheHopsCutAnywhereIsTemporary(t *testing.T) {
	dialogue := "220 sink.test ESMTP\r\n250-sink.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n" +
		"250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n354 go on\r\n250 2.0.0 taken\r\n"
	for cut := 1; cut < len(dialogue); cut += 7 {
		s := start(t, badsink.Script{})
		p := proxied(t, s, faultproxy.Always(faultproxy.Faults{}, faultproxy.Faults{CutAfter: int64(cut)}))
		f := forwarder(t, forward.Config{}, p.Address())
		out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))
		if out[0].Err == nil || out[0].Reply.Code != 451 {
			t.Errorf("cut after %d: %+v", cut, out)
		}
	}
}

func TestSingleBytesMakeNoDifference(t *testing.T) {
	s := start(t, badsink.Script{})
	p := proxied(t, s, faultproxy.Always(faultproxy.Faults{Split: true}, faultproxy.Faults{Split: true}))
	f := forwarder(t, forward.Config{}, p.Address())
	content := strings.Repeat(".x\r\n", 500)
	for range 3 {
		if out := f.Send(t.Context(), delivery(t, content, "b@b.test")); replies(out) != "250 2.0.0" {
			t.Fatalf("%+v", out)
		}
	}
	for _, m := range s.Messages() {
		if string(m.Data) != content {
			t.Fatal("changed")
		}
	}
}

// TestEveryMisbehaviourAtEveryStep lets the next hop hang up, reset or say 421 at each step of a fresh and of a reused
// connection: mail is delivered once or refused for now, and afterwards mail flows.
func TestEveryMisbehaviourAtEveryStep(t *testing.T) { // 2-R
	steps := []string{badsink.Connect, badsink.Ehlo, badsink.Mail, badsink.Rcpt, badsink.Data, badsink.Body, badsink.Dot}
	actions := map[string]badsink.Action{
		"close": {Close: true}, "reset": {Reset: true}, "421": {Reply: "421 4.3.2 x"}, "421 and close": {Reply: "421 4.3.2 x", Close: true},
		"garbage": {Reply: "hello"}, "wrong code": {Reply: "299 x"}, "half a line": {Reply: "25\r\n", Close: true}, "multi": {Reply: "250-x\r\n550 y"},
	}
	for _, step := range steps {
		for name, act := range actions {
			if step == badsink.Body && !act.Close && !act.Reset {
				continue // this hop would refuse and take the message
			}
			for nth := 1; nth <= 2; nth++ {
				t.Run(fmt.Sprintf("%s at %s of message %d", name, step, nth), func(t *testing.T) {
					var seen atomic.Int32 // sessions overlap
					s := start(t, badsink.Script{On: func(e badsink.Event) *badsink.Action {
						if e.Step != step {
							return nil
						}
						if seen.Add(1) != int32(nth) {
							return nil
						}
						return &act
					}})
					f := forwarder(t, forward.Config{}, s.Address())
					yes := 0
					for i := range 3 {
						out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))
						switch {
						case out[0].Reply.Code/100 == 2:
							yes++
						case out[0].Reply.Code/100 != 4:
							t.Errorf("%+v", out[0])
						case out[0].Doubtful:
							yes = min(yes+1, s.Count())
						case i == 2 && f.Hops()[0].Up:
							t.Errorf("mail does not flow again: %+v", out[0])
						}
					}
					if s.Count() != yes {
						t.Errorf("%d messages, %d said to be", s.Count(), yes)
					}
				})
			}
		}
	}
}
