package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestOnlyRegularFilesAreOpened: S-05; a pipe without a writer must not make us wait.
func TestOnlyRegularFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n) }
	if err := errors.Join(os.WriteFile(name("file"), nil, 0o600), os.Symlink(name("file"), name("link")), syscall.Mkfifo(name("pipe"), 0o600),
		os.Mkdir(name("dir"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"link", "pipe", "dir", "/dev/null"} {
		if !filepath.IsAbs(n) {
			n = name(n)
		}
		if _, err := (OS{}).Open(n); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %v", n, err)
		}
	}
	if _, err := (OS{}).Create(name("link")); err == nil {
		t.Error("created through a link")
	}
}

// TestFailedWriteLeavesWhatWas: and no file beside it.
func TestFailedWriteLeavesWhatWas(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	say := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, werr := io.WriteString(w, s)
			return errors.Join(werr, err)
		}
	}
	if err := WriteFile(OS{}, name, say("first", nil)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+Unfinished, []byte("left by a killed writer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(OS{}, name, say("sec", io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if b, _ := os.ReadFile(name); string(b) != "first" {
		t.Errorf("holds %q", b)
	}
	if names, _ := os.ReadDir(filepath.Dir(name)); len(names) != 1 {
		t.Errorf("left: %v", names)
	}
}

// TestOneDaemonADirectory: S-07.
func TestOneDaemonADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("a second daemon: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if l, err = LockDir(dir); err != nil {
		t.Fatal(err)
	}
	_ = l.Release()
}

// TestClockThatJumpsDeletesNothing: S-06.
func TestClockThatJumpsDeletesNothing(t *testing.T) {
	var c Clock
	wall := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		name string
		mono time.Duration
		jump time.Duration
		ok   bool
	}{
		{"at start", 0, 0, false},
		{"an hour later", time.Hour, 0, false},
		{"after two hours, slewed", 2 * time.Hour, 30 * time.Second, true},
		{"ten years forward", 3 * time.Hour, 10 * 365 * 24 * time.Hour, false},
		{"an hour after the jump", 4 * time.Hour, 0, false},
		{"two hours after the jump", 5 * time.Hour, 0, true},
		{"an hour back", 6 * time.Hour, -time.Hour, false},
		{"two hours after that", 8 * time.Hour, 0, true},
	} {
		wall = wall.Add(step.mono - c.mono + step.jump)
		if ok := c.look(wall, step.mono); ok != step.ok {
			t.Errorf("%s: believed is %v", step.name, ok)
		}
	}
	if _, ok := new(Clock).Agreed(); ok {
		t.Error("a new clock is believed at once")
	}
}

// TestThreeFailuresAMinute: S-03, and a full disk is not a bad one.
func TestThreeFailuresAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Trouble
		for range 5 {
			_ = d.Note(syscall.ENOSPC)
			_ = d.Note(nil)
		}
		_ = d.Note(syscall.EIO)
		time.Sleep(40 * time.Second)
		_ = d.Note(syscall.EIO)
		time.Sleep(30 * time.Second)
		_ = d.Note(syscall.EIO)
		if err := d.Err(); err != nil {
			t.Errorf("three in seventy seconds: %v", err)
		}
		_ = d.Note(syscall.EIO)
		if err := d.Err(); !errors.Is(err, syscall.EIO) {
			t.Errorf("three in thirty seconds: %v", err)
		}
		time.Sleep(time.Minute + time.Second)
		if err := d.Err(); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

// TestEveryFlippedBitOfALineIsNoticed, and every length but the right one.
func TestEveryFlippedBitOfALineIsNoticed(t *testing.T) {
	line, err := AppendLine(nil, []byte(`{"a":"b","c":[1,2,3]}`))
	if err != nil || CheckLine(line) != nil || !json.Valid(line) {
		t.Fatalf("%q: %v, %v", line, err, CheckLine(line))
	}
	for i := range line {
		for bit := range 8 {
			bad := bytes.Clone(line)
			bad[i] ^= 1 << bit
			if CheckLine(bad) == nil {
				t.Errorf("byte %d, bit %d", i, bit)
			}
		}
		if CheckLine(line[:i]) == nil || CheckLine(line[i+1:]) == nil {
			t.Errorf("cut at %d", i)
		}
	}
	for _, object := range []string{"", "{}", "[]", `"x"`, "x"} {
		if _, err := AppendLine(nil, []byte(object)); err == nil {
			t.Errorf("%q was taken", object)
		}
	}
	if _, err := AppendLine(nil, []byte(`{"a":"`+strings.Repeat("x", MaxLine)+`"}`)); !errors.Is(err, ErrLine) {
		t.Errorf("too long: %v", err)
	}
}

// TestFramesAreBounded: a stored frame cannot make its reader take more memory than it says it may.
func TestFramesAreBounded(t *testing.T) {
	var c Codec
	for _, n := range []int{0, 1, 254, 255, 256, 257, 65536, 1 << 20} {
		plain := bytes.Repeat([]byte("x"), n)
		frame, err := c.Append(nil, plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.ExpandFrame(frame, 1<<20)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
		if n > 255 {
			if _, err := c.ExpandFrame(frame, int64(n-1)); err == nil {
				t.Errorf("%d bytes were more than allowed", n)
			}
		}
		if _, err := c.ExpandFrame(append(frame, frame...), 1<<20); err == nil && n > 255 {
			t.Errorf("%d bytes: a second frame was taken", n)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"a":"b\u202e"}`))
	f.Add([]byte("{\"a\":\"\xff\u202e\U000e0041\u2028\"}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = CheckLine(b)
		if !json.Valid(b) || bytes.ContainsAny(b, "\r\n") {
			return
		}
		line, err := AppendLine(nil, b)
		if err != nil {
			return
		}
		if err := CheckLine(line); err != nil {
			t.Fatal(err)
		}
		var was, is map[string]any
		if json.Unmarshal(b, &was) != nil || was["sum"] != nil {
			return
		}
		if err := json.Unmarshal(line, &is); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		delete(is, "sum")
		x, _ := json.Marshal(was)
		y, _ := json.Marshal(is)
		if !bytes.Equal(x, y) {
			t.Fatalf("%q became %q", b, line)
		}
	})
}

func FuzzExpandFrame(f *testing.F) {
	var c Codec
	frame, _ := c.Append(nil, []byte(strings.Repeat("some text ", 100)))
	f.Add(frame)
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := c.ExpandFrame(b, 1<<16); err == nil && len(out) > 1<<16 {
			t.Fatal(len(out))
		}
	})
}

func BenchmarkAppendLine(b *testing.B) {
	object := []byte(`{"a":"` + strings.Repeat("x", 5000) + `"}`)
	var line []byte
	b.SetBytes(5000)
	for b.Loop() {
		line, _ = AppendLine(line[:0], object)
	}
}
