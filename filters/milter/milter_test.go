package milter

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters/mail"
	"gatepost/rules/conf"
	"gatepost/test/harness"
	"gatepost/test/harness/daemon"
	"gatepost/test/harness/engine"
)

// packet is one packet as it goes over the wire.
func packet(code byte, data string) string {
	return string(number(uint32(len(data)+1))) + string(code) + data
}

// options is an answer to the negotiation.
func options(version, actions, steps uint32, macros string) string {
	return packet('O', string(number(version))+string(number(actions))+string(number(steps))+macros)
}

// A script is a milter whose answers a test writes, by commands; a command that is not in it is answered by "continue". It
// remembers what it was told.
type script struct {
	says map[byte]string
	ask  func(code byte, data string) (says string, ok bool) // before says

	mu    sync.Mutex
	heard []string // each: the code and the data
	most  int
	now   int
}

func (s *script) start(t *testing.T) string {
	t.Helper()
	return daemon.Serve(t, s.serve)
}

func (s *script) serve(conn net.Conn) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.now--; s.mu.Unlock() }()
	r := bufio.NewReader(conn)
	silent := uint32(0)
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		data := make([]byte, be.Uint32(head[:])-1)
		if _, err := io.ReadFull(r, data); err != nil {
			return
		}
		code := head[4]
		s.mu.Lock()
		s.heard = append(s.heard, string(code)+string(data))
		s.mu.Unlock()
		says, ok := "", false
		if s.ask != nil {
			says, ok = s.ask(code, string(data))
		}
		if !ok {
			says, ok = s.says[code]
		}
		switch {
		case ok:
		case code == 'Q':
			return
		case code == 'O':
			says = options(6, 0, 0, "")
		case code == 'D' || code == 'A' || silent&leftOut[code].answer != 0:
		default:
			says = packet('c', "")
		}
		if code == 'O' && len(says) >= 17 {
			silent = be.Uint32([]byte(says)[13:])
		}
		if says == "close" {
			return
		}
		io.WriteString(conn, says)
	}
}

