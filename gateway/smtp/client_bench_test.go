package smtp

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// BenchmarkContentWriter stuffs and checks content of ordinary, of very short and of all-dots lines.
func BenchmarkContentWriter(b *testing.B) {
	for name, line := range map[string]string{
		"lines of 76": strings.Repeat("x", 74) + "\r\n", "lines of 20": strings.Repeat("x", 18) + "\r\n", "empty lines": "\r\n", "dots": ".\r\n",
	} {
		content := []byte(strings.Repeat(line, 1<<20/len(line)))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			out := bufio.NewWriterSize(io.Discard, clientBuffer)
			for b.Loop() {
				w := newContentWriter(out)
				if _, err := w.Write(content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
