package yara

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost/filters/peer"
	"gatepost/rules/conf"
)

const (
	witnessSpace = "gatepost"       // the namespace of the rule that matches every file
	descriptors  = "/proc/self/fd/" // where a program finds what it was given
	firstFile    = 3                // the first descriptor behind the three that every program has
	compileTime  = 2 * time.Minute  // for all rules of a site
	proveTime    = 5 * time.Second  // for a scan of nothing
	maxRuleFiles = 10_000
	maxProblems  = 20
)

// A book is the compiled rules of a site with the program that reads them. It is immutable: files are read again when the
// configuration is.
type book struct {
	program string   // full path
	version string   // "4.2.3"
	rules   *os.File // in memory, sealed
	witness string   // name of the rule that matches every file, which nobody can guess
	notes   map[string]bool
	files   []string // of rules; r1 is the first
}

// A Shelf keeps the compiled rules of one configuration, for all filters that are made from it: the first has them compiled. Its
// zero value is empty; nil keeps nothing.
type Shelf struct {
	once     sync.Once
	book     *book
	problems []conf.Problem
}

// open is the compiled rules.
func (s *Shelf) open(cfg Config) (*book, []conf.Problem) {
	if s == nil {
		return write(cfg)
	}
	s.once.Do(func() { s.book, s.problems = write(cfg) })
	return s.book, s.problems
}

// write compiles all rules of a configuration.
func write(cfg Config) (*book, []conf.Problem) {
	b := &book{notes: make(map[string]bool, len(cfg.Notes))}
	for _, name := range cfg.Notes {
		b.notes[name] = true
	}
	files, problems := ruleFiles(cfg)
	program, p := find(cfg, "program", cfg.Program)
	problems = append(problems, p...)
	compiler, p := find(cfg, "compiler", cfg.Compiler)
	problems = append(problems, p...)
	if len(problems) > 0 {
		return nil, problems
	}
	b.program, b.files = program, files
	ctx, cancel := peer.Within(context.Background(), compileTime)
	defer cancel()
	if err := b.ask(ctx); err != nil {
		return nil, []conf.Problem{cfg.Node.Key("program").Problemf("%s: %v", program, err)}
	}
	if problems := b.compile(ctx, compiler, cfg); len(problems) > 0 {
		return nil, problems
	}
	if err := b.prove(ctx, cfg); err != nil {
		return nil, []conf.Problem{cfg.Node.Key("program").Problemf("%s cannot use the rules that %s compiled: %v; both must be of one version", program, compiler, err)}
	}
	return b, nil
}

// find looks for a program.
func find(cfg Config, key, name string) (string, []conf.Problem) {
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", []conf.Problem{cfg.Node.Key(key).Problemf("%v; install YARA (Debian's package is called yara), or say where it is", err)}
	}
	return path, nil
}

// ruleFiles lists the files of rules: those named, and in directories all whose names end in .yar or .yara.
func ruleFiles(cfg Config) (files []string, problems []conf.Problem) {
	for i, p := range cfg.Rules {
		node := cfg.Node.Key("rules").Item(i)
		list, err := below(string(p))
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("%s holds no .yar or .yara file", p)
		}
		if err != nil {
			problems = append(problems, node.Problemf("%v", err))
		}
		for _, file := range list {
			f, err := os.Open(file) // now, for the compiler says no more than that it could not
			if err != nil {
				problems = append(problems, node.Problemf("%v", err))
				continue
			}
			f.Close()
		}
		files = append(files, list...)
	}
	if len(files) > maxRuleFiles {
		problems = append(problems, cfg.Node.Key("rules").Problemf("%d files; the most is %d", len(files), maxRuleFiles))
	}
	return files, problems
}

// below is a file, or the files of rules in a directory and those below it, in the order of their names.
func below(path string) (list []string, err error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is neither a file nor a directory", path)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && name != path {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if end := filepath.Ext(name); d.IsDir() || end != ".yar" && end != ".yara" {
			return nil
		}
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() { // behind a link
			return fmt.Errorf("%s is no file: %w", name, cmp.Or(err, fs.ErrInvalid))
		}
		list = append(list, name)
		return nil
	})
	return list, err
}

var versionLine = regexp.MustCompile(`^([0-9]{1,3})\.([0-9]{1,3})[0-9A-Za-z.+~-]{0,20}$`)

