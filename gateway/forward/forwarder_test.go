package forward_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/gateway/smtp"
	"gatepost/test/harness/badsink"
)

func start(t testing.TB, script badsink.Script) *badsink.Sink {
	t.Helper()
	s, err := badsink.Start(script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// forwarder sends the mail of b.test to the sinks' addresses.
func forwarder(t testing.TB, cfg forward.Config, hops ...string) *forward.Forwarder {
	t.Helper()
	return routed(t, cfg, forward.Domain{Name: "b.test", Downstream: hops})
}

func routed(t testing.TB, cfg forward.Config, domains ...forward.Domain) *forward.Forwarder {
	t.Helper()
	cfg.Hostname = "gate.test"
	f, err := forward.New(cfg, domains)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func address(t testing.TB, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func delivery(t testing.TB, content string, rcpts ...string) forward.Delivery {
	t.Helper()
	d := forward.Delivery{Envelope: &mail.Envelope{ID: "id1", From: address(t, "a@a.test")}, Source: strings.NewReader(content)}
	for _, r := range rcpts {
		d.Rcpts = append(d.Rcpts, address(t, r))
	}
	return d
}

// replies are the codes of outcomes, each with its enhanced code.
func replies(out []forward.Outcome) string {
	var words []string
	for _, o := range out {
		words = append(words, fmt.Sprint(o.Reply.Code, " ", o.Reply.Enhanced))
	}
	return strings.Join(words, ", ")
}

// dead is an address where nothing listens.
func dead(t testing.TB) string {
	t.Helper()
	s, err := badsink.Start(badsink.Script{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	return s.Address()
}

func TestOneConnectionCarriesManyMessages(t *testing.T) {
	s := start(t, badsink.Script{})
	f := forwarder(t, forward.Config{PerConnection: 10}, s.Address())
	for range 25 {
		if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))); got != "250 2.0.0" {
			t.Fatal(got)
		}
	}
	if s.Count() != 25 || s.Sessions() != 3 {
		t.Errorf("%d messages over %d connections", s.Count(), s.Sessions())
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	var mu sync.Mutex
	most := 0
	s := start(t, badsink.Script{On: func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Dot {
			mu.Lock()
			most = max(most, e.Open)
			mu.Unlock()
		}
		return nil
	}})
	f := forwarder(t, forward.Config{Connections: 3}, s.Address())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))); got != "250 2.0.0" {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	if most > 3 || s.Count() != 50 {
		t.Errorf("%d connections at once, %d messages", most, s.Count())
	}
}

func TestAHungHopDoesNotHoldOthersUp(t *testing.T) {
	hung := start(t, badsink.Script{On: func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Dot {
			return &badsink.Action{Hang: true}
		}
		return nil
	}})
	good := start(t, badsink.Script{})
	f := routed(t, forward.Config{Connections: 2, Wait: time.Millisecond},
		forward.Domain{Name: "hung.test", Downstream: []string{hung.Address()}},
		forward.Domain{Name: "good.test", Downstream: []string{good.Address()}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			out := f.Send(ctx, delivery(t, "x\r\n", "b@hung.test"))
			if replies(out) != "451 4.4.5" || !out[0].Doubtful || !errors.Is(out[0].Err, context.Canceled) {
				t.Errorf("%+v", out)
			}
		})
	}
	for f.Hops()[0].Busy < 2 {
		time.Sleep(time.Millisecond)
	}
	if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@hung.test"))); got != "451 4.3.2" {
		t.Error(got)
	}
	if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@good.test"))); got != "250 2.0.0" {
		t.Error(got)
	}
	cancel()
	wg.Wait()
}

func TestAStaleConnectionIsReplacedUnseen(t *testing.T) {
	for name, at := range map[string]*badsink.Action{
		"closed":        {Close: true},
		"reset":         {Reset: true},
		"421 and close": {Reply: "421 4.4.2 idle too long", Close: true},
		"421":           {Reply: "421 4.3.2 restarting"},
	} {
		s := start(t, badsink.Script{On: func(e badsink.Event) *badsink.Action {
			if e.Step == badsink.Mail && e.Message > 0 {
				return at
			}
			return nil
		}})
		f := forwarder(t, forward.Config{}, s.Address())
		for range 3 {
			if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))); got != "250 2.0.0" {
				t.Errorf("%s: %s", name, got)
			}
		}
		if s.Count() != 3 || s.Sessions() != 3 || !f.Hops()[0].Up {
			t.Errorf("%s: %d messages over %d connections, %+v", name, s.Count(), s.Sessions(), f.Hops()[0])
		}
	}
}

