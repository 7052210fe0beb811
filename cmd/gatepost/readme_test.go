package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/filters/catalog"
	"gatepost/gateway/config"
	"gatepost/policy"
)

// Every command that the README names is in the help, with its flags.
func TestCommandsOfTheReadmeExist(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile("`gatepost ([a-z]+)").FindAllStringSubmatch(string(text), -1) {
		names[m[1]] = true
	}
	for name := range names {
		if out, errs, code := gatepost(name, "--help"); code != 0 || !strings.Contains(out, "gatepost "+name) {
			t.Errorf("gatepost %s --help: exit %d\n%s%s", name, code, out, errs)
		}
	}
	if len(names) < 10 {
		t.Errorf("%d commands", len(names))
	}
}

// Every YAML example of the README and the handwritten pages is a configuration or a policy that loads without a
// problem, and a policy's tests pass.
func TestExamplesInTheDocumentsWork(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	dir, found := t.TempDir(), 0
	t.Setenv("STORE_PASSWORD", "secret")
	site := &site{cfg: &config.Config{}}
	if problems := site.loadRules(); len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), policy.Sample(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			found++
			name := filepath.Base(file) + ": " + strings.SplitN(m[1], "\n", 2)[0]
			if strings.Contains(m[1], "hostname:") {
				c, problems := config.Parse(filepath.Join(dir, "gatepost.yaml"), []byte(m[1]))
				for _, p := range append(problems, c.Filters.Unknown(catalog.Names())...) {
					t.Errorf("%s: %v", name, p)
				}
				continue
			}
			p, problems := policy.Parse(name, []byte(m[1]), site.policyOptions())
			for _, x := range problems {
				t.Error(x)
			}
			if p == nil {
				continue
			}
			for _, r := range p.RunTests(t.Context(), time.Now(), nil).Results {
				if !r.Passed {
					t.Errorf("%s: test %q: %v", name, r.Name, r.Problems)
				}
			}
		}
	}
	if found < 2 {
		t.Errorf("%d examples", found)
	}
}
