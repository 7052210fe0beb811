package spamd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
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

// A fake is a spamd whose answers a test writes.
type fake struct {
	answer func(conn net.Conn) // in place of reading the message
	says   string

	mu   sync.Mutex
	head []string
	body []string
	now  int
	most int
}

func (d *fake) start(t *testing.T) string {
	t.Helper()
	return daemon.Serve(t, func(conn net.Conn) {
		if d.answer != nil {
			d.answer(conn)
			return
		}
		d.serve(conn)
	})
}

func (d *fake) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	head, size := "", 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if line == "\r\n" {
			break
		}
		head += line
		if v, ok := strings.CutPrefix(line, "Content-length: "); ok {
			size, _ = strconv.Atoi(strings.TrimSpace(v))
		}
	}
	d.mu.Lock()
	d.now++
	d.most = max(d.most, d.now)
	d.mu.Unlock()
	body := make([]byte, size)
	io.ReadFull(r, body)
	d.mu.Lock()
	d.head, d.body = append(d.head, head), append(d.body, string(body))
	d.now--
	d.mu.Unlock()
	io.WriteString(conn, d.says)
}

// verdict is a proper answer.
func verdict(opinion, tests string) string {
	return fmt.Sprintf("SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %s\r\n\r\n%s", len(tests), opinion, tests)
}

func settings(addresses ...string) Config {
	return Config{Address: addresses, Timeout: 5 * time.Second, Connections: 2, MaxBytes: 1 << 20, Hostname: "mx.example.com"}
}

const plain = "From: Ann <ann@friend.example>\r\nTo: <bob@example.com>\r\nSubject: Lunch\r\n\r\nAt one?\r\n"

func letter(t testing.TB, text string, rcpts ...string) *mail.Mail {
	t.Helper()
	e := &mail.Envelope{ID: "ID1", Time: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC), Remote: netip.MustParseAddr("192.0.2.7"), RemoteName: "out.friend.example", Helo: "friend.example (root@[10.0.0.1])", ESMTP: true}
	e.TLS.Version = "TLS 1.3"
	for _, r := range rcpts {
		a, err := mail.ParseAddress(r)
		if err != nil {
			t.Fatal(err)
		}
		e.Rcpts = append(e.Rcpts, a)
	}
	return &mail.Mail{Envelope: e, Message: mail.Parse(mail.Memory(text))}
}

func asked(t *testing.T, cfg Config, m *mail.Mail) (list []string, err error) {
	t.Helper()
	facts, err := New(cfg).Check(context.Background(), m)
	return engine.Told(facts), err
}

func TestTheMessageGoesToSpamdBehindItsTrace(t *testing.T) {
	d := &fake{says: verdict("False ; 0.0 / 5.0", "")}
	cfg := settings(d.start(t))
	cfg.User = "mail"
	const trace = "Return-Path: <>\r\nReceived: from friend.example__root_[10.0.0.1]_ (out.friend.example [192.0.2.7])\r\n\tby mx.example.com (Gatepost) with ESMTPS id ID1"
	const date = "; Mon, 30 Nov 2026 09:00:00 +0000\r\n"
	for i, c := range []struct {
		m    *mail.Mail
		want string
	}{
		{letter(t, plain, "bob@example.com"), trace + "\r\n\tfor <bob@example.com>" + date + plain},
		{letter(t, plain, "bob@example.com", "eve@example.com"), trace + date + plain}, // Bcc stays secret
		{&mail.Mail{Message: mail.Parse(mail.Memory(plain))}, plain},
	} {
		if _, err := asked(t, cfg, c.m); err != nil {
			t.Fatal(err)
		}
		if d.body[i] != c.want || d.head[i] != fmt.Sprintf("SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\nUser: mail\r\n", len(c.want)) {
			t.Errorf("%q\n%q", d.head[i], d.body[i])
		}
	}
}

func TestWhatSpamAssassinThinksIsAFact(t *testing.T) {
	for _, c := range []struct{ opinion, tests, want string }{
		{"False ; 0.1 / 5.0", "", "spamd.ham; score 0.1 of 5.0"},
		{"False ; -2.3 / 5.0", "BAYES_00", "spamd.ham; score -2.3 of 5.0; BAYES_00"},
		{"True ; 5.0 / 5.0", "A,B", "spamd.spam; score 5.0 of 5.0; A, B"},
		{"True ; 9.9 / 5.0", "A", "spamd.spam; score 9.9 of 5.0; A"},
		{"True ; 10.0 / 5.0", "A", "spamd.spam-high; score 10.0 of 5.0; A"},
		{"True ; 0.0 / -1.0", "", "spamd.spam; score 0.0 of -1.0"},
		{"Yes ; 7 / 5", "<b>\x1b[31m\u202e" + strings.Repeat("x", 200) + ",Y", "spamd.spam; score 7.0 of 5.0; <b>?[31m?" + strings.Repeat("x", 71) + ", Y"},
		{"True ; 7 / 5", strings.Repeat("0123456789,", 100), "spamd.spam; score 7.0 of 5.0; " + strings.TrimSuffix(strings.Repeat("0123456789, ", 15), ", ") + " and 85 more"},
	} {
		d := &fake{says: verdict(c.opinion, c.tests)}
		if got, err := asked(t, settings(d.start(t)), letter(t, plain)); err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q, %v", c.opinion, got, err)
		}
	}
}