func TestARestartedHopIsNotNoticed(t *testing.T) {
	s := start(t, badsink.Script{})
	f := forwarder(t, forward.Config{}, s.Address())
	for range 3 {
		if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))); got != "250 2.0.0" {
			t.Error(got)
		}
		s.Drop()
	}
}

func TestContentIsNeverSentTwice(t *testing.T) { // P-05, R-03
	for _, step := range []string{badsink.Body, badsink.Dot} {
		s := start(t, badsink.Script{On: func(e badsink.Event) *badsink.Action {
			if e.Step == step && e.Message > 0 {
				return &badsink.Action{Reset: true} // at Dot the message has been kept: the reply is lost
			}
			return nil
		}})
		other := start(t, badsink.Script{})
		f := forwarder(t, forward.Config{}, s.Address(), other.Address())
		f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))
		out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))
		if replies(out) != "451 4.4.2" || out[0].Doubtful != (step == badsink.Dot) && step == badsink.Dot {
			t.Errorf("%s: %+v", step, out)
		}
		want := map[string]int{badsink.Body: 1, badsink.Dot: 2}[step]
		if s.Count() != want || other.Count() != 0 {
			t.Errorf("%s: %d and %d copies", step, s.Count(), other.Count())
		}
	}
}

func TestTheNextHopInOrderTakesOver(t *testing.T) {
	refusing := start(t, badsink.Script{Replies: map[string]string{badsink.Connect: "421 4.3.2 not now"}})
	broken := start(t, badsink.Script{Replies: map[string]string{badsink.Ehlo: "554 5.3.0 misconfigured"}})
	leaving := start(t, badsink.Script{Replies: map[string]string{badsink.Mail: "421 4.3.2 leaving"}})
	good := start(t, badsink.Script{})
	f := forwarder(t, forward.Config{}, dead(t), refusing.Address(), broken.Address(), leaving.Address(), good.Address())
	for range 5 {
		out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))
		if replies(out) != "250 2.0.0" || out[0].Hop != good.Address() {
			t.Fatalf("%+v", out)
		}
	}
	for i, h := range f.Hops() {
		if h.Up != (i == 4) || (h.Err == nil) != h.Up {
			t.Errorf("%+v", h)
		}
	}
	if refusing.Sessions() > 2 {
		t.Errorf("mail went on knocking at a closed door: %d times", refusing.Sessions())
	}
}

func TestADeadDownstreamIs451AndComesBack(t *testing.T) {
	addr := dead(t)
	var mu sync.Mutex
	var changes []bool
	f := forwarder(t, forward.Config{Changed: func(h forward.HopState) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, h.Up)
	}}, addr)
	for range 3 {
		out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test", "c@b.test"))
		if replies(out) != "451 4.4.1, 451 4.4.1" || out[0].Err == nil || out[0].Doubtful {
			t.Fatalf("%+v", out)
		}
	}
	s := start(t, badsink.Script{Address: addr})
	for i := 0; replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))) != "250 2.0.0"; i++ {
		if i > 1000 {
			t.Fatal("it did not come back")
		}
		time.Sleep(10 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	if s.Count() != 1 || len(changes) != 2 || changes[0] || !changes[1] {
		t.Errorf("%d messages, changes %v", s.Count(), changes)
	}
}

func TestRefusalsArePassedOn(t *testing.T) {
	s := start(t, badsink.Script{On: func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Rcpt && e.Rcpt == "gone@b.test" {
			return &badsink.Action{Reply: "550 5.1.1 no such user"}
		}
		return nil
	}})
	f := forwarder(t, forward.Config{}, s.Address())
	out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test", "gone@b.test"))
	if replies(out) != "250 2.0.0, 550 5.1.1" || out[1].Err != nil || out[1].Rcpt.String() != "gone@b.test" {
		t.Errorf("%+v", out)
	}
	d := delivery(t, "x\r\n", "b@b.test", "gone@b.test")
	d.Whole = true
	out = f.Send(t.Context(), d)
	if replies(out) != "451 4.3.0, 550 5.1.1" || !errors.Is(out[0].Err, forward.ErrWithheld) || s.Count() != 1 {
		t.Errorf("%+v", out)
	}
}

