package conformance

import (
	"os"
	"testing"

	"gatepost/test/harness"
)

// corpus is the path of a file or folder of the shared corpora.
func corpus(t testing.TB, name string) string { return harness.Corpus(t, name) }

// read is the content of a corpus file.
func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(corpus(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
