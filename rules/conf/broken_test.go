package conf_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"gatepost/rules/conf"
)

// TestBrokenDocumentsSayWhatToDo holds the exact words of each problem, without the file's name.
func TestBrokenDocumentsSayWhatToDo(t *testing.T) {
	for _, c := range broken {
		var o outer
		var got []string
		for _, p := range conf.Decode("f", []byte(c.text), &o) {
			got = append(got, strings.TrimPrefix(p.Error(), "f:"))
		}
		if g := strings.Join(got, "\n"); g != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, g, c.want)
		}
	}
}

func TestAProblemNamesFileLineColumnAndHint(t *testing.T) {
	p := conf.Problem{Pos: conf.Pos{File: "gatepost.yaml", Line: 3, Col: 7}, Message: `unknown key "hots"`, Hint: "host"}
	if got, want := p.Error(), `gatepost.yaml:3:7: unknown key "hots" (did you mean "host"?)`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestLimitsOfADocument(t *testing.T) {
	nested := func(n int) string { return "any: " + strings.Repeat("[", n) + strings.Repeat("]", n) }
	cases := []struct{ name, text, want string }{
		{"depth 63", nested(63), ""},
		{"depth 65", nested(66), "f:1:70: values are nested more than 64 deep"},
		{"depth 9999", nested(9999), "f:1:70: values are nested more than 64 deep"},
		{"depth 20000", nested(20000), "f:1:10006: values are nested more than 64 deep"},
		{"1 MiB", "# " + strings.Repeat("x", 1<<20-2), ""},
		{"1 MiB and a byte", "# " + strings.Repeat("x", 1<<20-1), "f: the file has 1048577 bytes; the most is 1048576"},
	}
	for _, c := range cases {
		var o outer
		got := ""
		for _, p := range conf.Decode("f", []byte(c.text), &o) {
			got += p.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestABillionLaughsAreNotExpanded(t *testing.T) {
	var b strings.Builder
	b.WriteString("any:\n  a0: &a0 [x]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	var o outer
	if p := conf.Decode("f", []byte(b.String()), &o); len(p) != 30+2*29 {
		t.Errorf("%d problems: %v", len(p), p)
	}
}

// TestMemoryIsBoundedByTheDocument proves the bound that a reader of foreign bytes needs.
func TestMemoryIsBoundedByTheDocument(t *testing.T) {
	for name, unit := range map[string]string{"items": "- x\n", "brackets": "- []\n", "keys": "? x\n", "hints": "? recipents\n"} {
		text := strings.Repeat(unit, 40_000/len(unit))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var o outer
		conf.Decode("f", []byte(text), &o)
		runtime.ReadMemStats(&after)
		if most := uint64(len(text)) * 500; after.TotalAlloc-before.TotalAlloc > most {
			t.Errorf("%s: %d bytes for %d", name, after.TotalAlloc-before.TotalAlloc, len(text))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range broken {
		f.Add([]byte(c.text))
	}
	f.Add([]byte("host: no\nbytes: 512KiB\nkeep: 2w\nitems:\n  - {name: two, count: 100, wait: 1h30m}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o outer
		last := conf.Pos{}
		for _, p := range conf.Decode("f", data, &o) {
			if p.Message == "" || p.Pos.File != "f" || p.Pos.Line < last.Line {
				t.Fatalf("problem %+v after %v", p, last)
			}
			if strings.ContainsAny(p.Error(), "\x00\x1b\n") {
				t.Fatalf("unprintable: %q", p.Error())
			}
			last = p.Pos
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text := []byte("host: a\nitems:\n" + strings.Repeat("  - {name: two, count: 100, wait: 1h30m}\n", 100))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var o outer
		if p := conf.Decode("f", text, &o); len(p) > 0 {
			b.Fatal(p)
		}
	}
}