func TestNoRouteIsTemporary(t *testing.T) { // K-09
	s := start(t, badsink.Script{})
	f := forwarder(t, forward.Config{}, s.Address())
	out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test", "b@sub.b.test"))
	if replies(out) != "250 2.0.0, 451 4.3.5" || !errors.Is(out[1].Err, forward.ErrNoRoute) {
		t.Errorf("%+v", out)
	}
	if _, ok := f.Lookup("sub.b.test"); ok {
		t.Error("a subdomain has its parent's route")
	}
	if r, ok := f.Lookup("B.test"); !ok || r.Domain.Name != "b.test" {
		t.Error("no route")
	}
}

func TestRecipientsOfTwoRoutesGetOneCopyEach(t *testing.T) {
	one, two := start(t, badsink.Script{}), start(t, badsink.Script{})
	f := routed(t, forward.Config{}, forward.Domain{Name: "one.test", Downstream: []string{one.Address()}},
		forward.Domain{Name: "two.test", Downstream: []string{two.Address()}}, forward.Domain{Name: "uno.test", Downstream: []string{one.Address()}})
	out := f.Send(t.Context(), delivery(t, "x\r\n", "a@one.test", "b@two.test", "c@uno.test"))
	if replies(out) != "250 2.0.0, 250 2.0.0, 250 2.0.0" || out[1].Hop != two.Address() || out[1].Rcpt.String() != "b@two.test" {
		t.Errorf("%+v", out)
	}
	if m := one.Messages(); len(m) != 1 || strings.Join(m[0].Rcpts, " ") != "a@one.test c@uno.test" {
		t.Errorf("%+v", m)
	}
	if len(f.Hops()) != 2 {
		t.Error("domains with one next hop do not share it")
	}
}

func TestWhatWasScannedIsWhatIsSent(t *testing.T) { // P-08
	s := start(t, badsink.Script{})
	f := forwarder(t, forward.Config{}, s.Address())
	for _, content := range []string{"x\r\n", strings.Repeat("long\r\n", 50000)} {
		for _, src := range []mail.Source{strings.NewReader(content), inMemory{bytes.NewReader([]byte(content)), []byte(content)}} {
			d := delivery(t, content, "b@b.test")
			d.Source, d.Sum = src, sha256.Sum256([]byte(content))
			before := s.Count()
			if got := replies(f.Send(t.Context(), d)); got != "250 2.0.0" || s.Count() != before+1 {
				t.Error(got)
			}
			d.Sum[0]++
			out := f.Send(t.Context(), d)
			if replies(out) != "451 4.3.0" || !errors.Is(out[0].Err, forward.ErrChanged) || out[0].Doubtful || s.Count() != before+1 {
				t.Errorf("%+v, %d messages", out, s.Count()-before)
			}
		}
	}
}

// inMemory is a Source that shows its bytes.
type inMemory struct {
	*bytes.Reader
	b []byte
}

func (m inMemory) Bytes() []byte { return m.b }

func TestStrayLineEndsAreNotForwarded(t *testing.T) { // A-22, P-07
	s := start(t, badsink.Script{})
	f := forwarder(t, forward.Config{}, s.Address())
	out := f.Send(t.Context(), delivery(t, "a: b\r\n\r\nx\n.\nMAIL FROM:<x@y.test>\r\n", "b@b.test"))
	if replies(out) != "451 4.3.0" || !errors.Is(out[0].Err, smtp.ErrContent) || s.Count() != 0 || !f.Hops()[0].Up {
		t.Errorf("%+v", out)
	}
}

func TestCapabilitiesAreThoseOfEveryHop(t *testing.T) {
	big := start(t, badsink.Script{Extensions: []string{"SIZE 1000", "8BITMIME", "SMTPUTF8"}})
	small := start(t, badsink.Script{Extensions: []string{"SIZE 500", "8BITMIME"}})
	f := routed(t, forward.Config{}, forward.Domain{Name: "b.test", Downstream: []string{big.Address(), small.Address()}},
		forward.Domain{Name: "big.test", Downstream: []string{big.Address()}}, forward.Domain{Name: "dead.test", Downstream: []string{dead(t)}})
	if c, ok := f.Capabilities("b.test"); ok || c != (smtp.Capabilities{}) {
		t.Errorf("known before contact: %+v", c)
	}
	f.Warm(t.Context())
	if c, ok := f.Capabilities("b.test"); !ok || c != (smtp.Capabilities{Size: 500, EightBit: true}) {
		t.Errorf("%+v", c)
	}
	if c, ok := f.Capabilities("big.test"); !ok || c != (smtp.Capabilities{Size: 1000, EightBit: true, SMTPUTF8: true}) {
		t.Errorf("%+v", c)
	}
	if _, ok := f.Capabilities("dead.test"); ok {
		t.Error("known without contact")
	}
	if c, ok := f.Offer(); !ok || c != (smtp.Capabilities{Size: 1000, EightBit: true}) {
		t.Errorf("%+v", c)
	}
	if big.Sessions() != 1 {
		t.Error("one hop was connected to twice")
	}
}

