package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"gatepost/gateway/disk"
	"gatepost/policy"
)

// keptPolicies is how many earlier policies are kept.
const keptPolicies = 10

// A bundle is the files that a policy was read from, by absolute path.
type bundle map[string]string

// read reads a file and remembers it.
func (b bundle) read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	whole, err := filepath.Abs(path)
	b[whole] = string(data)
	return data, err
}

// stored gives the files as they were.
func (b bundle) stored(path string) ([]byte, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if text, ok := b[whole]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("%s is not among the files that were kept", path)
}

// archiveDir is where earlier policies are kept.
func (s *site) archiveDir() string { return filepath.Join(string(s.cfg.DataDir), "policies") }

// archive keeps the policy that was just taken into force, unless it is the newest already, and forgets the oldest.
func (s *site) archive() error {
	if len(s.sources) == 0 {
		return nil
	}
	data, err := json.Marshal(s.sources) // keys in order: the same files give the same bytes
	if err != nil {
		return err
	}
	dir := s.archiveDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := archived(dir)
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(data))[:12]
	if len(names) > 0 && strings.HasSuffix(names[len(names)-1], "-"+sum+".json") {
		return nil
	}
	name := filepath.Join(dir, time.Now().UTC().Format("20060102T150405.000Z")+"-"+sum+".json")
	err = disk.Place(disk.OS{}, name+disk.Unfinished, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	for _, old := range names[:max(0, len(names)+1-keptPolicies)] {
		err = errors.Join(err, os.Remove(filepath.Join(dir, old)))
	}
	return err
}

// archived lists the kept policies, oldest first.
func archived(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".json") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// kept reads one kept policy.
func (s *site) kept(name string) (bundle, *policy.Policy, error) {
	data, err := os.ReadFile(filepath.Join(s.archiveDir(), name))
	if err != nil {
		return nil, nil, err
	}
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, nil, fmt.Errorf("read kept policy %s: %w", name, err)
	}
	o := s.policyOptions()
	o.ReadFile = b.stored
	p, problems := policy.Load(string(s.cfg.Policy), o)
	if len(problems) > 0 {
		return nil, nil, fmt.Errorf("kept policy %s: %w", name, problems[0])
	}
	return b, p, nil
}

// reloadCmd is `gatepost reload`.
type reloadCmd struct{}

// Run checks first, so that the problems are told here, and then asks the running gateway.
func (*reloadCmd) Run(a *app) error {
	s, err := openSite(a, siteOptions{})
	if err != nil {
		return err
	}
	if failed := failures(s.runTests(a.ctx)); len(failed) > 0 {
		return a.complain(failed)
	}
	return s.askReload(a)
}

// askReload sends SIGHUP to the gateway that holds the data directory.
func (s *site) askReload(a *app) error {
	pid, ok := disk.Holder(string(s.cfg.DataDir))
	if !ok {
		return fmt.Errorf("no gateway is running on %s", s.cfg.DataDir)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("ask process %d: %w", pid, err)
	}
	_, err := fmt.Fprintf(a.out, "asked process %d; its log and gatepost trace reload tell the outcome\n", pid)
	return err
}

// diffCmd is `gatepost diff`.
type diffCmd struct {
	Draft string `arg:"" optional:"" help:"The draft; default: the policy file as it is now."`
	JSON  bool   `name:"json" help:"Print one JSON array."`
}

// Run compares the policy that a gateway took last with the draft.
func (c *diffCmd) Run(a *app) error {
	s, err := paperSite(a)
	if err != nil {
		return err
	}
	names, err := archived(s.archiveDir())
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("no policy was in force yet: start the gateway once")
	}
	_, was, err := s.kept(names[len(names)-1])
	if err != nil {
		return err
	}
	if c.Draft == "" {
		c.Draft = string(s.cfg.Policy)
	}
	draft, problems := policy.Load(c.Draft, s.policyOptions())
	if len(problems) > 0 {
		return a.complain(problems)
	}
	changes := policy.Diff(was, draft)
	if c.JSON {
		if changes == nil {
			changes = []policy.Change{}
		}
		return writeLine(a.out, changes)
	}
	for _, x := range changes {
		fmt.Fprintln(a.out, x)
	}
	if len(changes) == 0 {
		fmt.Fprintln(a.out, "no difference")
	}
	return nil
}

// rollbackCmd is `gatepost rollback`.
type rollbackCmd struct {
	Steps int  `arg:"" optional:"" default:"1" help:"How many policies back."`
	List  bool `help:"Only list the kept policies, newest first."`
}

// Run puts the files of an earlier policy back and asks a running gateway to take them.
func (c *rollbackCmd) Run(a *app) error {
	s, err := paperSite(a)
	if err != nil {
		return err
	}
	names, err := archived(s.archiveDir())
	if err != nil {
		return err
	}
	slices.Reverse(names)
	if c.List {
		t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		for i, n := range names {
			when, sum, _ := strings.Cut(strings.TrimSuffix(n, ".json"), "-")
			fmt.Fprintf(t, "%d\t%s\t%s\n", i, when, sum)
		}
		return t.Flush()
	}
	if c.Steps < 1 || c.Steps >= len(names) {
		return fmt.Errorf("there are %d earlier policies", max(0, len(names)-1))
	}
	b, _, err := s.kept(names[c.Steps])
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(b)) {
		if err := putBack(path, b[path]); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "put back %s\n", path)
	}
	if _, running := disk.Holder(string(s.cfg.DataDir)); running {
		return s.askReload(a)
	}
	return nil
}

// putBack replaces a file whole or not at all, with the permissions that it has.
func putBack(path, text string) error {
	mode := os.FileMode(0o640)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	temp := path + disk.Unfinished
	if err := os.WriteFile(temp, []byte(text), mode); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
