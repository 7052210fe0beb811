package conformance

import (
	"os"
	"path/filepath"
	"testing"
)

// corpus is the path of a file or folder of the shared corpora, which lie beside the project. Without them the test
// is skipped by name; in CI it fails.
func corpus(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
	path := filepath.Join(dir, "..", "shared", "corpora", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("corpus %s is missing", name)
		}
		t.Skipf("corpus %s is not here", name)
	}
	return path
}

// read is the content of a corpus file.
func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(corpus(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
