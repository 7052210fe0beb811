package catalog

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the generated page")

// The generated page is in step with the code: run go test ./filters/catalog -update after a change.
func TestTheReferenceOfTheFiltersIsInStep(t *testing.T) {
	var page bytes.Buffer
	if err := Reference(&page); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "docs", "filters.md")
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(page.Bytes(), want) {
		t.Errorf("docs/filters.md is not what the code says: run go test ./filters/catalog -update (%v)", err)
	}
}

func TestEveryFilterHasAnEntryAndSettings(t *testing.T) {
	all, list := settings(), entries()
	for _, name := range order() {
		if _, ok := list[name]; !ok || all[name] == nil {
			t.Errorf("%s has no entry or no settings", name)
		}
		if list[name].codes == nil {
			continue // those of a rule pack, which says them itself
		}
		for _, c := range list[name].codes() {
			if c.Meaning == "" || c.Chinese == "" {
				t.Errorf("%s: %s is not explained", name, c.Name)
			}
		}
	}
	if len(all) != len(order()) || len(list) != len(order()) {
		t.Errorf("%d filters, %d entries, %d settings", len(order()), len(list), len(all))
	}
}
