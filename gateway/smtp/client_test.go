package smtp_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
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

func connect(t testing.TB, opts smtp.ClientOptions) *smtp.Client {
	t.Helper()
	opts.Hello = "gate.test"
	c, err := smtp.Dial(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Quit)
	return c
}

func address(t testing.TB, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func transaction(t testing.TB, content string, rcpts ...string) *smtp.Transaction {
	tx := &smtp.Transaction{From: address(t, "a@a.test"), Content: again(content), Size: int64(len(content))}
	for _, r := range rcpts {
		tx.Rcpts = append(tx.Rcpts, address(t, r))
	}
	return tx
}

// again is content that can be written more than once.
type again string

func (a again) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(a))
	return int64(n), err
}

// bad answers one connection with fixed bytes, whatever is said, and holds it open.
func bad(t testing.TB, script ...string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				r := bufio.NewReader(c)
				for i, s := range script {
					if i > 0 {
						if _, err := r.ReadString('\n'); err != nil {
							return
						}
					}
					io.WriteString(c, s)
				}
				io.Copy(io.Discard, r)
			}()
		}
	}()
	return ln.Addr().String()
}

func TestContentArrivesByteForByte(t *testing.T) { // A-10, P-06
	s := start(t, badsink.Script{})
	c := connect(t, smtp.ClientOptions{Address: s.Address()})
	for _, content := range []string{
		"", "\r\n", ".\r\n", "..\r\n", ".x\r\n..x\r\n...\r\n", "a: b\r\n\r\n.\r\n.\r\n\r\n.",
		"x\r\n.", "\r\n.\r\n", strings.Repeat(".\r\n", 30000), strings.Repeat("x", 100000) + "\r\n",
		"\xff\x80\x01\r\n",
	} {
		r, err := c.Send(t.Context(), transaction(t, content, "b@b.test"))
		if err != nil || r.Rcpts[0].Code != 250 {
			t.Fatalf("%.20q: %v %v", content, r.Rcpts, err)
		}
		want := content
		if content != "" && !strings.HasSuffix(content, "\r\n") {
			want += "\r\n"
		}
		got := s.Messages()
		if m := got[len(got)-1]; string(m.Data) != want || m.Stray {
			t.Errorf("sent %.40q, got %.40q", content, m.Data)
		}
	}
	if s.Sessions() != 1 {
		t.Errorf("%d sessions for one connection", s.Sessions())
	}
}

func TestStrayLineEndsBreakTheTransactionOff(t *testing.T) { // A-22, P-07
	for _, content := range []string{"a\n.\n", "a\r", "a\rb\r\n", "a\nb\r\n", "\n", "a\r\n\x00\r\n", "\r\r\n", "x\r\n.\n", strings.Repeat("y\r\n", 50000) + "z\n"} {
		for size := range 4 {
			s := start(t, badsink.Script{})
			c := connect(t, smtp.ClientOptions{Address: s.Address()})
			tx := transaction(t, "", "b@b.test")
			tx.Content = chopped{content, size}
			r, err := c.Send(t.Context(), tx)
			if !errors.Is(err, smtp.ErrContent) || r.Dotted || !c.Broken() {
				t.Errorf("%.20q: %v, dotted %v", content, err, r.Dotted)
			}
			s.Close()
			if s.Count() != 0 {
				t.Errorf("%.20q: the next hop took a message", content)
			}
		}
	}
}

// chopped is content written a few bytes at a time; size 0: at once.
type chopped struct {
	content string
	size    int
}

func (p chopped) WriteTo(w io.Writer) (n int64, err error) {
	if p.size == 0 {
		p.size = len(p.content)
	}
	for rest := []byte(p.content); len(rest) > 0 && err == nil; {
		k := min(p.size, len(rest))
		_, err = w.Write(rest[:k])
		rest = rest[k:]
	}
	return 0, err
}

func TestContentThatFailsNeverLooksWhole(t *testing.T) {
	s := start(t, badsink.Script{})
	c := connect(t, smtp.ClientOptions{Address: s.Address()})
	tx := transaction(t, "", "b@b.test")
	tx.Content = failingContent{}
	_, err := c.Send(t.Context(), tx)
	if !errors.Is(err, os.ErrInvalid) || !c.Broken() {
		t.Error(err)
	}
	c.Quit()
	s.Close()
	if s.Count() != 0 {
		t.Error("the next hop took half a message")
	}
}

