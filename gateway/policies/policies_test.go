package policies

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheLastTenAreKeptAndEachComesBackAsItWas(t *testing.T) {
	a := Archive{Dir: filepath.Join(t.TempDir(), "policies")}
	if list, err := a.List(); err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i := range 13 {
		b := Bundle{"/x/policy.yaml": fmt.Sprintf("version: 1 # %d\n", i)}
		for range 2 { // the second is the newest already
			now = now.Add(time.Second)
			if err := a.Keep(b, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := a.List()
	if err != nil || len(list) != keep {
		t.Fatalf("%d kept, want %d: %v", len(list), keep, err)
	}
	for i, k := range list {
		b, err := a.Bundle(k.Name)
		if want := fmt.Sprintf("version: 1 # %d\n", 12-i); err != nil || b["/x/policy.yaml"] != want {
			t.Errorf("%s is %q, want %q: %v", k.Name, b["/x/policy.yaml"], want, err)
		}
	}
	for _, name := range []string{"", "../../etc/passwd", list[0].Name + "/../x"} {
		if _, err := a.Bundle(name); !errors.Is(err, ErrNoSuch) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestABundleIsPutBackWithItsPermissionsAndNothingElseIsRead(t *testing.T) {
	dir := t.TempDir()
	policy, entries := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "entries.yaml")
	for path, text := range map[string]string{policy: "new", entries: "later"} {
		if err := os.WriteFile(path, []byte(text), 0o604); err != nil {
			t.Fatal(err)
		}
	}
	b := Bundle{policy: "old"}
	if data, err := b.Overlay(entries); err != nil || string(data) != "later" {
		t.Errorf("overlay: %q, %v", data, err)
	}
	if _, err := b.Stored(entries); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := b.Place(entries); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(policy)
	info, _ := os.Stat(policy)
	if string(text) != "old" || info.Mode().Perm() != 0o604 {
		t.Errorf("%q with %v", text, info.Mode())
	}
	if text, _ := os.ReadFile(entries); string(text) == "later" {
		t.Error("entries that were not part of the bundle stay in force")
	}
}