// An answer that is not a proper answer is no opinion.
func TestASpamdThatFailsOrLiesIsNeverClean(t *testing.T) {
	good := verdict("False ; 0.0 / 5.0", "A,B")
	for name, text := range map[string]string{
		"nothing": "", "cut off": good[:10], "no end of the head": good[:40], "list cut off": good[:len(good)-1], "list too long": good + "X", "two": good + good, "HTTP": "HTTP/1.1 200 OK\r\n\r\n",
		"error": "SPAMD/1.0 76 Bad header line: x\r\n", "time is over": "SPAMD/1.1 79 EX_TIMEOUT\r\n\r\n", "no opinion": "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n", "no length": "SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0 / 5\r\n\r\n",
		"half an opinion": verdict("False", ""), "no numbers": verdict("False ; x / y", ""), "endless": verdict("False ; -inf / 5", ""), "not a number": verdict("False ; nan / 5", ""), "other word": verdict("Perhaps ; 0 / 5", ""),
		"it contradicts itself": verdict("False ; 9 / 5", ""), "and the other way": verdict("True ; 1 / 5", ""), "two opinions": "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 9 / 5\r\nSpam: False ; 0 / 5\r\n\r\n",
		"negative length": strings.Replace(good, ": 3", ": -3", 1), "huge length": strings.Replace(good, ": 3", ": 99999999999", 1), "long line": "SPAMD/1.1 0 " + strings.Repeat("x", 2*maxLine) + "\r\n\r\n",
		"many fields": "SPAMD/1.1 0 EX_OK\r\n" + strings.Repeat("X: y\r\n", 9000) + "\r\n", "no field": "SPAMD/1.1 0 EX_OK\r\nhello\r\n\r\n", "long list": verdict("False ; 0 / 5", strings.Repeat("x", maxBody+1)), "ping": "SPAMD/1.5 0 PONG\r\n",
	} {
		d := &fake{says: text}
		if got, err := asked(t, settings(d.start(t)), letter(t, plain)); err == nil {
			t.Errorf("%s: taken for an answer: %q", name, got)
		}
	}
	early := &fake{answer: func(conn net.Conn) {
		bufio.NewReader(conn).ReadString('\n')
		io.WriteString(conn, good) // and never reads the rest
	}}
	if got, err := asked(t, settings(early.start(t)), letter(t, plain+strings.Repeat("x", 1<<20-200))); err == nil {
		t.Errorf("an answer to what it never got: %q", got)
	}
}

func TestASpamdThatHangsIsGivenUpAfterItsTime(t *testing.T) {
	d := &fake{answer: func(conn net.Conn) { io.Copy(io.Discard, conn) }}
	cfg := settings(d.start(t))
	cfg.Timeout = 50 * time.Millisecond
	if _, err := asked(t, cfg, letter(t, plain)); err == nil || !strings.Contains(err.Error(), "timeout after 50ms") {
		t.Errorf("%v", err)
	}
	if c := New(cfg).Conditions(t.Context())[0]; c.Err == nil || !c.Down || c.Hint == "" {
		t.Errorf("%+v", c)
	}
}

func TestASpamdThatIsNotThereIsAnErrorAndTheSecondAnswers(t *testing.T) {
	none := "unix:" + filepath.Join(t.TempDir(), "none")
	f := New(settings(none))
	engine.Rests(t, f, func() *mail.Mail { return letter(t, plain) })
	d := &fake{says: verdict("True ; 9 / 5", "")}
	if got, err := asked(t, settings(none, d.start(t)), letter(t, plain)); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsTooLargeWasNotSeen(t *testing.T) {
	d := &fake{says: verdict("False ; 0 / 5", "")}
	m := letter(t, plain)
	for beyond, want := range map[int64]string{0: "spamd.ham", 1: "spamd.unscannable.limit"} {
		cfg := settings(d.start(t))
		cfg.MaxBytes = conf.Size(m.Source.Size() - beyond)
		if got, err := asked(t, cfg, m); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%d beyond: %q, %v", beyond, got, err)
		}
	}
}

func TestNoMoreMessagesThanConnectionsAreUnderWay(t *testing.T) {
	d := &fake{says: verdict("False ; 0 / 5", "")}
	f := New(settings(d.start(t)))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := f.Check(context.Background(), letter(t, plain)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if d.most > 2 {
		t.Errorf("%d at once", d.most)
	}
}

func TestTheSectionIsChecked(t *testing.T) {
	for text, ok := range map[string]bool{"address: 127.0.0.1:783\nuser: mail": true, "address: /run/spamd": true, "address: spamd": false, "user: \"a b\"": false, "user: \"a\\r\\nX: y\"": false} {
		var c Config
		if p := conf.Decode("f", []byte(text), &c); (len(p) == 0) != ok {
			t.Errorf("%q: %v", text, p)
		}
	}
	if New(Config{}) != nil {
		t.Error("a filter without a daemon")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(verdict("True ; 7.3 / 5.0", "A,B"))
	f.Add("SPAMD/1.0 76 Bad header line: x\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		var a answer
		var err error
		r := bufio.NewReaderSize(nil, maxLine)
		cost := harness.Allocated(func() {
			r.Reset(strings.NewReader(text))
			a, err = readAnswer(r)
		})
		if cost > 1<<20 {
			t.Errorf("%d octets cost %d", len(text), cost)
		}
		if err != nil {
			return
		}
		if !a.spam && !strings.Contains(strings.ToLower(text), "false") && !strings.Contains(strings.ToLower(text), "no") {
			t.Errorf("%q is clean", text)
		}
		for _, p := range judge("spamd x", a).Findings[0].Proof {
			if len(p.What) > 200 {
				t.Errorf("%d octets of evidence", len(p.What))
			}
		}
		if len(a.tests) > maxTests {
			t.Errorf("%d tests", len(a.tests))
		}
	})
}
