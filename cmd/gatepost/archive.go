package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"gatepost/gateway/disk"
	"gatepost/gateway/journal"
	"gatepost/gateway/policies"
	"gatepost/policy"
	"gatepost/rules"
)

// archive is where earlier policies are kept.
func (s *site) archive() policies.Archive {
	return policies.Archive{Dir: filepath.Join(string(s.cfg.DataDir), "policies")}
}

// entriesFile is where the entries that people make on the review pages are kept.
func (s *site) entriesFile() string { return filepath.Join(string(s.cfg.DataDir), "entries.yaml") }

// keepPolicy keeps what was just taken into force: the files of the policy and the site's rule packs, without which the same
// policy would judge otherwise.
func (s *site) keepPolicy() error {
	all := policies.Bundle{}
	maps.Copy(all, s.packs)
	maps.Copy(all, s.sources)
	return s.archive().Keep(all, time.Now())
}

// packsIn are the files of b that are rule packs of the site, in the order in which they are read.
func (s *site) packsIn(b policies.Bundle) []string {
	var files []string
	for _, p := range s.cfg.Rules {
		root, err := filepath.Abs(string(p))
		if err != nil {
			continue
		}
		for _, path := range slices.Sorted(maps.Keys(b)) {
			if path == root || filepath.Dir(path) == root {
				files = append(files, path)
			}
		}
	}
	return files
}

// surplus are the rule packs that lie in the site's directories today and were not part of b, which has some.
func (s *site) surplus(b policies.Bundle) ([]string, error) {
	if len(s.packsIn(b)) == 0 {
		return nil, nil
	}
	var files []string
	for _, p := range s.cfg.Rules {
		list, err := rules.Files(string(p))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, path := range list {
			whole, err := filepath.Abs(path)
			if err != nil {
				return nil, err
			}
			if _, kept := b[whole]; !kept && path != string(p) { // a file that the configuration names must be there
				files = append(files, whole)
			}
		}
	}
	return files, nil
}

// kept reads one kept policy.
func (s *site) kept(name string) (policies.Bundle, *policy.Policy, error) {
	b, err := s.archive().Bundle(name)
	if err != nil {
		return nil, nil, err
	}
	old := &site{cfg: s.cfg, lasting: s.lasting}
	if problems := old.loadRulesOf(b); len(problems) > 0 {
		return nil, nil, fmt.Errorf("rules of kept policy %s: %w", name, problems[0])
	}
	o := old.policyOptions()
	o.ReadFile = b.Stored
	p, problems := old.readPolicy(o)
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

// reloadTime is how long a command waits for the gateway to have read everything.
const reloadTime = 30 * time.Second

// askReload sends SIGHUP to the gateway that holds the data directory, and says what came of it as the audit has it.
func (s *site) askReload(a *app) error {
	pid, ok := disk.Holder(string(s.cfg.DataDir))
	if !ok {
		return fmt.Errorf("no gateway is running on %s", s.cfg.DataDir)
	}
	asked := time.Now()
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("ask process %d: %w", pid, err)
	}
	r := journal.NewReader(journalDir(string(s.cfg.DataDir)))
	for time.Since(asked) < reloadTime {
		if err := pause(a.ctx, 100*time.Millisecond); err != nil {
			return err
		}
		rec, err := reloaded(r, asked)
		switch {
		case err != nil:
			return err
		case rec == nil:
			if now, ok := disk.Holder(string(s.cfg.DataDir)); !ok || now != pid {
				return fmt.Errorf("process %d ended instead of reading it; its log says why", pid)
			}
		case rec.Note != "":
			return fmt.Errorf("process %d %s", pid, rec.Note)
		default:
			_, err := fmt.Fprintf(a.out, "process %d has taken it over, as generation %d\n", pid, rec.Generation)
			return err
		}
	}
	return fmt.Errorf("process %d has not said within %s what came of it; its log and gatepost audit list will", pid, reloadTime)
}

// reloaded finds the first reload since a time; nil if there was none.
func reloaded(r *journal.Reader, since time.Time) (found *journal.Record, err error) {
	err = r.Audit(func(rec *journal.Record) error {
		if found == nil && rec.Action == "reload" && !rec.Time.Before(since) {
			found = rec
		}
		return nil
	})
	return found, err
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
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
	list, err := s.archive().List()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("no policy was in force yet: start the gateway once")
	}
	_, was, err := s.kept(list[0].Name)
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
	JSON  bool `name:"json" help:"With --list, print one JSON array."`
}

// Run puts the files of an earlier policy back and asks a running gateway to take them.
func (c *rollbackCmd) Run(a *app) error {
	s, err := paperSite(a)
	if err != nil {
		return err
	}
	list, err := s.archive().List()
	if err != nil {
		return err
	}
	if c.List && c.JSON {
		if list == nil {
			list = []policies.Kept{}
		}
		return writeLine(a.out, list)
	}
	if c.List {
		t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		for i, k := range list {
			fmt.Fprintf(t, "%d\t%s\t%s\n", i, k.Time.Format("20060102T150405.000Z"), k.Sum)
		}
		return t.Flush()
	}
	if c.Steps < 1 || c.Steps >= len(list) {
		if len(list) < 2 {
			return errors.New("there is no earlier policy to put back: none was replaced yet")
		}
		return fmt.Errorf("there is no policy %d steps back: 1 to %d can be put back, and gatepost rollback --list shows them", c.Steps, len(list)-1)
	}
	b, _, err := s.kept(list[c.Steps].Name)
	if err != nil {
		return err
	}
	surplus, err := s.surplus(b)
	if err != nil {
		return err
	}
	if err := b.Place(s.entriesFile()); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(b)) {
		fmt.Fprintf(a.out, "put back %s\n", path)
	}
	if _, err := policies.SetAside(surplus); err != nil {
		return err
	}
	for _, path := range surplus {
		fmt.Fprintf(a.out, "set aside %s as %s\n", path, filepath.Base(path)+policies.Aside)
	}
	if len(s.cfg.Rules) > 0 && len(s.packsIn(b)) == 0 {
		fmt.Fprintln(a.out, "the site's rule packs stay as they are: none were kept with that policy")
	}
	if _, running := disk.Holder(string(s.cfg.DataDir)); running {
		return s.askReload(a)
	}
	return nil
}
