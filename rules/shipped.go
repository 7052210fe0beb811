package rules

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost/rules/conf"
)

//go:embed core/*.yaml
var shipped embed.FS

// shippedAt is where the files of the packs that the program comes with are said to be.
const shippedAt = "rules/core/"

// Shipped are the packs that the program comes with.
func Shipped() ([]Pack, error) {
	list, err := fs.ReadDir(shipped, "core")
	if err != nil {
		return nil, fmt.Errorf("list shipped rules: %w", err)
	}
	var packs []Pack
	for _, e := range list {
		data, err := fs.ReadFile(shipped, "core/"+e.Name())
		if err != nil {
			return nil, fmt.Errorf("read shipped rules: %w", err)
		}
		packs = append(packs, Pack{File: shippedAt + e.Name(), Data: data})
	}
	return packs, nil
}

// Load compiles the packs that Read finds.
func Load(paths []string, read func(string) ([]byte, error)) (*Set, []conf.Problem) {
	packs, problems := Read(paths, read)
	if len(problems) > 0 {
		return nil, problems
	}
	return Compile(packs...)
}

// Read reads the shipped packs and those at paths: files, or directories whose files *.yaml are packs, in the order of their
// names. read gives a file's content; nil is conf.ReadFile.
func Read(paths []string, read func(string) ([]byte, error)) ([]Pack, []conf.Problem) {
	if read == nil {
		read = conf.ReadFile
	}
	packs, err := Shipped()
	if err != nil {
		return nil, []conf.Problem{{Message: err.Error()}}
	}
	var problems []conf.Problem
	for _, path := range paths {
		files, err := Files(path)
		if err != nil {
			problems = append(problems, conf.Problem{Pos: conf.Pos{File: path}, Message: err.Error()})
		}
		for _, file := range files {
			data, err := read(file)
			if err != nil {
				problems = append(problems, conf.Problem{Pos: conf.Pos{File: file}, Message: fmt.Sprintf("cannot read the rules: %v", errors.Unwrap(err))})
				continue
			}
			packs = append(packs, Pack{File: file, Data: data})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return packs, nil
}

// maxFiles bounds the packs of one directory.
const maxFiles = 1000

// Files lists the packs at a path: the file itself, or those of the directory.
func Files(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot find rules: %w", errors.Unwrap(err))
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("cannot list rules: %w", errors.Unwrap(err))
	}
	var files []string
	for _, e := range list {
		if name := e.Name(); !e.IsDir() && !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")) {
			files = append(files, filepath.Join(path, name))
		}
	}
	if len(files) > maxFiles {
		return nil, fmt.Errorf("the directory holds %d packs; the most is %d", len(files), maxFiles)
	}
	slices.Sort(files)
	return files, nil
}
