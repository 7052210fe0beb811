package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A site's own pack is checked with its examples, states its findings with its own weight, which the policy file outdoes,
// and takes a shipped rule's place by its name.
func TestASiteHasItsOwnRules(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := put("gatepost.yaml", "version: 1\nhostname: mx.example.com\ndata_dir: data\nlisteners: [{address: \"127.0.0.1:0\", tls: offered}]\n"+
		"domains: [{name: example.com, downstream: [\"127.0.0.1:9\"]}]\nadmin: {address: \"127.0.0.1:0\"}\npolicy: policy.yaml\nrules: [rules.d]\nfilters: {auth: {enabled: false}}\n")
	put("policy.yaml", "version: 1\n")
	const pack = "version: 1\nrules:\n  - {name: site.fruit, match: [dancing apples], why: {en: Fruit., zh: 水果。}, weight: 9, hits: [the dancing apples], misses: [apples]}\n" +
		"  - {name: gtube, match: [never in any mail], why: w, hits: [never in any mail], misses: [x]}\n"
	put("rules.d/site.yaml", strings.Replace(pack, "misses: [apples]", "misses: [dancing apples]", 1))
	if _, errs, code := gatepost("check", "-c", config); code != 1 || !strings.Contains(errs, "rules.d/site.yaml:3:") || !strings.Contains(errs, "rule site.fruit finds this example, and must not") {
		t.Fatalf("a broken pack: exit %d %s", code, errs)
	}
	put("rules.d/site.yaml", pack)
	if out, errs, code := gatepost("check", "-c", config); code != 0 || !strings.Contains(out, "no problems") {
		t.Fatalf("check: exit %d\n%s%s", code, out, errs)
	}
	put("rules.d/site.yaml", strings.Replace(pack, "[dancing apples]", "[dancing apples, '/.{0,200}and .{0,200}x/']", 1))
	if _, errs, code := gatepost("check", "-c", config); code != 0 || !strings.Contains(errs, "note: ") || !strings.Contains(errs, "rules.d/site.yaml:3:") || !strings.Contains(errs, "slows every message") {
		t.Errorf("a dear pattern: exit %d\n%s", code, errs)
	}
	put("rules.d/site.yaml", pack)
	letter := put("letter.eml", "From: Ann <ann@a.example>\nTo: b@example.com\nSubject: Fruit\nDate: Mon, 23 Nov 2026 08:00:00 +0000\nMessage-ID: <1@a.example>\n\n"+
		"Dancing apples. XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n")
	out, errs, _ := gatepost("scan", "-c", config, "--time", "2026-11-23T09:00:00Z", letter)
	if !strings.Contains(out, "QUARANTINE") || !strings.Contains(out, "content.site.fruit") || strings.Contains(out, "content.gtube") {
		t.Errorf("scan: %s%s", out, errs)
	}
	put("policy.yaml", "version: 1\nweights: {content.site.fruit: 1}\n")
	if out, errs, _ := gatepost("scan", "-c", config, "--time", "2026-11-23T09:00:00Z", letter); !strings.Contains(out, "ACCEPT") {
		t.Errorf("the policy's weight does not count: %s%s", out, errs)
	}
	put("policy.yaml", "version: 1\nweights: {content.site.friut: 1}\n")
	if _, errs, code := gatepost("check", "-c", config); code != 1 || !strings.Contains(errs, `did you mean "content.site.fruit"?`) {
		t.Errorf("a code that no rule has: exit %d %s", code, errs)
	}
}
