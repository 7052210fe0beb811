package mail

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpora is the folder of real mail beside the project. Without it a test that needs it is skipped, except in CI.
func corpora(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the package")
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "..", "shared", "corpora", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("corpus %s is missing", name)
		}
		t.Skipf("corpus %s is missing", name)
	}
	return path
}

// messages calls see with each file below dir whose name ends in one of the endings.
func messages(t testing.TB, dir string, see func(name string, data []byte), endings ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, e := range endings {
			if strings.HasSuffix(path, e) {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				name, _ := filepath.Rel(dir, path)
				see(name, b)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// crlf gives a message the line ends that it has on the wire, and removes the mbox line.
func crlf(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	if bytes.HasPrefix(b, []byte("From ")) {
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
