package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"gatepost/rules/conf"
)

// against makes a resolver that asks only the given servers.
func against(t *testing.T, timeout time.Duration, servers ...string) *Resolver {
	t.Helper()
	r, err := New(Config{Servers: servers, Timeout: conf.Duration(timeout)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// kind names the class of a lookup's error; it fails the test if the error is not a bare *net.DNSError.
func kind(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "ok"
	}
	de, ok := err.(*net.DNSError)
	switch {
	case !ok:
		t.Errorf("%T is not a bare *net.DNSError: %v", err, err)
		return "foreign"
	case de.IsNotFound:
		return "none"
	case de.IsTemporary:
		return "temporary"
	}
	return "unclassified"
}

func TestLookupsAnswerInTheShapeOfNetResolver(t *testing.T) {
	s := start(t, `
		b.example TXT "v=spf1 " "-all"
		b.example TXT back\slash "quoted" `+"\xff"+`
		b.example A 192.0.2.1
		b.example AAAA 2001:db8::1
		b.example MX 20 mx2.b.example
		b.example MX 10 MX1.b.example
		null.example MX 0 .
		1.2.0.192.in-addr.arpa PTR Host.b.example
		alias.example CNAME b.example
		_25._tcp.mx1.b.example TLSA 3 1 1 ABCDEF
		six.example AAAA 2001:db8::6
	`)
	r, ctx := against(t, time.Second, s.Addr()), t.Context()
	txt, err := r.LookupTXT(ctx, "B.example.")
	if want := []string{"v=spf1 -all", "back\\slash \"quoted\" \xff"}; err != nil || !slices.Equal(txt, want) {
		t.Errorf("TXT: %q %v, want %q", txt, err, want)
	}
	mx, err := r.LookupMX(ctx, "b.example")
	if err != nil || len(mx) != 2 || mx[0].Host != "mx1.b.example" || mx[1].Host != "mx2.b.example" {
		t.Errorf("MX: %v %v", mx, err)
	}
	if mx, err = r.LookupMX(ctx, "null.example"); err != nil || len(mx) != 1 || mx[0].Host != "." {
		t.Errorf("null MX: %v %v", mx, err)
	}
	for network, want := range map[string]int{"ip4": 1, "ip6": 1, "ip": 2} {
		if ips, err := r.LookupNetIP(ctx, network, "alias.example"); err != nil || len(ips) != want {
			t.Errorf("%s: %v %v", network, ips, err)
		}
	}
	if ips, err := r.LookupNetIP(ctx, "ip", "six.example"); err != nil || len(ips) != 1 || ips[0] != netip.MustParseAddr("2001:db8::6") {
		t.Errorf("ip of a name with one family: %v %v", ips, err)
	}
	if names, err := r.LookupAddr(ctx, "::ffff:192.0.2.1"); err != nil || !slices.Equal(names, []string{"host.b.example"}) {
		t.Errorf("PTR: %v %v", names, err)
	}
	if tlsa, _, err := r.LookupTLSA(ctx, "_25._tcp.mx1.b.example"); err != nil || len(tlsa) != 1 || tlsa[0].Data != "abcdef" {
		t.Errorf("TLSA: %v %v", tlsa, err)
	}
	for name, want := range map[string]bool{"b.example": true, "alias.example": true, "tcp.mx1.b.example": false, "_tcp.mx1.b.example": true, "no.example": false} {
		if got, err := r.Exists(ctx, name); err != nil || got != want {
			t.Errorf("%s exists: %v %v, want %v", name, got, err, want)
		}
	}
}

// L-05, P-21: an absence is an absence and a failure is a failure; neither is ever taken for the other.
func TestEveryErrorIsABareDNSErrorOfTheRightKind(t *testing.T) {
	s := start(t, "dead.example TIMEOUT\nbroken.example SERVFAIL\nclosed.example REFUSED\na.example A 192.0.2.1\nloop.example CNAME loop.example\n")
	r := against(t, 50*time.Millisecond, s.Addr())
	for name, want := range map[string]string{"none.example": "none", "a.example": "none", "dead.example": "temporary",
		"broken.example": "temporary", "closed.example": "temporary", "loop.example": "temporary", "bad\tname": "none"} {
		_, err := r.LookupTXT(t.Context(), name)
		if got := kind(t, err); got != want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.LookupTXT(ctx, "slow.dead.example")
	if got := kind(t, err); got != "temporary" && got != "none" {
		t.Errorf("cancelled: %s", got)
	}
}

// L-07, L-08, D-04: names that could mean two things are never asked for.
func TestImpossibleNamesAreNotAsked(t *testing.T) {
	s := start(t, "* TXT anything")
	r := against(t, time.Second, s.Addr())
	long := strings.Repeat("a", 63)
	for _, name := range []string{"", ".", "a..b", ".a", "a\x00b.example", "a\tb.example", "a\\.b.example", "a(.b", "a\"b.example", "a'b.example",
		"a\r\nb.example", "\xc3\xa9.example", long + "a.example", strings.Join([]string{long, long, long, long[:62], "x"}, ".")} {
		if _, err := r.LookupTXT(t.Context(), name); kind(t, err) != "none" {
			t.Errorf("%q: %v, want not found", name, err)
		}
	}
	if s.Total() != 0 {
		t.Errorf("asked %v", s.Questions())
	}
	for _, name := range []string{long + ".example", strings.Join([]string{long, long, long, long[:61]}, "."), "a+b=c._spf.example"} {
		if _, err := r.LookupTXT(t.Context(), name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// L-04: what does not fit a packet comes over TCP, up to the 64 KiB a message can have.
func TestLongAnswersComeOverTCP(t *testing.T) {
	s := start(t, "big.example TXT "+strings.Repeat("x", 60000)+"\ncut.example TRUNCATED\ncut.example TXT whole")
	r := against(t, time.Second, s.Addr())
	if txt, err := r.LookupTXT(t.Context(), "big.example"); err != nil || len(txt) != 1 || len(txt[0]) != 60000 {
		t.Errorf("big: %d records, %v", len(txt), err)
	}
	if txt, err := r.LookupTXT(t.Context(), "cut.example"); err != nil || !slices.Equal(txt, []string{"whole"}) {
		t.Errorf("cut: %q %v", txt, err)
	}
}

// L-09: TTLs are clamped both ways; temporary failures are remembered for a moment, absences a little longer.
func TestAnswersAreRememberedForAClampedTime(t *testing.T) {
	s := start(t, "now.example 0 TXT x\never.example 2147483647 TXT x\nnormal.example 60 TXT x\nbroken.example SERVFAIL")
	r := against(t, time.Second, s.Addr())
	now := time.Now()
	r.now = func() time.Time { return now }
	for _, c := range []struct {
		name string
		life time.Duration
	}{{"now.example", 10 * time.Second}, {"ever.example", time.Hour}, {"normal.example", time.Minute},
		{"absent.example", 10 * time.Second}, {"broken.example", 5 * time.Second}} {
		begin := now
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{0, 1}, {c.life - time.Millisecond, 1}, {c.life, 2}} {
			now = begin.Add(step.at)
			r.LookupTXT(t.Context(), c.name)
			if n := s.Asked(c.name + " TXT"); n != step.want {
				t.Errorf("%s after %s: asked %d times, want %d", c.name, step.at, n, step.want)
			}
		}
	}
}

func TestTheCacheIsBoundedInBytes(t *testing.T) {
	r, err := FromZone("*.example TXT " + strings.Repeat("x", 50000))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if _, err := r.LookupTXT(t.Context(), fmt.Sprintf("n%d.example", i)); err != nil {
			t.Fatal(err)
		}
	}
	if b := r.cache.bytes.Load(); b > maxBytes || b < maxBytes/2 {
		t.Errorf("cache holds %d bytes, limit %d", b, maxBytes)
	}
}

func TestOneQuestionIsAskedOnceHoweverManyWait(t *testing.T) {
	s := start(t, "slow.example DELAY 50ms\nslow.example TXT x")
	r := against(t, time.Second, s.Addr())
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := r.LookupTXT(t.Context(), "slow.example"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.Asked("slow.example TXT"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestACallerWhoGivesUpDoesNotSpoilTheAnswerForOthers(t *testing.T) {
	s := start(t, "slow.example DELAY 50ms\nslow.example TXT x")
	r := against(t, time.Second, s.Addr())
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := r.LookupTXT(ctx, "slow.example"); gone <- err }()
	for s.Total() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-gone; kind(t, err) != "temporary" {
		t.Errorf("the one who left: %v", err)
	}
	if _, err := r.LookupTXT(t.Context(), "slow.example"); err != nil {
		t.Errorf("the one who stayed: %v", err)
	}
	if n := s.Asked("slow.example TXT"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// L-01: with no server answering, lookups fail as temporary, and after 20 of them at once; they recover by themselves.
func TestAnOutageTripsTheBreakerAndHealsAlone(t *testing.T) {
	s := start(t, "a.example TXT x\ndead.example TIMEOUT\n*.dead.example TIMEOUT")
	addr := s.Addr()
	r := against(t, 20*time.Millisecond, addr)
	for i := range 2 * breakAfter {
		r.LookupTXT(t.Context(), fmt.Sprintf("n%d.dead.example", i))
	}
	if r.Stats().Down {
		t.Fatal("a sender whose names never answer must not take all lookups down")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(time.Hour)
	r.now = func() time.Time { return now }
	for i := range breakAfter {
		if _, err := r.LookupTXT(t.Context(), fmt.Sprintf("m%d.example", i)); kind(t, err) != "temporary" {
			t.Fatalf("lookup without servers: %v", err)
		}
	}
	if !r.Stats().Down {
		t.Fatal("the breaker did not open")
	}
	before := r.Stats().Failures
	if _, err := r.LookupTXT(t.Context(), "new.example"); kind(t, err) != "temporary" || r.Stats().Failures != before {
		t.Errorf("an open breaker must fail without asking: %v", err)
	}
	startAt(t, addr, "a.example TXT x")
	for i := 0; r.Stats().Down; i++ {
		now = now.Add(2 * probeEvery)
		r.LookupTXT(t.Context(), fmt.Sprintf("again%d.example", i))
		time.Sleep(5 * time.Millisecond)
		if i > 500 {
			t.Fatal("the breaker never closed")
		}
	}
	if _, err := r.LookupTXT(t.Context(), "a.example"); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

// startAt is start over UDP only, on an address that was free a moment ago.
func startAt(t *testing.T, addr, text string) {
	t.Helper()
	z, err := parseZone(text)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{asked: map[string]int{}}
	s.zone.Store(z)
	srv := &mdns.Server{PacketConn: pc, Handler: handler{s, true}}
	up := make(chan struct{})
	srv.NotifyStartedFunc = func() { close(up) }
	go srv.ActivateAndServe()
	<-up
	t.Cleanup(func() { srv.Shutdown() })
}

// L-01: the second try goes to another server, and the next question starts with the one that answered.
func TestADeadServerIsPassedOver(t *testing.T) {
	dead, alive := start(t, "* TIMEOUT"), start(t, "*.example TXT x")
	r := against(t, 50*time.Millisecond, dead.Addr(), alive.Addr())
	for i := range 5 {
		if _, err := r.LookupTXT(t.Context(), fmt.Sprintf("n%d.example", i)); err != nil {
			t.Error(err)
		}
	}
	if dead.Total() != 1 || alive.Total() != 5 {
		t.Errorf("dead was asked %d times, alive %d times", dead.Total(), alive.Total())
	}
}

// L-02: what one message may ask is bounded in number and in time; the cache is free.
func TestAMessageHasABudget(t *testing.T) {
	s := start(t, "*.example TXT x\nslow.test DELAY 300ms\nslow.test TXT x")
	r := against(t, time.Second, s.Addr())
	ctx := WithBudget(t.Context(), 3, time.Minute)
	for i := range 6 {
		_, err := r.LookupTXT(ctx, fmt.Sprintf("n%d.example", min(i, 4)/2))
		if err != nil {
			t.Errorf("question %d: %v", i, err)
		}
	}
	if _, err := r.LookupTXT(ctx, "n9.example"); kind(t, err) != "temporary" {
		t.Errorf("the fourth name: %v", err)
	}
	if _, err := r.LookupTXT(ctx, "n0.example"); err != nil {
		t.Errorf("a cached answer: %v", err)
	}
	_, err := r.LookupTXT(WithBudget(t.Context(), 3, 20*time.Millisecond), "slow.test")
	var de *net.DNSError
	if !errors.As(err, &de) || !de.IsTimeout {
		t.Errorf("beyond the time: %v", err)
	}
}

// L-10: senders cannot aim a flood of questions at somebody's domain.
func TestQuestionsAboutOneDomainAreLimited(t *testing.T) {
	s := start(t, "*.victim.example TXT x\n*.victim.co.uk TXT x\nother.example TXT x")
	r, err := New(Config{Servers: []string{s.Addr()}, PerDomain: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"victim.example", "victim.co.uk"} {
		for i := range 8 {
			_, err := r.LookupTXT(t.Context(), fmt.Sprintf("a.b%d.%s", i, d))
			if want := map[bool]string{true: "ok", false: "temporary"}[i < 5]; kind(t, err) != want {
				t.Errorf("question %d about %s: %v, want %s", i, d, err, want)
			}
		}
	}
	if _, err := r.LookupTXT(t.Context(), "other.example"); err != nil {
		t.Errorf("another domain: %v", err)
	}
	for i := range 8 {
		if _, err := r.LookupAddr(t.Context(), fmt.Sprintf("192.0.2.%d", i)); kind(t, err) != "none" {
			t.Errorf("reverse name %d: %v", i, err)
		}
	}
	if _, err := r.Unlimited().LookupTXT(t.Context(), "x.victim.example"); err != nil {
		t.Errorf("an administrator's own name: %v", err)
	}
}

func TestServersAreIPAddresses(t *testing.T) {
	for _, bad := range []string{"", "localhost", "192.0.2.1:", "192.0.2.1:dns", "https://192.0.2.1"} {
		if _, err := New(Config{Servers: []string{bad}}); err == nil {
			t.Errorf("%q was taken for a name server", bad)
		}
	}
	got, err := servers([]string{"192.0.2.1", "2001:db8::1", "[2001:db8::1]:5353"})
	if want := []string{"192.0.2.1:53", "[2001:db8::1]:53", "[2001:db8::1]:5353"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
}

func BenchmarkCachedTXT(b *testing.B) {
	r, err := FromZone("selector._domainkey.example.com TXT v=DKIM1; p=x")
	if err != nil {
		b.Fatal(err)
	}
	ctx := WithBudget(b.Context(), 10, time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.LookupTXT(ctx, "selector._domainkey.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCachedAbsence(b *testing.B) {
	r, err := FromZone("example.com TXT x")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.LookupTXT(b.Context(), "_dmarc.example.com"); err == nil {
			b.Fatal("found")
		}
	}
}
