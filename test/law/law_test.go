package law

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// A source is one parsed Go file of the project.
type source struct {
	path  string // relative to the root, with slashes
	dir   string
	test  bool
	file  *ast.File
	lines int
}

var fset = token.NewFileSet()

// root is the project's root, found by its go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// sources parses every Go file of the project.
func sources(t *testing.T) []source {
	t.Helper()
	top := root(t)
	var all []source
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != top || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, path)
		rel = filepath.ToSlash(rel)
		all = append(all, source{
			path: rel, dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(rel, "_test.go"),
			file: f, lines: fset.Position(f.FileEnd).Line,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// floor is the height of a top-level directory: imports may only go to the same floor or below.
func floor(dir string) int {
	order := []string{"rules", "filters", "policy", "gateway", "cmd", "test"}
	top, _, _ := strings.Cut(dir, "/")
	for i, name := range order {
		if top == name {
			return i
		}
	}
	return -1
}

// imports lists the import paths of a file.
func (s source) imports() []string {
	var paths []string
	for _, i := range s.file.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

func TestImportsGoDown(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if floor(s.dir) < 0 {
			t.Errorf("%s: stands outside cmd, gateway, filters, policy, rules and test", s.path)
		}
		for _, path := range s.imports() {
			target, ours := strings.CutPrefix(path, "gatepost/")
			if ours && floor(target) > floor(s.dir) {
				t.Errorf("%s imports %s, which is above it", s.path, path)
			}
			if ours && strings.HasPrefix(target, "cmd") {
				t.Errorf("%s imports %s: nothing imports cmd", s.path, path)
			}
		}
	}
}

func TestAThirdPartyModuleIsImportedByOnePackage(t *testing.T) {
	users := map[string]map[string]bool{}
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.dir, "test") {
			continue
		}
		for _, path := range s.imports() {
			host, _, _ := strings.Cut(path, "/")
			if !strings.Contains(host, ".") || strings.HasPrefix(path, "golang.org/x/") {
				continue // the standard library, ours, and the Go project's own supplements
			}
			m := module(path)
			if users[m] == nil {
				users[m] = map[string]bool{}
			}
			users[m][s.dir] = true
		}
	}
	for m, dirs := range users {
		if len(dirs) > 1 && !shared(m) {
			names := []string{}
			for d := range dirs {
				names = append(names, d)
			}
			sort.Strings(names)
			t.Errorf("%s is imported by %s; let one of them own it", m, strings.Join(names, ", "))
		}
	}
}

// module is the module that an import path belongs to, near enough: host, owner, name, and a version if it follows.
func module(path string) string {
	parts := strings.Split(path, "/")
	n := 3
	if parts[0] == "modernc.org" || parts[0] == "cel.dev" {
		n = 2
	}
	return strings.Join(parts[:min(n, len(parts))], "/")
}

// shared names the modules that more than one room may use: go-msgauth and compress are
// made of separate parts for separate purposes (compress serves the disk's store and what senders compressed), and so is
// go-message (charsets of what comes in, the writer of notifications); golang-lru is a plain data structure.
func shared(module string) bool {
	return module == "github.com/emersion/go-msgauth" || module == "github.com/emersion/go-message" || module == "github.com/hashicorp/golang-lru" || module == "github.com/klauspost/compress"
}

// What stands in a statement outside of gateway/db is SQL that SQLite and PostgreSQL both understand (see its doc.go).
func TestSQLIsForBothDatabases(t *testing.T) {
	statement := regexp.MustCompile(`(?s)^\W*(INSERT|SELECT|UPDATE|DELETE|CREATE|ALTER|WITH)\s`)
	alien := regexp.MustCompile(`INSERT OR |REPLACE INTO|LIMIT -1|LIMIT \?,|WHERE 1\b|\bGLOB\b|\bPRAGMA\b|\browid\b|strftime\(|julianday\(|ifnull\(|\b(max|min)\([^()]*,`)
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.dir, "test") || s.dir == "gateway/db" || s.path == "gateway/quarantine/search.go" { // the index of words is SQLite's own
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if text := strings.Trim(n.Value, "`\""); n.Kind == token.STRING && statement.MatchString(text) && alien.MatchString(text) {
					t.Errorf("%s: PostgreSQL does not understand %q in %.80q", s.path, alien.FindString(text), text)
				}
			case *ast.SelectorExpr:
				if n.Sel.Name == "LastInsertId" {
					t.Errorf("%s: LastInsertId is SQLite's alone; say RETURNING", s.path)
				}
			}
			return true
		})
	}
}

