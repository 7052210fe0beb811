package dns

import (
	"net"
	"slices"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// liar answers every question over UDP with the packets that script makes, in order.
func liar(t testing.TB, script func(q *mdns.Msg) [][]byte) string {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(mdns.Msg)
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			for _, p := range script(q) {
				pc.WriteTo(p, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

// reply packs an answer to q with records, changed by edit.
func reply(q *mdns.Msg, edit func(*mdns.Msg), records ...string) []byte {
	m := new(mdns.Msg)
	m.SetReply(q)
	for _, s := range records {
		rr, err := mdns.NewRR(s)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	if edit != nil {
		edit(m)
	}
	p, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return p
}

// L-03: an answer counts only if id, question and direction are right; forged ones do not even cost the true one.
func TestForgedPacketsAreIgnored(t *testing.T) {
	addr := liar(t, func(q *mdns.Msg) [][]byte {
		lie := "a.example. 300 IN TXT lie"
		return [][]byte{
			[]byte("x"),
			reply(q, func(m *mdns.Msg) { m.Id++ }, lie),
			reply(q, func(m *mdns.Msg) { m.Response = false }, lie),
			reply(q, func(m *mdns.Msg) { m.Question[0].Name = "b.example." }, lie),
			reply(q, func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeA }, lie),
			reply(q, func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS }, lie),
			reply(q, func(m *mdns.Msg) { m.Question = nil }, lie),
			reply(q, nil, "a.example. 300 IN TXT truth"),
		}
	})
	r := against(t, time.Second, addr)
	if txt, err := r.LookupTXT(t.Context(), "a.example"); err != nil || !slices.Equal(txt, []string{"truth"}) {
		t.Errorf("%q %v", txt, err)
	}
}

// L-03: records that nobody asked for are not believed, wherever they stand.
func TestRecordsOutsideTheQuestionAreIgnored(t *testing.T) {
	addr := liar(t, func(q *mdns.Msg) [][]byte {
		return [][]byte{reply(q, func(m *mdns.Msg) {
			extra, _ := mdns.NewRR("victim.example. 300 IN TXT lie")
			m.Extra, m.Ns = append(m.Extra, extra), append(m.Ns, extra)
		}, "victim.example. 300 IN TXT lie", "a.example. 300 IN A 192.0.2.1", "www.victim.example. 300 IN CNAME evil.example.",
			"evil.example. 300 IN TXT lie")}
	})
	r := against(t, time.Second, addr)
	if txt, err := r.LookupTXT(t.Context(), "a.example"); kind(t, err) != "none" {
		t.Errorf("a.example: %q %v", txt, err)
	}
	if _, ok := r.cache.entries.Peek(key{"victim.example", mdns.TypeTXT}); ok {
		t.Error("an answer about another name got into the cache")
	}
}

// L-03: a chain of aliases is followed for eight steps, from the asked name and in any order.
func TestAliasesAreFollowedForEightSteps(t *testing.T) {
	chain := func(n int) []string {
		var rrs []string
		for i := range n {
			rrs = append(rrs, "n"+string(rune('0'+i))+". 5 IN CNAME n"+string(rune('1'+i))+".")
		}
		slices.Reverse(rrs)
		return append(rrs, "n"+string(rune('0'+n))+". 5 IN TXT end")
	}
	for n, want := range map[int]string{8: "ok", 9: "temporary"} {
		addr := liar(t, func(q *mdns.Msg) [][]byte { return [][]byte{reply(q, nil, chain(n)...)} })
		r := against(t, time.Second, addr)
		if _, err := r.LookupTXT(t.Context(), "n0"); kind(t, err) != want {
			t.Errorf("%d aliases: %v, want %s", n, err, want)
		}
	}
}

// L-08: names with controls in them do not leave the resolver.
func TestNamesInAnswersAreClean(t *testing.T) {
	addr := liar(t, func(q *mdns.Msg) [][]byte {
		name := q.Question[0].Name
		return [][]byte{reply(q, nil, name+" 5 IN PTR evil\\010X:\\032y.example.", name+" 5 IN PTR a\\.b.example.", name+" 5 IN PTR GOOD.example.",
			name+" 5 IN MX 1 ev\\000il.example.")}
	})
	r := against(t, time.Second, addr)
	if names, err := r.LookupAddr(t.Context(), "192.0.2.1"); err != nil || !slices.Equal(names, []string{"good.example"}) {
		t.Errorf("%q %v", names, err)
	}
	if mx, err := r.LookupMX(t.Context(), "a.example"); kind(t, err) != "none" {
		t.Errorf("%v %v", mx, err)
	}
}

// L-07: a packet with compression loops or cut records is no answer, and nobody crashes.
func TestGarbagePacketsAreNoAnswer(t *testing.T) {
	addr := liar(t, func(q *mdns.Msg) [][]byte {
		whole := reply(q, nil, "a.example. 300 IN TXT x")
		head := whole[:12]
		return [][]byte{
			append(slices.Clone(head), 0xC0, 0x0C, 0, 16, 0, 1), // a name that points at itself
			append(slices.Clone(head), 0xC0, 0xFF, 0, 16, 0, 1), // beyond the end
			whole[:len(whole)-3],                                          // cut
			append(slices.Clone(head), make([]byte, 64)...),               // zeros
			append(append(slices.Clone(head), 0x7F), make([]byte, 70)...), // a label of 127
		}
	})
	r := against(t, 50*time.Millisecond, addr)
	if _, err := r.LookupTXT(t.Context(), "a.example"); kind(t, err) != "temporary" {
		t.Errorf("%v", err)
	}
}

// The word of a server on another machine about DNSSEC may have been changed on the way.
func TestAuthenticDataIsBelievedOnlyFromThisMachine(t *testing.T) {
	n := &network{addrs: []string{"127.0.0.1:53", "[::1]:53", "192.0.2.1:53"}}
	for i, want := range []bool{true, true, false} {
		if n.local(i) != want {
			t.Errorf("%s: %v", n.addrs[i], !want)
		}
	}
	addr := liar(t, func(q *mdns.Msg) [][]byte {
		return [][]byte{reply(q, func(m *mdns.Msg) { m.AuthenticatedData = true }, q.Question[0].Name+" 5 IN TLSA 3 1 1 ab")}
	})
	if _, authentic, err := against(t, time.Second, addr).LookupTLSA(t.Context(), "_25._tcp.a.example"); err != nil || !authentic {
		t.Errorf("from this machine: %v %v", authentic, err)
	}
}

func FuzzAnswers(f *testing.F) {
	q := question(key{"a.example", mdns.TypeTXT})
	q.Id = 1
	f.Add(reply(q, nil, "a.example. 300 IN TXT x"))
	f.Add(reply(q, nil, "a.example. 300 IN CNAME b.example.", "b.example. 1 IN TXT \"y\" \"z\""))
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := answers(q, packet)
		if m == nil {
			return
		}
		e, _ := read(m, key{"a.example", mdns.TypeTXT})
		if (e.err == nil) == (len(e.txt) == 0) {
			t.Errorf("error %v with %q", e.err, e.txt)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"a.example", "A.Example.", "a..b", "\x00", "xn--a.b_c", "a.b.c.d.in-addr.arpa", "x.co.uk"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := canonical(s)
		if !ok {
			return
		}
		if again, ok := canonical(n); !ok || again != n {
			t.Errorf("%q: canonical %q is not stable", s, n)
		}
		if z := zoneOf(n); len(z) == 0 || n[len(n)-len(z):] != z {
			t.Errorf("%q: zone %q is not its end", n, z)
		}
		m := new(mdns.Msg)
		m.SetQuestion(spelled(n), mdns.TypeTXT)
		p, err := m.Pack()
		if err != nil {
			t.Fatalf("%q cannot be packed: %v", n, err)
		}
		if err := m.Unpack(p); err != nil || m.Question[0].Name != spelled(n) {
			t.Errorf("%q travels as %q (%v)", n, m.Question[0].Name, err)
		}
	})
}