type failingContent struct{}

func (failingContent) WriteTo(w io.Writer) (int64, error) {
	w.Write(bytes.Repeat([]byte("x\r\n"), 100000))
	return 0, os.ErrInvalid
}

func TestEachRecipientHasItsOwnReply(t *testing.T) { // R-06, P-04
	for _, pipelining := range []bool{true, false} {
		s := start(t, badsink.Script{Extensions: extensions(pipelining), On: func(e badsink.Event) *badsink.Action {
			switch {
			case e.Step != badsink.Rcpt:
			case e.Rcpt == "gone@b.test":
				return &badsink.Action{Reply: "550 5.1.1 no such user"}
			case e.Rcpt == "full@b.test":
				return &badsink.Action{Reply: "452 4.2.2 full"}
			}
			return nil
		}})
		c := connect(t, smtp.ClientOptions{Address: s.Address()})
		tx := transaction(t, "x\r\n", "one@b.test", "gone@b.test", "full@b.test", "two@b.test")
		r, err := c.Send(t.Context(), tx)
		if err != nil {
			t.Fatal(err)
		}
		if got := codes(r); got != "250 550 452 250" {
			t.Error(got)
		}
		if m := s.Messages(); len(m) != 1 || strings.Join(m[0].Rcpts, " ") != "one@b.test two@b.test" {
			t.Errorf("%+v", m)
		}
		tx.Whole = true
		if r, err = c.Send(t.Context(), tx); err != nil || codes(r) != "- 550 452 -" || s.Count() != 1 {
			t.Errorf("whole: %s, %v, %d messages", codes(r), err, s.Count())
		}
		if c.Broken() {
			t.Error("the connection was not kept")
		}
	}
}

func extensions(pipelining bool) []string {
	if pipelining {
		return nil
	}
	return []string{"SIZE 1000000"}
}

func codes(r *smtp.Receipt) string {
	var out []string
	for _, r := range r.Rcpts {
		if r == nil {
			out = append(out, "-")
		} else {
			out = append(out, fmt.Sprint(r.Code))
		}
	}
	return strings.Join(out, " ")
}

func TestNoRecipientNoContent(t *testing.T) { // also from a next hop that asks for content although it refused all
	for _, data := range []string{"", "354 give me something"} {
		replies := map[string]string{badsink.Rcpt: "550 5.1.1 no such user"}
		if data != "" {
			replies[badsink.Data] = data
		}
		s := start(t, badsink.Script{Replies: replies})
		c := connect(t, smtp.ClientOptions{Address: s.Address()})
		r, err := c.Send(t.Context(), transaction(t, "x\r\n", "one@b.test"))
		if err != nil || codes(r) != "550" || r.Begun || c.Broken() != (data != "") {
			t.Errorf("%s %v begun %v, broken %v", codes(r), err, r.Begun, c.Broken())
		}
		s.Close()
		if s.Count() != 0 {
			t.Error("an empty message was delivered")
		}
	}
}

func TestWhatRefusesAtEachStep(t *testing.T) {
	for _, c := range []struct{ step, reply, want string }{
		{badsink.Mail, "451 4.3.0 later", "451 4.3.0 later"},
		{badsink.Mail, "550 5.7.1 not you", "550 5.7.1 not you"},
		{badsink.Rcpt, "452 4.2.2 full", "452 4.2.2 full"},
		{badsink.Data, "451 4.3.0 later", "451 4.3.0 later"},
		{badsink.Dot, "554 5.6.0 content", "554 5.6.0 content"},
		{badsink.Dot, "552 too big", "552 5.0.0 too big"},
		{badsink.Dot, "550 4.1.1 odd class", "550 5.0.0 odd class"},
		{badsink.Rcpt, "354 what", "451 4.5.0 Next hop replied 354 out of place"},
		{badsink.Dot, "354 what", "451 4.5.0 Next hop replied 354 out of place"},
		{badsink.Data, "250 ok", "451 4.5.0 Next hop replied 250 out of place"},
		{badsink.Dot, "550-5.7.1 two\r\n550 5.7.1 lines", "550 5.7.1 two lines"},
		{badsink.Dot, "550 5.7.1 <b>\x1b[31m\xff\t</b>", "550 5.7.1 <b>?[31m? </b>"},
	} {
		for _, pipelining := range []bool{true, false} {
			s := start(t, badsink.Script{Replies: map[string]string{c.step: c.reply}, Extensions: extensions(pipelining)})
			k := connect(t, smtp.ClientOptions{Address: s.Address()})
			r, err := k.Send(t.Context(), transaction(t, "x\r\n", "b@b.test"))
			if err != nil || r.Rcpts[0].Error() != c.want || s.Count() != 0 {
				t.Errorf("%s %q: %v, %v, want %s", c.step, c.reply, r.Rcpts[0], err, c.want)
			}
			if err := k.Reset(t.Context()); err != nil {
				t.Errorf("%s %q: out of step afterwards: %v", c.step, c.reply, err)
			}
		}
	}
}

