package conf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// S-10: a pipe or a device in place of a file neither holds a reload up nor fills the memory.
func TestOnlyRegularFilesOfSomeSizeAreRead(t *testing.T) {
	dir := t.TempDir()
	pipe, huge, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "huge"), filepath.Join(dir, "file")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(huge, nil, 0o600), os.Truncate(huge, maxRead+1), os.WriteFile(file, []byte("x"), 0o600), os.Symlink(file, filepath.Join(dir, "link")), os.Symlink("/dev/zero", filepath.Join(dir, "zero"))); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, huge, filepath.Join(dir, "zero"), "/dev/zero", dir, filepath.Join(dir, "none")} {
		var wrapped *fs.PathError
		if data, err := ReadFile(path); !errors.As(err, &wrapped) || errors.Unwrap(err) == nil {
			t.Errorf("%s: %d octets, %v", path, len(data), err)
		}
	}
	for _, path := range []string{file, filepath.Join(dir, "link")} {
		if data, err := ReadFile(path); err != nil || string(data) != "x" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
}
