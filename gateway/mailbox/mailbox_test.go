package mailbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// all reads everything and returns names below dir with their contents.
func all(t *testing.T, dir string, paths ...string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for l, err := range All(paths...) {
		if err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
		got[strings.TrimPrefix(l.Name, dir+"/")] = string(l.Content)
	}
	return got
}

func TestDirectoriesMaildirsAndFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	const one = "From: a@a.example\nSubject: one\n\nhello\n"
	write(t, dir, map[string]string{
		"plain/1.eml": one, "plain/sub/2": "Subject: two\r\n\r\nx", "plain/README.txt": "This is no message.\n", "plain/.hidden": one, "plain/empty": "",
		"md/cur/1:2,S": one, "md/new/2": one, "md/tmp/3": one, "md/.Junk/cur/4": one, "md/.Junk/new/.keep": one,
	})
	os.MkdirAll(filepath.Join(dir, "md/.Junk/tmp"), 0o700)
	got := all(t, dir, filepath.Join(dir, "plain"), filepath.Join(dir, "md"))
	for _, name := range []string{"plain/1.eml", "plain/sub/2", "md/cur/1:2,S", "md/new/2", "md/.Junk/cur/4"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is not read", name)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("read as well: %v", got)
	}
	if l := all(t, dir, filepath.Join(dir, "plain/1.eml"))["plain/1.eml"]; l != strings.ReplaceAll(one, "\n", "\r\n") {
		t.Errorf("line ends %q", l)
	}
}

func TestAnMboxIsSplitAtItsSeparatorsAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"box": "From a@a Mon\nSubject: one\n\nline\nFrom here on\n>From quoted\n\nFrom b@b Tue\nSubject: two\n\n" + strings.Repeat("x", 100<<10) + "\n"})
	got := all(t, dir, filepath.Join(dir, "box"))
	if want := "Subject: one\r\n\r\nline\r\nFrom here on\r\nFrom quoted\r\n"; got["box"] != want {
		t.Errorf("first %q", got["box"])
	}
	if l := got["box#2"]; len(got) != 2 || len(l) < 100<<10 || !strings.HasPrefix(l, "Subject: two\r\n") {
		t.Errorf("%d messages, second %.60q", len(got), l)
	}
}

func TestAMissingPathIsAnError(t *testing.T) {
	for _, err := range All(filepath.Join(t.TempDir(), "none")) {
		if err == nil {
			t.Error("no error")
		}
		return
	}
	t.Error("nothing came")
}

func TestHalvesDependOnTheNameAlone(t *testing.T) {
	n := 0
	for i := range 1000 {
		n += Half(strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26))
	}
	again := Half("a")
	if n < 400 || n > 600 || Half("a") != again {
		t.Errorf("%d of 1000 in the second half", n)
	}
}

func FuzzMbox(f *testing.F) {
	f.Add([]byte("From a\nSubject: x\n\nhello\n\nFrom b\n\nFrom c\n"))
	f.Add([]byte("Subject: x\n\nhello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "box")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		total := 0
		for l, err := range All(path) {
			if err != nil {
				t.Fatal(err)
			}
			total += len(l.Content)
		}
		if total > 2*len(b) {
			t.Errorf("%d bytes became %d", len(b), total)
		}
	})
}
