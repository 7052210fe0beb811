package policies

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/gateway/disk"
)

// keep is how many bundles an Archive holds.
const keep = 10

// suffix ends the names of kept bundles.
const suffix = ".json"

// stampForm begins their names.
const stampForm = "20060102T150405.000Z"

// ErrNoSuch is returned for a name that the archive does not have.
var ErrNoSuch = errors.New("no such kept policy")

// An Archive is a directory with the bundles that were in force last.
type Archive struct{ Dir string }

// A Kept is one bundle of an Archive.
type Kept struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"` // when it came into force
	Sum  string    `json:"sum"`  // begins the SHA-256 of its files: equal for equal bundles
}

// Keep stores a bundle that came into force now, unless it is the newest already, and forgets the oldest.
func (a Archive) Keep(b Bundle, now time.Time) error {
	if len(b) == 0 {
		return nil
	}
	data, err := json.Marshal(b) // keys in order: the same files give the same bytes
	if err != nil {
		return err
	}
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	list, err := a.List()
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(data))[:12]
	if len(list) > 0 && list[0].Sum == sum {
		return nil
	}
	name := filepath.Join(a.Dir, now.UTC().Format(stampForm)+"-"+sum+suffix)
	err = disk.WriteFile(disk.OS{}, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	for _, old := range list[min(len(list), keep-1):] {
		err = errors.Join(err, os.Remove(filepath.Join(a.Dir, old.Name+suffix)))
	}
	return err
}

// List lists what is kept, newest first.
func (a Archive) List() ([]Kept, error) {
	entries, err := os.ReadDir(a.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list kept policies: %w", err)
	}
	var list []Kept
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		stamp, sum, _ := strings.Cut(name, "-")
		if at, err := time.Parse(stampForm, stamp); ok && err == nil {
			list = append(list, Kept{name, at, sum})
		}
	}
	slices.SortFunc(list, func(x, y Kept) int { return strings.Compare(y.Name, x.Name) })
	return list, nil
}

// Bundle reads one kept bundle.
func (a Archive) Bundle(name string) (Bundle, error) {
	list, err := a.List()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(list, func(k Kept) bool { return k.Name == name }) {
		return nil, ErrNoSuch
	}
	data, err := os.ReadFile(filepath.Join(a.Dir, name+suffix))
	if err != nil {
		return nil, fmt.Errorf("read kept policy: %w", err)
	}
	var b Bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("read kept policy %s: %w", name, err)
	}
	return b, nil
}