// commands are the codes of what was heard, macros left out.
func (s *script) commands() (list string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		idle := s.now == 0
		s.mu.Unlock()
		if idle {
			break // every goodbye was heard
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heard {
		if h[0] != 'D' {
			list += h[:1]
		}
	}
	return list
}

func settings(address string) Config {
	return Config{Milters: map[string]string{"x": address}, Timeout: 5 * time.Second, Connections: 2, MaxBytes: 1 << 20, Hostname: "mx.example.com"}
}

const plain = "From: Ann <ann@friend.example>\r\nTo: <bob@example.com>\r\nSubject:Lunch\r\n\ttoday\r\n\r\nAt one?\r\n"

func letter(t testing.TB, text string, rcpts ...string) *mail.Mail {
	t.Helper()
	address := func(s string) mail.Address {
		a, err := mail.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	e := &mail.Envelope{ID: "ID1", Remote: netip.MustParseAddr("192.0.2.7"), RemoteName: "out.friend.example", Helo: "friend.example", From: address("ann@friend.example")}
	if rcpts == nil {
		rcpts = []string{"bob@example.com", "eve@example.com"}
	}
	for _, r := range rcpts {
		e.Rcpts = append(e.Rcpts, address(r))
	}
	return &mail.Mail{Envelope: e, Message: mail.Parse(mail.Memory(text))}
}

func asked(t *testing.T, cfg Config, m *mail.Mail) (list []string, err error) {
	t.Helper()
	facts, err := New(cfg).Check(context.Background(), m)
	return engine.Told(facts), err
}

func TestAMilterIsShownTheWholeMessage(t *testing.T) {
	body := strings.Repeat("0123456789abcde\r\n", 10_000)
	for name, c := range map[string]struct {
		options string
		subject string
		macros  []string
	}{
		"a plain milter":            {options(6, 0, 0, ""), "LSubject\x00Lunch\n\ttoday\x00", []string{"DCj\x00mx.example.com\x00_\x00out.friend.example [192.0.2.7]\x00{daemon_name}\x00gatepost\x00{client_addr}\x00192.0.2.7\x00{client_name}\x00out.friend.example\x00{client_ptr}\x00out.friend.example\x00v\x00Gatepost\x00", "DRi\x00ID1\x00{rcpt_addr}\x00eve@example.com\x00{rcpt_host}\x00example.com\x00{rcpt_mailer}\x00smtp\x00"}},
		"one that wants macros":     {options(6, 0x100, wantsBlank, "\x00\x00\x00\x02i, {client_addr} {no_such}\x00\x00\x00\x00\x03\x00\x00\x00\x00\x63j\x00"), "LSubject\x00Lunch\n\ttoday\x00", []string{"DMi\x00ID1\x00{client_addr}\x00192.0.2.7\x00"}},
		"one that gives no answers": {options(6, 0, 0x80|0x1000|0x2000|0x4000|0x8000|0x10000|0x40000|0x80000, ""), "LSubject\x00Lunch\n\ttoday\x00", nil},
		"an old one":                {options(2, 0, 0, ""), "LSubject\x00Lunch\n\ttoday\x00", nil},
	} {
		s := &script{says: map[byte]string{'O': c.options}}
		got, err := asked(t, settings(s.start(t)), letter(t, plain+body))
		if err != nil || len(got) > 0 {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
		want := "OCHMRRTLLLNBBBEAQ"
		if name == "an old one" {
			want = strings.Replace(want, "T", "", 1)
		}
		if heard := s.commands(); heard != want {
			t.Errorf("%s: %s", name, heard)
		}
		content := ""
		for _, h := range s.heard {
			if h[0] == 'B' {
				content += h[1:]
			}
		}
		if content != "At one?\r\n"+body {
			t.Errorf("%s: %d octets of body", name, len(content))
		}
		blank := ""
		if strings.Contains(c.options, string(number(wantsBlank))) {
			blank = " "
		}
		for _, h := range append([]string{"Cout.friend.example\x004\x00\x00192.0.2.7\x00", "Hfriend.example\x00", "M<ann@friend.example>\x00", "R<bob@example.com>\x00", "LFrom\x00" + blank + "Ann <ann@friend.example>\x00", c.subject}, c.macros...) {
			if !slices.Contains(s.heard, h) {
				t.Errorf("%s: did not hear %q: %q", name, h, s.heard[:min(len(s.heard), 12)])
			}
		}
	}
	s := &script{}
	if _, err := asked(t, settings(s.start(t)), &mail.Mail{Message: mail.Parse(mail.Memory(plain))}); err != nil || s.commands() != "OCHMTLLLNBEAQ" || !slices.Contains(s.heard, "Clocalhost\x00U") {
		t.Errorf("without an envelope: %v, %s", err, s.commands())
	}
}

func TestStepsThatAMilterDoesNotWantAreLeftOut(t *testing.T) {
	s := &script{says: map[byte]string{'O': options(6, 0, 0x1|0x2|0x4|0x8|0x10|0x20|0x40|0x200, "")}}
	if got, err := asked(t, settings(s.start(t)), letter(t, plain)); err != nil || len(got) > 0 || s.commands() != "OEAQ" {
		t.Errorf("%q, %v, %s", got, err, s.commands())
	}
	s = &script{says: map[byte]string{'O': options(6, 0, wantsSkip, ""), 'R': packet('s', ""), 'L': packet('s', ""), 'B': packet('s', "")}}
	if got, err := asked(t, settings(s.start(t)), letter(t, plain+strings.Repeat("x", 200_000))); err != nil || len(got) > 0 || s.commands() != "OCHMRTLNBEAQ" {
		t.Errorf("%q, %v, %s", got, err, s.commands())
	}
}

func TestWhatAMilterAsksForIsAFact(t *testing.T) {
	name := func(code byte, data string) string { return packet(code, data) }
	for what, c := range map[string]struct {
		says  map[byte]string
		want  []string
		heard string
	}{
		"nothing":               {nil, nil, "OCHMRRTLLLNBEAQ"},
		"accept at connect":     {map[byte]string{'C': packet('a', "")}, nil, "OCAQ"},
		"reject at connect":     {map[byte]string{'C': packet('r', "")}, []string{"milter.reject.x; connection: refused"}, "OCAQ"},
		"tempfail at HELO":      {map[byte]string{'H': packet('t', "")}, []string{"milter.tempfail.x; HELO: refused for now"}, "OCHAQ"},
		"reply at MAIL":         {map[byte]string{'M': packet('y', "550 5.7.1 not you\x1b[31m\x00")}, []string{"milter.reject.x; MAIL: 550 5.7.1 not you?[31m"}, "OCHMAQ"},
		"reply for now":         {map[byte]string{'N': packet('y', "451 4.7.1 later\x00")}, []string{"milter.tempfail.x; header: 451 4.7.1 later"}, "OCHMRRTLLLNAQ"},
		"all recipients":        {map[byte]string{'R': packet('r', "")}, []string{"milter.reject.x; RCPT <bob@example.com>: refused; RCPT <eve@example.com>: refused"}, "OCHMRRAQ"},
		"discard at a header":   {map[byte]string{'L': packet('d', "")}, []string{"milter.discard.x; header From: let vanish"}, "OCHMRRTLAQ"},
		"discard a recipient":   {map[byte]string{'R': packet('d', "")}, []string{"milter.discard.x; RCPT <bob@example.com>: let vanish"}, "OCHMRAQ"},
		"accept a recipient":    {map[byte]string{'R': packet('a', "")}, nil, "OCHMRAQ"},
		"reject the body":       {map[byte]string{'B': packet('p', "") + packet('r', "")}, []string{"milter.reject.x; body: refused"}, "OCHMRRTLLLNBAQ"},
		"reject the message":    {map[byte]string{'E': packet('p', "") + packet('y', "554 5.7.1 virus\x00")}, []string{"milter.reject.x; message: 554 5.7.1 virus"}, ""},
		"quarantine":            {map[byte]string{'E': name('q', "virus found\x00") + packet('a', "")}, []string{"milter.quarantine.x; hold: virus found"}, ""},
		"quarantine and change": {map[byte]string{'E': name('h', "X-Virus\x00yes\r\nX: y\x00") + name('q', "\x00") + packet('c', "")}, []string{"milter.quarantine.x; hold: ", "milter.change.x; add header X-Virus: yes??X: y"}, ""},
		"changes": {map[byte]string{'E': name('h', "A\x00b\x00") + name('i', "\x00\x00\x00\x01B\x00c\x00") + name('m', "\x00\x00\x00\x02C\x00d\x00") + name('m', "\x00\x00\x00\x01D\x00\x00") + name('+', "<n@x.example>\x00") + name('2', "<o@x.example>\x00NOTIFY=NEVER\x00") +
			name('-', "<bob@example.com>\x00") + name('e', "<z@x.example>\x00") + name('b', strings.Repeat("x", 100_000)) + packet('a', "")},
			[]string{"milter.change.x; add header A: b; add header B: c; change header C (2): d; take out header D (1); add recipient <n@x.example>; add recipient <o@x.example>; take out recipient <bob@example.com>; change sender: <z@x.example>"}, ""},
	} {
		s := &script{says: c.says}
		if s.says == nil {
			s.says = map[byte]string{}
		}
		s.says['O'] = options(6, allActions, 0, "")
		got, err := asked(t, settings(s.start(t)), letter(t, plain))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
		if c.heard != "" && s.commands() != c.heard {
			t.Errorf("%s: heard %s", what, s.commands())
		}
	}
}

func TestAMilterThatRefusesOneRecipientIsAskedAboutTheOthers(t *testing.T) {
	first := &script{ask: func(code byte, data string) (string, bool) {
		return packet('y', "550 5.1.1 no such user\x00"), code == 'R' && strings.Contains(data, "bob@")
	}}
	got, err := asked(t, settings(first.start(t)), letter(t, plain))
	if err != nil || !slices.Equal(got, []string{"milter.reject.x; RCPT <bob@example.com>: 550 5.1.1 no such user"}) || first.commands() != "OCHMRRTLLLNBEAQ" {
		t.Errorf("%q, %v, %s", got, err, first.commands())
	}
	then := &script{ask: func(code byte, data string) (string, bool) {
		if code != 'R' {
			return "", false
		}
		return packet(map[bool]byte{true: 'r', false: 'a'}[strings.Contains(data, "bob@")], ""), true
	}}
	if got, err := asked(t, settings(then.start(t)), letter(t, plain)); err != nil || len(got) != 1 || then.commands() != "OCHMRRAQ" {
		t.Errorf("one refused, then all accepted: %q, %v, %s", got, err, then.commands())
	}
}

// An answer that is not a proper answer is no opinion.
func TestAMilterThatFailsOrLiesIsNeverClean(t *testing.T) {
	reply := func(code byte, says string) map[byte]string { return map[byte]string{code: says} }
	for name, says := range map[string]map[byte]string{
		"it closes at once": reply('O', "close"), "no options": reply('O', packet('c', "")), "options cut off": reply('O', packet('O', "\x00\x00\x00\x06")), "version 1": reply('O', options(1, 0, 0, "")), "version 7": reply('O', options(7, 0, 0, "")),
		"more actions than there are": reply('O', options(6, 0x200, 0, "")), "more steps than there are": reply('O', options(6, 0, 0x200000, "")), "macros cut off": reply('O', options(6, 0, 0, "\x00\x00\x00\x02i")), "macros shorter": reply('O', options(6, 0, 0, "\x00")),
		"an empty packet": reply('C', "\x00\x00\x00\x00"), "a huge packet": reply('C', "\xff\xff\xff\xffx"), "a packet cut off": {'C': "\x00\x00\x00\x10c", 'H': "close"}, "a word": reply('C', "220 mx ESMTP\r\n"), "unknown answer": reply('C', packet('z', "")),
		"shutdown": reply('M', packet('4', "")), "connection failure": reply('M', packet('f', "")), "skip that was not agreed on": reply('L', packet('s', "")), "skip at the end": {'O': options(6, 0, wantsSkip, ""), 'E': packet('s', "")},
		"reply 250": reply('E', packet('y', "250 2.0.0 fine\x00")), "reply of words": reply('E', packet('y', "no\x00")), "empty reply": reply('E', packet('y', "")), "reply 5500": reply('E', packet('y', "5500 x\x00")),
		"a change before the end": reply('B', packet('h', "X\x00y\x00")), "a change of nothing": reply('E', packet('h', "\x00\x00")+packet('a', "")), "a change without a place": reply('E', packet('m', "\x00")+packet('a', "")), "it closes at the end": reply('E', "close"),
		"changes and then nothing": {'E': packet('h', "X\x00y\x00") + "\x00\x00\x00\x01"}, "signs of life and then nothing": {'E': packet('p', "") + packet('p', ""), 'Q': "close"},
	} {
		cfg := settings((&script{says: says}).start(t))
		cfg.Timeout = 500 * time.Millisecond
		if got, err := asked(t, cfg, letter(t, plain)); err == nil {
			t.Errorf("%s: taken for an answer: %q", name, got)
		}
	}
	// Two answers where one was asked for: the second would be taken for the verdict on what it never saw.
	early := &script{says: reply('N', packet('c', "")+packet('a', ""))}
	if got, err := asked(t, settings(early.start(t)), letter(t, plain)); err == nil {
		t.Errorf("an answer before it had the whole: %q", got)
	}
}

func TestAMilterThatNeverEndsIsGivenUp(t *testing.T) {
	hung := &script{says: map[byte]string{'E': ""}}
	alive := &script{ask: func(code byte, _ string) (string, bool) {
		return strings.Repeat(packet('p', ""), 2*maxCount), code == 'E'
	}}
	greedy := &script{ask: func(code byte, _ string) (string, bool) {
		return strings.Repeat(packet('b', strings.Repeat("x", maxPacket-1)), 3), code == 'E'
	}}
	for name, s := range map[string]*script{"it hangs": hung, "it lives for ever": alive, "it gives a body without end": greedy} {
		cfg := settings(s.start(t))
		if name == "it hangs" {
			cfg.Timeout = 50 * time.Millisecond
		}
		got, err := asked(t, cfg, letter(t, plain))
		if err == nil || (name == "it hangs") != strings.Contains(err.Error(), "timeout after 50ms") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestWhatWasAskedForBeforeAFailureCountsAllTheSame(t *testing.T) {
	s := &script{says: map[byte]string{'E': packet('q', "virus\x00") + packet('z', "")}}
	if got, err := asked(t, settings(s.start(t)), letter(t, plain)); err == nil || !slices.Equal(got, []string{"milter.quarantine.x; hold: virus"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEveryMilterIsAsked(t *testing.T) {
	cfg := settings((&script{says: map[byte]string{'E': packet('r', "")}}).start(t))
	cfg.Milters["a"] = (&script{says: map[byte]string{'E': packet('t', "")}}).start(t)
	cfg.Milters["gone"] = "unix:" + filepath.Join(t.TempDir(), "none")
	got, err := asked(t, cfg, letter(t, plain))
	if err == nil || !strings.Contains(err.Error(), "milter gone") || !slices.Equal(got, []string{"milter.tempfail.a; message: refused for now", "milter.reject.x; message: refused"}) {
		t.Errorf("%q, %v", got, err)
	}
	for i, c := range New(cfg).Conditions(t.Context()) {
		if (c.Err == nil) != (i != 1) || c.Down != (i == 1) || c.Name != "milter "+[]string{"a", "gone", "x"}[i] {
			t.Errorf("%+v", c)
		}
	}
}

func TestAMilterThatIsNotThereIsAnErrorAndSoonNobodyWaitsForIt(t *testing.T) {
	f := New(settings("unix:" + filepath.Join(t.TempDir(), "none")))
	engine.Rests(t, f, func() *mail.Mail { return letter(t, plain) })
}

func TestWhatTheProtocolCannotCarryIsUnscannable(t *testing.T) {
	s := &script{}
	cfg := settings(s.start(t))
	m := letter(t, plain)
	for name, c := range map[string]struct {
		m    *mail.Mail
		max  int64
		want int
	}{
		"as large as may be": {m, m.Source.Size(), 0}, "larger": {m, m.Source.Size() - 1, 1}, "a NUL in a field": {letter(t, "X: a\x00b\r\n"+plain), 1 << 20, 1},
		"a NUL in the body": {letter(t, plain+"\x00"), 1 << 20, 0}, "a field of 64 KiB": {letter(t, "X: "+strings.Repeat("x ", 33_000)+"\r\n"+plain), 1 << 20, 1},
	} {
		cfg.MaxBytes = conf.Size(c.max)
		got, err := asked(t, cfg, c.m)
		if err != nil || len(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestNoMoreMessagesThanConnectionsAreUnderWay(t *testing.T) {
	s := &script{}
	f := New(settings(s.start(t)))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := f.Check(context.Background(), letter(t, plain)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s.most > 4 { // one may still be saying goodbye while the next begins
		t.Errorf("%d at once", s.most)
	}
}

func TestTheSectionIsChecked(t *testing.T) {
	for text, ok := range map[string]bool{"milters: {clamav: \"/run/c\", dkim: \"127.0.0.1:8891\"}": true, "milters: {Clam: \"/run/c\"}": false, "milters: {a.b: \"/run/c\"}": false, "milters: {a: c}": false} {
		var c Config
		if p := conf.Decode("f", []byte(text), &c); (len(p) == 0) != ok {
			t.Errorf("%q: %v", text, p)
		}
	}
	if New(Config{}) != nil {
		t.Error("a filter without a milter")
	}
	if list := OwnCodes(settings("/x")); len(list) != len(kinds) || list[0].Name != "milter.reject.x" || list[0].Meaning != "The milter x would refuse it." {
		t.Errorf("%+v", list)
	}
}

// fixed is a connection that says what it says, whatever it is told.
type fixed struct{ io.Reader }

func (fixed) Write(p []byte) (int, error) { return len(p), nil }

func FuzzAnswers(f *testing.F) {
	f.Add(options(6, allActions, allSteps&^0x10, "\x00\x00\x00\x02i\x00"), packet('h', "X\x00y\x00")+packet('m', "\x00\x00\x00\x01S\x00z\x00")+packet('q', "virus\x00")+packet('a', ""))
	f.Add(options(6, 0, 0x2f|0x200, ""), packet('y', "550 5.7.1 no\x00"))
	m := letter(f, plain)
	f.Fuzz(func(t *testing.T, negotiation, answers string) {
		run := func() (*session, error) {
			s := newSession(fixed{io.MultiReader(strings.NewReader(negotiation), oneByOne{strings.NewReader(answers)})}, macrosOf("mx.example.com", m.Envelope), m.Source.Size())
			return s, s.converse(m)
		}
		if cost := harness.Allocated(func() { run() }); cost > uint64(400*(len(negotiation)+len(answers))+512<<10) {
			t.Errorf("%d octets cost %d", len(negotiation)+len(answers), cost)
		}
		s, err := run()
		if err == nil && !s.settled {
			t.Error("no answer, and no error")
		}
		for _, x := range s.findings("x") {
			for _, p := range x.Proof {
				if len(p.What) > 200 || strings.ContainsFunc(p.What, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("shown as %q", p.What)
				}
			}
		}
	})
}

// oneByOne gives one packet's worth at a time, so that answers come when they are asked for.
type oneByOne struct{ r io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }
