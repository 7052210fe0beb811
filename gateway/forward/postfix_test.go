package forward_test

import (
	"bytes"
	"strings"
	"testing"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/test/harness/postfix"
)

func TestRealPostfixAsNextHop(t *testing.T) { // P-06, R-06
	p := postfix.Start(t, postfix.Config{})
	f := forwarder(t, forward.Config{}, p.Address)
	if got, r := f.Verify(t.Context(), address(t, "b@b.test")); got != forward.Known {
		t.Errorf("b@b.test: %v %v", got, r)
	}
	if got, r := f.Verify(t.Context(), address(t, "gone@b.test")); got != forward.Unknown {
		t.Errorf("gone@b.test: %v %v", got, r)
	}
	body := ".\r\n..\r\n" + strings.Repeat("dots . and 8-bit \xc3\xa9\r\n", 20000)
	content := "X-Old: drop\r\nFrom: a@a.test\r\nSubject: x\r\n\r\n" + body
	d := delivery(t, content, "b@b.test", "gone@b.test")
	d.Envelope.Body8Bit = true
	d.Edits = forward.Edits{Add: "X-New: yes\r\n", Drop: []mail.Span{{Start: 0, End: int64(len("X-Old: drop\r\n"))}}}
	for range 3 {
		out := f.Send(t.Context(), d)
		if replies(out) != "250 2.0.0, 550 5.1.1" {
			t.Fatalf("%v %v\n%s", out[0].Reply, out[1].Reply, p.Log())
		}
	}
	for _, m := range p.Mail(t, "b", 3) {
		head, got, _ := bytes.Cut(m, []byte("\n\n"))
		if string(got) != strings.ReplaceAll(body, "\r\n", "\n") {
			t.Error("the body arrived changed")
		}
		if !bytes.Contains(head, []byte("X-New: yes\nFrom: a@a.test")) || bytes.Contains(head, []byte("X-Old")) {
			t.Errorf("%s", head)
		}
	}
	if n := strings.Count(p.Log(), " connect from "); n > 2 { // the harness and we
		t.Errorf("%d connections", n)
	}
}
