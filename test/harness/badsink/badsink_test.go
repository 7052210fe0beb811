package badsink_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness/badsink"
)

func talk(t *testing.T, s *badsink.Sink, script string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte(strings.ReplaceAll(script, "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for r := bufio.NewScanner(c); r.Scan(); {
		b.WriteString(r.Text() + "\n")
	}
	return b.String()
}

const dialogue = "EHLO me\nMAIL FROM:<a@a.test> SIZE=3\nRCPT TO:<b@b.test>\nRCPT TO:<c@b.test>\nDATA\nx\n..y\n.\nQUIT\n"

func TestItKeepsWhatItIsGivenWithDotsUnstuffed(t *testing.T) {
	s, err := badsink.Start(badsink.Script{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	talk(t, s, dialogue)
	if !s.Wait(1, 5*time.Second) {
		t.Fatal("nothing came")
	}
	m := s.Messages()[0]
	if string(m.Data) != "x\r\n.y\r\n" || m.From != "a@a.test" || m.Params != "SIZE=3" || len(m.Rcpts) != 2 || m.Stray {
		t.Errorf("kept %+v", m)
	}
}

func TestAScriptRefusesOneRecipientAndTheSinkKeepsTheOther(t *testing.T) {
	s, err := badsink.Start(badsink.Script{LMTP: true, On: func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Dot && e.Rcpt == "c@b.test" {
			return &badsink.Action{Reply: "452 4.2.2 full"}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := talk(t, s, dialogue)
	if !strings.Contains(got, "452 4.2.2 full") || s.Count() != 1 || s.Messages()[0].Rcpts[0] != "b@b.test" {
		t.Errorf("%q, %+v", got, s.Messages())
	}
}

func TestABareLineFeedIsNoEndAndIsNoted(t *testing.T) {
	s, err := badsink.Start(badsink.Script{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nx\n.\r\ny\r\n.\r\n"))
	if !s.Wait(1, 5*time.Second) {
		t.Fatal("nothing came")
	}
	if m := s.Messages()[0]; string(m.Data) != "x\n.\r\ny\r\n" || !m.Stray {
		t.Errorf("kept %q, stray %v", m.Data, m.Stray)
	}
}