func TestMalformedRepliesEndTheConversation(t *testing.T) {
	long := strings.Repeat("x", 2048)
	for name, reply := range map[string]string{
		"128 lines are one too few": strings.Repeat("250-x\r\n", 128) + "250 x\r\n",
		"code changes":              "250-x\r\n550 y\r\n",
		"line too long":             "250 " + long + "\r\n",
		"one megabyte":              "250 " + strings.Repeat(long, 512) + "\r\n",
		"no code":                   "hello\r\n",
		"short":                     "25\r\n",
		"code out of range":         "650 x\r\n",
		"NUL":                       "250 \x00\r\n",
		"bare LF":                   "250 x\n250 y\r\n",
		"bare CR":                   "250 x\ry\r\n",
		"two replies":               "250 x\r\n250 y\r\n",
		"letter after the code":     "250x\r\n",
	} {
		s := start(t, badsink.Script{Replies: map[string]string{badsink.Mail: reply}, Extensions: []string{}})
		c := connect(t, smtp.ClientOptions{Address: s.Address()})
		r, err := c.Send(t.Context(), transaction(t, "x\r\n", "b@b.test"))
		if !errors.Is(err, smtp.ErrBadReply) && !errors.Is(err, smtp.ErrOutOfStep) || !c.Broken() || r.Begun {
			t.Errorf("%s: %v", name, err)
		}
		if s.Count() != 0 {
			t.Errorf("%s: content went out", name)
		}
	}
	s := start(t, badsink.Script{Replies: map[string]string{badsink.Mail: strings.Repeat("250-x\r\n", 127) + "250 x\r\n"}})
	if _, err := connect(t, smtp.ClientOptions{Address: s.Address()}).Send(t.Context(), transaction(t, "x\r\n", "b@b.test")); err != nil {
		t.Errorf("128 lines: %v", err)
	}
}

func TestASurplusReplyIsNotTakenForTheNextOne(t *testing.T) { // reply injection into a pipelined group
	s := start(t, badsink.Script{Replies: map[string]string{badsink.Rcpt: "250 x\r\n354 y"}})
	c := connect(t, smtp.ClientOptions{Address: s.Address()})
	r, err := c.Send(t.Context(), transaction(t, "x\r\n", "b@b.test"))
	if !errors.Is(err, smtp.ErrOutOfStep) || r.Begun {
		t.Errorf("%v, begun %v", err, r.Begun)
	}
}

