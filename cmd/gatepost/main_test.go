package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// gatepost runs the program and returns what it printed and its exit code.
func gatepost(args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, &o, &e)
	return o.String(), e.String(), code
}

func TestInitWritesFilesThatCheckAccepts(t *testing.T) {
	dir := t.TempDir()
	if _, errs, code := gatepost("init", dir); code != 0 {
		t.Fatalf("init: exit %d %s", code, errs)
	}
	config := filepath.Join(dir, "gatepost.yaml")
	if out, errs, code := gatepost("check", "-c", config); code != 0 || !strings.Contains(out, "no problems") {
		t.Errorf("check: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code := gatepost("test", "-c", config); code != 0 || !strings.Contains(out, " 0 failed") {
		t.Errorf("test: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code := gatepost("init", dir); code == 0 || !strings.Contains(errs, "already there") {
		t.Errorf("a second init overwrites: exit %d %s", code, errs)
	}
}

func TestHelpNamesEveryCommandAndItsFlags(t *testing.T) {
	out, _, code := gatepost("help")
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	for _, c := range []string{"serve", "check", "scan", "explain", "trace", "replay", "test", "quarantine", "user", "init", "demo"} {
		if !strings.Contains(out, c) {
			t.Errorf("help does not name %s:\n%s", c, out)
		}
	}
	if out, _, code := gatepost("help", "scan"); code != 0 || !strings.Contains(out, "--client-ip") {
		t.Errorf("help scan: exit %d\n%s", code, out)
	}
	if out, _, code := gatepost("scan", "--help"); code != 0 || !strings.Contains(out, "--batch") {
		t.Errorf("scan --help: exit %d\n%s", code, out)
	}
	if _, errs, code := gatepost("sacn"); code != 2 || !strings.Contains(errs, "scan") {
		t.Errorf("a typing error: exit %d %q", code, errs)
	}
}

func TestScanJudgesOfflineAndSaysWhatItCouldNotRead(t *testing.T) {
	if _, errs, code := gatepost("scan", filepath.Join(t.TempDir(), "nothing.eml")); code != 2 || !strings.Contains(errs, "nothing.eml") {
		t.Errorf("exit %d %q", code, errs)
	}
	if _, _, code := gatepost("scan"); code == 0 {
		t.Error("scan of nothing succeeds")
	}
}
