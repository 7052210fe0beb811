package danger

import "testing"

func TestTheShippedTableIsReadable(t *testing.T) {
	table, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for ext, want := range map[string]Class{"EXE": Program, "js": Script, "lnk": Shortcut, "iso": DiskImage, "pdf": Harmless, "unheard": ""} {
		if got := table.Class(ext); got != want {
			t.Errorf("%s: %q, want %q", ext, got, want)
		}
	}
}

func TestAContradictionIsAnError(t *testing.T) {
	for _, text := range []string{"program exe\nscript exe", "toys exe"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