// ask asks the program for its version.
func (b *book) ask(ctx context.Context) error {
	var said []string
	j := job{path: b.program, dir: "/", args: []string{"--version"}, memory: 1 << 30, seconds: 10, line: func(l []byte) error {
		said = append(said, peer.ASCII(string(l), 60))
		return nil
	}, most: 4 << 10}
	if _, err := j.run(ctx); err != nil {
		return fmt.Errorf("ask for its version: %w", err)
	}
	if len(said) != 1 {
		return fmt.Errorf("it answers --version with %q", said)
	}
	m := versionLine.FindStringSubmatch(said[0])
	if m == nil {
		return fmt.Errorf("it answers --version with %q", said)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major != 4 || minor < 2 {
		return fmt.Errorf("version %s; YARA 4 from 4.2 on is needed", said[0])
	}
	b.version = said[0]
	return nil
}

// compile has the rules compiled into memory. Each file is a namespace of its own, so that names may stand in several.
func (b *book) compile(ctx context.Context, compiler string, cfg Config) []conf.Problem {
	at := cfg.Node.Key("rules")
	var nonce [16]byte
	rand.Read(nonce[:])
	b.witness = "seen_" + hex.EncodeToString(nonce[:])
	out, err := memory("rules")
	if err != nil {
		return []conf.Problem{at.Problemf("make room for compiled rules: %v", err)}
	}
	own, err := filled("witness", strings.NewReader("rule "+b.witness+" { condition: true }\n"))
	if err != nil {
		out.Close()
		return []conf.Problem{at.Problemf("make room for rules: %v", err)}
	}
	defer own.Close()
	var args []string
	for _, name := range slices.Sorted(maps.Keys(cfg.Define)) {
		args = append(args, "-d", name+"="+cfg.Define[name])
	}
	for i, file := range b.files {
		args = append(args, "r"+strconv.Itoa(i+1)+":"+file)
	}
	args = append(args, witnessSpace+":"+descriptors+"4", descriptors+"3")
	j := job{path: compiler, args: args, files: []*os.File{out, own}, memory: 4 << 30, seconds: int(compileTime / time.Second), write: maxCompiled, line: func([]byte) error { return nil }, most: 64 << 10}
	said, err := j.run(ctx)
	if err == nil {
		err = seal(out)
	}
	if err != nil {
		out.Close()
		return compileProblems(at, said, err)
	}
	b.rules = out
	return nil
}

// maxCompiled is the largest compiled form of all rules.
const maxCompiled = 1 << 30

var compileError = regexp.MustCompile(`^error: (?:rule "([^"]*)" in )?(.+)\(([0-9]{1,9})\): (.*)$`)

// compileProblems are the errors that the compiler tells, where they stand.
func compileProblems(at conf.Node, said string, err error) (problems []conf.Problem) {
	for line := range strings.Lines(said) {
		m := compileError.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil || len(problems) == maxProblems {
			continue
		}
		p := conf.Problem{Pos: conf.Pos{File: m[2]}, Message: peer.ASCII(m[4], 200)}
		p.Pos.Line, _ = strconv.Atoi(m[3])
		if m[1] != "" {
			p.Message = "rule " + peer.ASCII(m[1], 128) + ": " + p.Message
		}
		problems = append(problems, p)
	}
	if len(problems) == 0 {
		problems = append(problems, at.Problemf("the rules cannot be compiled: %v", err))
	}
	return problems
}

// prove has an empty file scanned: whatever keeps the program from reading the rules shows here.
func (b *book) prove(ctx context.Context, cfg Config) error {
	f, err := filled("empty", strings.NewReader(""))
	if err != nil {
		return err
	}
	defer f.Close()
	a, c, err := b.scan(ctx, cfg, []*os.File{f})
	if err != nil {
		return err
	}
	if !a.files[firstFile+1] {
		return fmt.Errorf("it did not look at a file: %s", c.other)
	}
	return nil
}

// scan has files scanned by one process. The answer also holds what came before an error.
func (b *book) scan(ctx context.Context, cfg Config, files []*os.File) (*answer, complaint, error) {
	const first = firstFile + 1 // behind the rules
	var list strings.Builder
	for i := range files {
		list.WriteString(descriptors + strconv.Itoa(first+i) + "\n")
	}
	left := cfg.Timeout
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	seconds := max(1, int((left-time.Second)/time.Second)) // so that it says itself what it had no time for
	a := newAnswer(b.witness, b.notes, first, len(files))
	j := job{
		path: b.program, dir: "/", args: []string{"-C", "-e", "-g", "-m", "-L", "-p", "1", "-a", strconv.Itoa(seconds), "--scan-list", descriptors + "3", descriptors + "0"},
		files: append([]*os.File{b.rules}, files...), input: list.String(), memory: int64(cfg.Memory), seconds: seconds + 2, line: a.line, most: maxOutput,
	}
	begin := time.Now()
	said, err := j.run(ctx)
	c := readComplaint(said)
	c.overdue = time.Since(begin) > time.Duration(seconds-1)*time.Second
	return a, c, err
}
