package forward_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"gatepost/gateway/forward"
	"gatepost/test/harness/badsink"
)

// BenchmarkSend carries messages of 13 KB to a sink in this process; the figure includes the sink's work.
func BenchmarkSend(b *testing.B) {
	content := []byte("From: a@a.test\r\nSubject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 74)+"\r\n", 170))
	s := start(b, badsink.Script{Discard: true})
	f := forwarder(b, forward.Config{}, s.Address())
	d := delivery(b, "", "b@b.test")
	d.Source, d.Sum = inMemory{bytes.NewReader(content), content}, sha256.Sum256(content)
	d.Edits.Add = "Received: from x\r\nX-Gatepost-Id: id1\r\n"
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if out := f.Send(b.Context(), d); out[0].Reply.Code != 250 {
			b.Fatal(out[0].Reply)
		}
	}
}
