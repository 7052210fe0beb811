package faultproxy_test

import (
	"io"
	"net"
	"testing"
	"time"

	"gatepost/test/harness/faultproxy"
)

// through sends said through a proxy with plan to a server that answers with answer, and returns what each got.
func through(t *testing.T, plan faultproxy.Plan, said, answer string) (server, client string, err error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			got <- "nobody came"
			return
		}
		defer c.Close()
		io.WriteString(c, answer)
		c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}()
	p, err := faultproxy.Start(ln.Addr().String(), plan)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Address())
	if err != nil { // cut already
		return "", "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, said)
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	return <-got, string(b), err
}

func TestItPassesOnWhatItIsGiven(t *testing.T) {
	for _, f := range []faultproxy.Faults{{}, {Split: true}, {Delay: time.Millisecond}, {CutAt: []byte("never")}, {CutAt: []byte("llo?")}} {
		server, client, err := through(t, faultproxy.Always(f, f), "hello", "world")
		if server != "hello" || client != "world" || err != nil {
			t.Errorf("%+v: %q, %q, %v", f, server, client, err)
		}
	}
}

func TestItCuts(t *testing.T) {
	for _, c := range []struct {
		f    faultproxy.Faults
		want string
	}{
		{faultproxy.Faults{CutAfter: 3, Split: true}, "wor"},
		{faultproxy.Faults{CutAfter: -1}, ""},
		{faultproxy.Faults{CutAt: []byte("rl"), Split: true}, "wo"},
		{faultproxy.Faults{CutAt: []byte("o"), Nth: 1, Split: true}, "w"},
	} {
		_, client, err := through(t, faultproxy.Always(faultproxy.Faults{}, c.f), "", "world")
		if err == nil || len(client) > len(c.want) { // a RST may overtake what went before
			t.Errorf("%+v: %q, %v", c.f, client, err)
		}
	}
}
