package mail

import (
	"slices"
	"strings"
	"testing"
)

// F-01 to F-05, F-08, F-09: every name that a program may save a part under is known, and none is dangerous to show.
func TestAllNamesOfAPartAreKnown(t *testing.T) {
	const cd, ct = "Content-Disposition: attachment; ", "Content-Type: application/octet-stream; "
	for _, c := range []struct{ id, header, want string }{
		{"F-01 pieces", cd + "filename*0=\"evil.\";\n filename*1=\"exe\"\n", "evil.exe"},
		{"F-01 gap", cd + "filename*0=\"evil.\"; filename*2=\"exe\"\n", "evil.exe"},
		{"F-01 gap: the beginning", cd + "filename*0=\"evil.exe\"; filename*2=\".txt\"\n", "evil.exe"},
		{"F-01 order", cd + "filename*1=\"exe\"; filename*0=\"evil.\"\n", "evil.exe"},
		{"F-01 order as it stands", cd + "filename*1=\"evil.\"; filename*0=\"exe\"\n", "evil.exe"},
		{"F-01 mixed", cd + "filename*0*=utf-8''evil%2E; filename*1=\"exe\"\n", "evil.exe"},
		{"F-01 no zero", cd + "filename*1=\"evil.\"; filename*2=\"exe\"\n", "evil.exe"},
		{"F-02 both", ct + "name=ok.png; name*=utf-8''evil.exe\n", "evil.exe"},
		{"F-02 plain", ct + "name=evil.exe; name*=utf-8''ok.png\n", "evil.exe"},
		{"F-02 type and disposition", ct + "name=evil.exe\n" + cd + "filename=ok.png\n", "evil.exe"},
		{"F-02 disposition and type", ct + "name=ok.png\n" + cd + "filename=evil.exe\n", "evil.exe"},
		{"F-02 twice", cd + "filename=ok.png; filename=evil.exe\n", "evil.exe"},
		{"F-02 twice, first", cd + "filename=evil.exe; filename=ok.png\n", "evil.exe"},
		{"F-02 second field", cd + "filename=ok.png\n" + cd + "filename=evil.exe\n", "evil.exe"},
		{"F-02 hidden field", cd + "filename=ok.png\nContent-Disposition : attachment; filename=evil.exe\n", "evil.exe"},
		{"F-02 filename in the type", ct + "filename=evil.exe\n", "evil.exe"},
		{"F-02 no semicolon", "Content-Disposition: attachment filename=evil.exe\n", "evil.exe"},
		{"F-02 words", cd + "filename=evil file.exe\n", "evil file.exe"},
		{"F-02 open quote", cd + "filename=\"evil.exe\n", "evil.exe"},
		{"F-02 apostrophes", cd + "filename='evil.exe'\n", "evil.exe"},
		{"F-03 encoded-word", ct + "name=\"=?utf-8?B?ZXZpbC5leGU=?=\"\n", "evil.exe"},
		{"F-03 UTF-16", ct + "name=\"=?utf-16le?B?ZQB2AGkAbAAuAGUAeABlAA==?=\"\n", "evil.exe"},
		{"F-03 in RFC 2231", cd + "filename*=utf-8''%3D%3Futf-8%3FB%3FZXZpbC5leGU%3D%3F%3D\n", "evil.exe"},
		{"F-04 override", cd + "filename*=utf-8''evil%E2%80%AEgpj.exe\n", "evilgpj.exe"},
		{"F-04 zero-width", cd + "filename*=utf-8''evil.%E2%80%8Bexe\n", "evil.exe"},
		{"F-04 full width", cd + "filename*=utf-8''evil%EF%BC%8Eexe\n", "evil.exe"},
		{"F-05 double", cd + "filename=x.pdf.exe\n", "x.pdf.exe"},
		{"F-05 dot", cd + "filename=evil.exe.\n", "evil.exe"},
		{"F-05 NUL", cd + "filename=evil.exe%00.pdf\n", "evil.exe"},
		{"F-05 blank", cd + "filename=\"evil.EXE \"\n", "evil.EXE"},
		{"F-05 stream", cd + "filename=\"evil.exe:stream\"\n", "evil.exe"},
		{"F-05 semicolon", cd + "filename=\"evil.pif;.jpg\"\n", "evil.pif"},
		{"F-08 up", cd + "filename=\"../../etc/cron.d/x\"\n", "x"},
		{"F-08 drive", cd + "filename=\"C:\\\\dir\\\\evil.exe\"\n", "evil.exe"},
		{"F-08 drive, raw", cd + "filename=\"C:\\dir\\evil.exe\"\n", "evil.exe"},
		{"F-09 shell", cd + "filename=\"`id`.tar\"\n", "`id`.tar"},
	} {
		m := parse(c.header + "\nbody\n")
		names := m.Root.Names()
		if !slices.Contains(names, c.want) {
			t.Errorf("%s: %q is not among %q", c.id, c.want, names)
		}
		for _, n := range names {
			if strings.ContainsAny(n, "/\\\x00\r\n") || Hidden(n) || strings.HasSuffix(n, ".") {
				t.Errorf("%s: %q is no clean name", c.id, n)
			}
		}
	}
}

// F-02, F-04: names that differ, and names that hide something, are recorded.
func TestOddNamesAreRecorded(t *testing.T) {
	for _, c := range []struct{ code, header string }{
		{"mime.name-conflict", "Content-Type: image/png; name=ok.png\nContent-Disposition: attachment; filename=evil.exe\n"},
		{"mime.name-hidden", "Content-Disposition: attachment; filename*=utf-8''x%E2%80%AEgpj.exe\n"},
		{"mime.name-hidden", "Content-Disposition: attachment; filename*=utf-8''x.txt" + times(200, "%C2%A0") + ".exe\n"},
		{"", "Content-Type: image/png; name=\"=?utf-8?q?=C3=BC.png?=\"\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.png\n"},
	} {
		m := parse(c.header + "\nbody\n")
		if c.code == "" && len(m.Defects) > 0 || c.code != "" && !slices.Contains(codes(m), c.code) {
			t.Errorf("%s: %v", c.header, codes(m))
		}
	}
}

// A blank of another kind behind a value once cut the value short of its own beginning.
func TestOddBlanksBehindAValueAreHarmless(t *testing.T) {
	for _, blank := range []string{"\v", "\f", "\u0085", "\u00a0", "\u2003"} {
		if v := parseTyped("a/b; name=x" + blank + " ;c=d"); v.get("c") != "d" || v.get("name") == "" {
			t.Errorf("%q: %+v", blank, v)
		}
	}
}

// F-05: a name that is too long to be looked at as a whole still shows how it ends.
func TestALongNameShowsItsEnding(t *testing.T) {
	for _, n := range []int{maxName - 4, maxName, 2 * maxName, 10 * maxName} {
		m := parse("Content-Disposition: attachment; filename=\"" + times(n, "a") + ".exe\"\n\nx\n")
		if name := m.Root.Name(); !strings.HasSuffix(name, ".exe") || !strings.HasPrefix(name, "aaa") {
			t.Errorf("%d letters: a name of %d octets that ends in %q", n, len(name), name[max(0, len(name)-10):])
		}
	}
}
