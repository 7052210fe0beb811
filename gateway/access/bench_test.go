package access

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// BenchmarkOneMessage is all that the gate does for one session with one message of a known sender.
func BenchmarkOneMessage(b *testing.B) {
	local, _, err := state.OpenLocal(filepath.Join(b.TempDir(), "memory.jsonl"), 1<<20, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	c := Config{Limits: DefaultLimits(), Connections: 10000, Greet: time.Second, Greylist: DefaultGreylist()}
	c.Limits.Connects, c.Limits.Messages, c.Limits.Recipients, c.Limits.Bytes, c.Limits.Handshakes = 1<<40, 1<<40, 1<<40, 1<<60, 1<<40
	g := New(c, local, func() []policy.Limit { return nil })
	ctx := context.Background()
	rcpt, err := mail.ParseAddress("b@example.com")
	if err != nil {
		b.Fatal(err)
	}
	envs := make([]*mail.Envelope, 256)
	for i := range envs {
		envs[i] = from(fmt.Sprintf("192.0.%d.1", i))
	}
	auth := vouched("friend.example")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		env := envs[i%len(envs)]
		leave, r := g.Connect(ctx, env.Remote)
		if r != nil {
			b.Fatal(r)
		}
		g.Greet(ctx, env.Remote)
		g.TLS(ctx, env.Remote)
		g.Mail(ctx, env)
		g.Rcpt(ctx, env, rcpt)
		g.Content(ctx, env, 13<<10)
		g.Accepted(ctx, env, auth, true)
		leave()
	}
}

// BenchmarkDoubted is the question about a doubtful message of a sender that waits.
func BenchmarkDoubted(b *testing.B) {
	g := New(Config{Limits: DefaultLimits(), Greylist: DefaultGreylist()}, state.NewLocal(1<<16, time.Now), func() []policy.Limit { return nil })
	rcpt, err := mail.ParseAddress("b@example.com")
	if err != nil {
		b.Fatal(err)
	}
	env := &mail.Envelope{Remote: netip.MustParseAddr("192.0.2.1"), RemoteName: "mail.sender.example"}
	b.ReportAllocs()
	for b.Loop() {
		g.Doubted(context.Background(), env, nil, []mail.Address{rcpt})
	}
}