func TestNoJunkDrawers(t *testing.T) {
	banned := []string{"util", "utils", "common", "helper", "helpers", "types", "models", "core", "base", "misc", "internal"}
	for _, s := range sources(t) {
		for _, b := range banned {
			if s.file.Name.Name == b {
				t.Errorf("%s: package %s is a junk drawer; name it by its noun", s.path, b)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsAndWhatItIsNot(t *testing.T) {
	said := map[string]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		said[s.dir] += s.file.Doc.Text()
	}
	for dir, doc := range said {
		if doc == "" {
			t.Errorf("%s: no package comment", dir)
		}
		if strings.HasPrefix(dir, "cmd") || strings.HasPrefix(dir, "test") {
			continue
		}
		if !strings.Contains(doc, " not ") && !strings.Contains(doc, "never") && !strings.Contains(doc, "no ") && !strings.Contains(doc, "nothing") {
			t.Errorf("%s: doc.go does not say what the package is not", dir)
		}
	}
}

func TestNoInitAndNoMutableGlobals(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.dir, "test") {
			continue
		}
		written := assigned(s.file)
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					t.Errorf("%s: func init; wire it in cmd", s.path)
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						if written[name.Name] {
							t.Errorf("%s: package variable %s is written to", s.path, name.Name)
						}
					}
				}
			}
		}
	}
}

// assigned lists the plain names that any function of the file assigns to (with = or an operator) and does not declare.
func assigned(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		local := declared(fn)
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || a.Tok == token.DEFINE {
				return true
			}
			for _, l := range a.Lhs {
				if id := rootName(l); id != "" && !local[id] {
					names[id] = true
				}
			}
			return true
		})
	}
	return names
}

// rootName is x for x, x[i] and x.f; empty for anything else.
func rootName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.IndexExpr:
		return rootName(e.X)
	case *ast.SelectorExpr:
		return rootName(e.X)
	}
	return ""
}

// declared lists every name that a function declares anywhere in it.
func declared(fn *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, l := range n.Lhs {
					names[rootName(l)] = true
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				names[rootName(n.Key)] = true
				if n.Value != nil {
					names[rootName(n.Value)] = true
				}
			}
		}
		return true
	})
	return names
}

func TestFunctionsFitAScreenAndFilesARoom(t *testing.T) {
	const longest, largest = 70, 640
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if s.lines > largest {
			t.Errorf("%s: %d lines; split it by its nouns (at most %d)", s.path, s.lines, largest)
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > longest {
				t.Errorf("%s: func %s has %d lines (at most %d)", s.path, fn.Name.Name, n, longest)
			}
		}
	}
}

func TestNoLongOrBlindParameterLists(t *testing.T) {
	const most = 6
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			total, bools := 0, 0
			for _, f := range fn.Type.Params.List {
				n := max(len(f.Names), 1)
				total += n
				if id, ok := f.Type.(*ast.Ident); ok && id.Name == "bool" {
					bools += n
				}
			}
			if total > most {
				t.Errorf("%s: func %s takes %d parameters (at most %d)", s.path, fn.Name.Name, total, most)
			}
			if bools > 1 {
				t.Errorf("%s: func %s takes %d bare booleans; name them in a struct", s.path, fn.Name.Name, bools)
			}
		}
	}
}

func TestOnlyTheDocumentLoaderKnowsYAML(t *testing.T) {
	for _, s := range sources(t) {
		for _, path := range s.imports() {
			// The published suites that test/conformance runs are YAML with features that no document of ours may have.
			if strings.Contains(path, "yaml") && s.dir != "rules/conf" && s.dir != "test/conformance" {
				t.Errorf("%s imports %s; documents are read by rules/conf", s.path, path)
			}
		}
	}
}

func TestNoUnfinishedWords(t *testing.T) {
	words := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X", "not " + "implemented"}
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, w := range words {
				if strings.Contains(group.Text(), w) {
					t.Errorf("%s: %s", fset.Position(group.Pos()), w)
				}
			}
		}
	}
}
