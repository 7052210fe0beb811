package law

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	hostileRow  = regexp.MustCompile(`(?m)^\| ([A-Z]{1,2}-\d+) \|.*$`)
	hostileTest = regexp.MustCompile("`((?:[a-z0-9]+/)*[a-z0-9]+)\\.((?:Test|Fuzz)\\w+)`")
)

// TestEveryHostileCaseNamesATestThatExists reads the tables of docs/hostile-*.md: each id stands once, and names at
// least one test or fuzz target of the project as `package/path.TestName`.
func TestEveryHostileCaseNamesATestThatExists(t *testing.T) {
	tests := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && s.test && fn.Recv == nil {
				tests[s.dir+"."+fn.Name.Name] = true
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(root(t), "docs", "hostile-*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	seen := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		for _, row := range hostileRow.FindAllStringSubmatch(string(text), -1) {
			id := row[1]
			if before := seen[id]; before != "" {
				t.Errorf("%s: %s stands in %s already", name, id, before)
			}
			seen[id] = name
			named := hostileTest.FindAllStringSubmatch(row[0], -1)
			if len(named) == 0 {
				t.Errorf("%s: %s names no test", name, id)
			}
			for _, n := range named {
				if !tests[n[1]+"."+n[2]] {
					t.Errorf("%s: %s names %s.%s, which is not there", name, id, n[1], n[2])
				}
			}
			if strings.Count(row[0], "`")%2 != 0 {
				t.Errorf("%s: %s has an open quote", name, id)
			}
		}
	}
}