func TestMailIsNotSentToOurselves(t *testing.T) { // J-03
	s := start(t, badsink.Script{})
	own := netip.MustParseAddrPort(s.Address())
	for _, own := range []netip.AddrPort{own, netip.AddrPortFrom(netip.IPv4Unspecified(), own.Port())} {
		f := forwarder(t, forward.Config{Own: []netip.AddrPort{own}}, s.Address())
		out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))
		if replies(out) != "451 4.4.1" || !errors.Is(out[0].Err, forward.ErrSelf) || s.Count() != 0 {
			t.Errorf("%+v", out)
		}
	}
}

func TestConfigurationErrorsNameTheRoute(t *testing.T) {
	for _, d := range []forward.Domain{
		{TLS: "perhaps"}, {TLS: "pin"}, {TLS: "pin", Pins: []string{"zz"}}, {Announce: "loudly"},
	} {
		d.Name, d.Downstream = "b.test", []string{"127.0.0.1:25"}
		if _, err := forward.New(forward.Config{Hostname: "gate.test"}, []forward.Domain{d}); err == nil || !strings.Contains(err.Error(), "b.test") {
			t.Errorf("%+v: %v", d, err)
		}
	}
}

func TestIdleConnectionsAreClosedInTheEnd(t *testing.T) {
	s := start(t, badsink.Script{})
	f := forwarder(t, forward.Config{Idle: 20 * time.Millisecond}, s.Address())
	f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))
	for i := 0; s.Open() > 0; i++ {
		if i > 1000 {
			t.Fatal("still open")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if l := s.Lines(); l[len(l)-1] != "1 QUIT" {
		t.Errorf("left without a word: %v", l)
	}
}

func TestAHopThatHasEnoughConnectionsIsNotDown(t *testing.T) {
	s := start(t, badsink.Script{On: func(e badsink.Event) *badsink.Action {
		switch {
		case e.Step == badsink.Connect && e.Open > 2:
			return &badsink.Action{Reply: "421 4.7.0 too many connections", Close: true}
		case e.Step == badsink.Dot:
			return &badsink.Action{Delay: 5 * time.Millisecond, Reply: "250 2.0.0 taken"}
		}
		return nil
	}})
	f := forwarder(t, forward.Config{}, s.Address())
	f.Warm(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))); got != "250 2.0.0" {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	if !f.Hops()[0].Up || s.Count() != 20 {
		t.Errorf("%+v, %d messages", f.Hops()[0], s.Count())
	}
}

func TestAHopThatTakesNoConnectionIsDownHoweverManyAsk(t *testing.T) {
	s := start(t, badsink.Script{Replies: map[string]string{badsink.Connect: "421 4.3.2 closed"}})
	f := forwarder(t, forward.Config{}, s.Address())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))); got != "451 4.4.1" {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	asked := s.Sessions()
	for range 200 {
		f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))
	}
	if f.Hops()[0].Up || s.Sessions() > asked+2 {
		t.Errorf("%d connections for 200 messages", s.Sessions()-asked)
	}
}

func TestWhatConcernsUsIsNotBouncedToTheSender(t *testing.T) {
	for reply, want := range map[string]string{
		"530 5.7.0 Must issue a STARTTLS command first": "451 4.3.5", "502 5.5.1 what": "451 4.3.5", "421 4.3.2 leaving": "451 4.3.2",
		"550 5.7.1 not this sender": "550 5.7.1",
	} {
		s := start(t, badsink.Script{Replies: map[string]string{badsink.Rcpt: reply}})
		f := forwarder(t, forward.Config{}, s.Address())
		if got := replies(f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))); got != want {
			t.Errorf("%s: %s", reply, got)
		}
	}
}
