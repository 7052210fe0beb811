package smtp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
)

// benchInput makes an input over r as a connection would.
func benchInput(r io.Reader) *input {
	return &input{src: r, pool: &buffers{}}
}

func BenchmarkData(b *testing.B) {
	for _, width := range []int{40, 76, 998} {
		line := strings.Repeat("x", width) + "\r\n"
		msg := []byte("Subject: x\r\n\r\n" + strings.Repeat(line, (1<<20)/len(line)) + ".\r\n")
		b.Run(fmt.Sprintf("line=%d", width), func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			src := bytes.NewReader(msg)
			in := benchInput(src)
			for b.Loop() {
				src.Reset(msg)
				in.reset(src)
				d := newContent(in, contentLimits{size: 1 << 30, line: 1 << 16, header: 1 << 19, field: 1 << 17, fields: 1000}, in.read)
				if n, err := d.WriteTo(io.Discard); err != nil || n != int64(len(msg)-3) {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkTransaction is a whole pipelined transaction of a 2 KB message in an open session, over loopback TCP; the
// client's own work is in it.
func BenchmarkTransaction(b *testing.B) {
	h := &recorder{}
	o := open(b, h, Config{Limits: over(Limits{Messages: 1 << 40})}, ListenerOptions{})
	c := o.greeted(b)
	envelope := []byte("MAIL FROM:<a@client.example> BODY=8BITMIME\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
	content := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 30) + ".\r\n")
	h.message = func(_ context.Context, body io.Reader) *Reply { _, _ = io.Copy(io.Discard, body); return nil }
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.nc.Write(envelope)
		for range 3 {
			if _, err := c.r.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
		_, _ = c.nc.Write(content)
		if _, err := c.r.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
}