func TestAnIdleConnectionWithNewsIsNotReady(t *testing.T) {
	s := start(t, badsink.Script{})
	c := connect(t, smtp.ClientOptions{Address: s.Address()})
	if !c.Ready() {
		t.Fatal("not ready at first")
	}
	s.Close()
	for i := 0; c.Ready(); i++ {
		if i > 1000 {
			t.Fatal("ready although closed")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestEarlyRefusalsNameTheirStep(t *testing.T) {
	for step, replies := range map[string]map[string]string{
		"greeting": {badsink.Connect: "554 5.3.2 go away"},
		"EHLO":     {badsink.Ehlo: "550 5.7.1 not you"},
	} {
		s := start(t, badsink.Script{Replies: replies})
		_, err := smtp.Dial(t.Context(), smtp.ClientOptions{Address: s.Address(), Hello: "gate.test"})
		var e *smtp.StepError
		var r *smtp.Reply
		if !errors.As(err, &e) || e.Step != step || !errors.As(err, &r) || r.Code/100 != 5 {
			t.Errorf("%s: %v", step, err)
		}
	}
}

func TestHELOWhereEHLOIsNotKnown(t *testing.T) {
	s := start(t, badsink.Script{Extensions: []string{}, On: func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Ehlo && strings.HasPrefix(e.Line, "EHLO") {
			return &badsink.Action{Reply: "500 5.5.1 what"}
		}
		return nil
	}})
	c := connect(t, smtp.ClientOptions{Address: s.Address()})
	if r, err := c.Send(t.Context(), transaction(t, "x\r\n", "b@b.test")); err != nil || codes(r) != "250" {
		t.Error(codes(r), err)
	}
}

func TestKeywordsAreCaseInsensitive(t *testing.T) {
	c := connect(t, smtp.ClientOptions{Address: bad(t, "220 x\r\n", "250-host.test hi\r\n250-size 1000\r\n250-8BitMime\r\n250-smtputf8\r\n250-pipeLINING\r\n250-xForward name ADDR\r\n250 starttls\r\n")})
	e := c.Extensions()
	if e.Name != "host.test" || e.Size != 1000 || !e.EightBit || !e.SMTPUTF8 || !e.Pipelining || !e.StartTLS || len(e.XForward) != 2 || e.XForward[0] != "NAME" {
		t.Errorf("%+v", e)
	}
}

func TestOnlyWhatIsOfferedIsSaid(t *testing.T) {
	tx := transaction(t, "x\r\n", "b@b.test")
	tx.EightBit = true
	for _, c := range []struct {
		offer []string
		want  string
	}{{[]string{"8BITMIME", "SIZE"}, "SIZE=3 BODY=8BITMIME"}, {[]string{}, ""}, {[]string{"SIZE 3"}, "SIZE=3"}} {
		s := start(t, badsink.Script{Extensions: c.offer})
		if _, err := connect(t, smtp.ClientOptions{Address: s.Address()}).Send(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		if got := s.Messages()[0].Params; got != c.want {
			t.Errorf("offered %v: said %q", c.offer, got)
		}
	}
	s := start(t, badsink.Script{Extensions: []string{"SIZE 2"}})
	c := connect(t, smtp.ClientOptions{Address: s.Address()})
	if r, err := c.Send(t.Context(), tx); err != nil || r.Rcpts[0].Code != 552 {
		t.Error(r, err)
	}
	tx.Size, tx.SMTPUTF8 = 0, true
	if r, err := c.Send(t.Context(), tx); err != nil || r.Rcpts[0].Code != 553 {
		t.Error(r, err)
	}
	if s.Count() != 0 {
		t.Error("it was sent")
	}
}

func TestLMTPRepliesForEachRecipient(t *testing.T) {
	s := start(t, badsink.Script{LMTP: true, On: func(e badsink.Event) *badsink.Action {
		switch {
		case e.Step == badsink.Rcpt && e.Rcpt == "gone@b.test":
			return &badsink.Action{Reply: "550 5.1.1 no"}
		case e.Step == badsink.Dot && e.Rcpt == "full@b.test":
			return &badsink.Action{Reply: "452 4.2.2 full"}
		}
		return nil
	}})
	c := connect(t, smtp.ClientOptions{Address: s.Address(), LMTP: true})
	r, err := c.Send(t.Context(), transaction(t, "x\r\n", "one@b.test", "gone@b.test", "full@b.test", "two@b.test"))
	if err != nil || codes(r) != "250 550 452 250" || s.Count() != 2 {
		t.Error(codes(r), err, s.Count())
	}
}

func TestXFORWARDTellsTheClientInSafeWords(t *testing.T) {
	s := start(t, badsink.Script{Extensions: []string{"PIPELINING", "XFORWARD NAME ADDR PROTO HELO"}})
	c := connect(t, smtp.ClientOptions{Address: s.Address(), Announce: smtp.XForward})
	tx := transaction(t, "x\r\n", "b@b.test")
	tx.Origin = &smtp.Origin{Helo: "x y=\r\nMAIL", ESMTP: true}
	if _, err := c.Send(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if got := s.Lines()[1]; got != "1 XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PROTO=ESMTP HELO=x+20y+3D+0D+0AMAIL" {
		t.Error(got)
	}
}

func TestXCLIENTIsFollowedByANewEHLO(t *testing.T) {
	s := start(t, badsink.Script{Extensions: []string{"PIPELINING", "XCLIENT NAME ADDR"}})
	c := connect(t, smtp.ClientOptions{Address: s.Address(), Announce: smtp.XClient})
	tx := transaction(t, "x\r\n", "b@b.test")
	tx.Origin = &smtp.Origin{Name: "client.test"}
	for range 2 {
		if _, err := c.Send(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	var verbs []string
	for _, l := range s.Lines() {
		verbs = append(verbs, strings.Fields(l)[1])
	}
	if got := strings.Join(verbs, " "); got != "EHLO XCLIENT EHLO MAIL RCPT DATA MAIL RCPT DATA" {
		t.Error(got)
	}
}

func TestAContextEndsEveryWait(t *testing.T) {
	for _, step := range []string{badsink.Mail, badsink.Rcpt, badsink.Data, badsink.Body, badsink.Dot} {
		ctx, cancel := context.WithCancel(t.Context())
		s := start(t, badsink.Script{Extensions: []string{}, On: func(e badsink.Event) *badsink.Action {
			if e.Step != step {
				return nil
			}
			cancel()
			return &badsink.Action{Hang: true}
		}})
		c := connect(t, smtp.ClientOptions{Address: s.Address()})
		r, err := c.Send(ctx, transaction(t, strings.Repeat("x\r\n", 1<<20), "b@b.test"))
		if !errors.Is(err, context.Canceled) || !c.Broken() || r.Rcpts[0] != nil {
			t.Errorf("%s: %v", step, err)
		}
		if step != badsink.Body && r.Dotted != (step == badsink.Dot) { // at Body the hop may have read on
			t.Errorf("%s: dotted %v", step, r.Dotted)
		}
	}
}

func TestDeadlinesEndEveryWait(t *testing.T) {
	short := 50 * time.Millisecond
	for step, d := range map[string]smtp.Deadlines{
		badsink.Connect: {Greeting: short}, badsink.Ehlo: {Hello: short}, badsink.Mail: {Envelope: short},
		badsink.Rcpt: {Envelope: short}, badsink.Data: {Data: short}, badsink.Dot: {Dot: short}, badsink.Body: {Block: short},
	} {
		s := start(t, badsink.Script{Extensions: []string{}, On: func(e badsink.Event) *badsink.Action {
			if e.Step != step {
				return nil
			}
			if step == badsink.Body { // the peer stops reading
				return &badsink.Action{Delay: time.Hour}
			}
			return &badsink.Action{Hang: true}
		}})
		c, err := smtp.Dial(t.Context(), smtp.ClientOptions{Address: s.Address(), Hello: "gate.test", Deadlines: d})
		if err == nil {
			_, err = c.Send(t.Context(), transaction(t, strings.Repeat("x\r\n", 8<<20), "b@b.test"))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", step, err)
		}
	}
}

func TestAddressesCannotCarryCommands(t *testing.T) { // K-05, C-21
	s := start(t, badsink.Script{})
	c := connect(t, smtp.ClientOptions{Address: s.Address()})
	for _, rcpt := range []string{"victim@internal>@b.test", "a\r\nRCPT TO:<x@b.test", "a b@b.test", "a\x00@b.test", "\"a@b.test"} {
		a, err := mail.ParseAddress(rcpt)
		if err != nil {
			continue
		}
		tx := transaction(t, "x\r\n")
		tx.Rcpts = []mail.Address{a}
		if _, err := c.Send(t.Context(), tx); err == nil {
			t.Errorf("%q was sent", rcpt)
		}
		if c.Broken() {
			t.Error("the connection was lost for it")
		}
	}
	if s.Count() != 0 {
		t.Error("something was delivered")
	}
}

func TestProbeLeavesNoTransaction(t *testing.T) {
	s := start(t, badsink.Script{Replies: map[string]string{badsink.Rcpt: "550 5.1.1 no such user"}})
	c := connect(t, smtp.ClientOptions{Address: s.Address()})
	for range 2 {
		r, err := c.Probe(t.Context(), mail.Address{}, address(t, "b@b.test"))
		if err != nil || r.Code != 550 || !c.Ready() {
			t.Fatal(r, err)
		}
	}
	if got := strings.Join(s.Lines(), "|"); !strings.HasSuffix(got, "MAIL FROM:<>|1 RCPT TO:<b@b.test>|1 RSET") {
		t.Error(got)
	}
}
