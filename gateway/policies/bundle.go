package policies

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gatepost/gateway/disk"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// A Bundle is the files that a policy was read from, the site's rule packs among them, by absolute path.
type Bundle map[string]string

// Read reads a file from the disk and remembers it. A file that is not there is not remembered.
func (b Bundle) Read(path string) ([]byte, error) {
	data, err := conf.ReadFile(path)
	if err != nil {
		return nil, err
	}
	whole, err := filepath.Abs(path)
	b[whole] = string(data)
	return data, err
}

// Stored gives the files as they were; others are fs.ErrNotExist.
func (b Bundle) Stored(path string) ([]byte, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if text, ok := b[whole]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("%s is not among the files that were kept: %w", path, fs.ErrNotExist)
}

// Overlay reads files from the disk, but those of b from b: the world as it would be with a draft in place.
func (b Bundle) Overlay(path string) ([]byte, error) {
	data, err := b.Stored(path)
	if errors.Is(err, fs.ErrNotExist) {
		return conf.ReadFile(path)
	}
	return data, err
}

// Place puts the files in place, each whole or not at all, with the permissions that it has. The file of entries that
// b does not have is emptied, for it would be read although it was not part of the bundle.
func (b Bundle) Place(entries string) error {
	for _, path := range slices.Sorted(maps.Keys(b)) {
		if err := Place(path, b[path]); err != nil {
			return err
		}
	}
	if entries == "" {
		return nil
	}
	if _, err := b.Stored(entries); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(entries); err != nil {
		return nil
	}
	return Place(entries, string(policy.WriteEntries(nil)))
}

// Aside ends the names of files that were set aside.
const Aside = ".aside"

// SetAside renames files so that they are not read any more. back undoes that.
func SetAside(paths []string) (back func() error, err error) {
	var done []string
	back = func() (err error) {
		for _, p := range done {
			err = errors.Join(err, os.Rename(p+Aside, p))
		}
		return err
	}
	for _, p := range paths {
		if err := os.Rename(p, p+Aside); err != nil {
			return nil, errors.Join(fmt.Errorf("set %s aside: %w", filepath.Base(p), err), back())
		}
		done = append(done, p)
	}
	return back, nil
}

// Place replaces a file whole or not at all, durably, with the permissions that it has.
func Place(path, text string) error {
	mode := os.FileMode(0o640)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	err := disk.WriteFile(disk.OS{}, path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return os.Chmod(path, mode)
}
