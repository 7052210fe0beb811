package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway"
	"gatepost/gateway/admin"
	"gatepost/gateway/config"
	"gatepost/gateway/policies"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// A workshop is where people change the policy of a running gateway: every change is checked like a reload before it is
// made, made in one step, and taken back if the gateway does not take it over.
type workshop struct {
	s     *service
	bench chan struct{} // one draft is checked or replayed at a time
}

func newWorkshop(s *service) *workshop { return &workshop{s, make(chan struct{}, 1)} }

// take waits for the bench.
func (w *workshop) take(ctx context.Context) (leave func(), err error) {
	select {
	case w.bench <- struct{}{}:
		return func() { <-w.bench }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// site is the configuration as it is now, as far as drafts need it, with the rule packs of b if it has any.
func (w *workshop) site(b policies.Bundle) (*site, []conf.Problem) {
	cfg, problems := config.Load(w.s.cfg.File)
	next := &site{cfg: cfg, lasting: w.s.lasting}
	if len(problems) == 0 {
		problems = next.loadRulesOf(b)
	}
	return next, problems
}

// policyFile is the file that people edit.
func (w *workshop) policyFile() string { return string(w.s.cfg.Policy) }

// Current implements admin.Policies.
func (w *workshop) Current(context.Context) (admin.PolicyInForce, error) {
	snap := w.s.gateway.Snapshot()
	now := admin.PolicyInForce{Policy: snap.Policy, Generation: snap.Gen, File: filepath.Base(w.policyFile())}
	var err error
	if now.History, err = w.s.archive().List(); err != nil {
		return now, err
	}
	if w.policyFile() == "" {
		now.File = ""
		return now, nil
	}
	text, err := os.ReadFile(w.policyFile())
	if err != nil {
		return now, fmt.Errorf("read policy file: %w", err)
	}
	now.Text, now.Base = string(text), baseOf(text)
	return now, nil
}

// baseOf names one state of the file, so that nobody writes over what another wrote meanwhile.
func baseOf(text []byte) string { return fmt.Sprintf("%x", sha256.Sum256(text))[:16] }

// overlay is the draft as it would be read once it is in place.
func (w *workshop) overlay(text string) policies.Bundle {
	path, err := filepath.Abs(w.policyFile())
	if err != nil {
		path = w.policyFile()
	}
	return policies.Bundle{path: text}
}

// compile reads a policy with the files of b in place of those on the disk, and runs its tests.
func (w *workshop) compile(ctx context.Context, b policies.Bundle) (*policy.Policy, policy.TestReport, []conf.Problem) {
	next, problems := w.site(b)
	if len(problems) > 0 {
		return nil, policy.TestReport{}, problems
	}
	o := next.policyOptions()
	o.ReadFile = w.beside(b)
	draft, problems := next.readPolicy(o)
	if len(problems) > 0 {
		return nil, policy.TestReport{}, problems
	}
	next.snap = &gateway.Snapshot{Policy: draft}
	return draft, next.runTests(ctx), nil
}

// errElsewhere is why a draft may not name a file: what its check says of a file would show what is in it.
var errElsewhere = errors.New("a draft on the review pages may only name files in the directory of the policy file")

// beside reads the files of b, those that the policy in force is made of, and what lies in the policy file's directory.
func (w *workshop) beside(b policies.Bundle) func(string) ([]byte, error) {
	known := policies.Bundle{}
	if list, err := w.s.archive().List(); err == nil && len(list) > 0 {
		if kept, err := w.s.archive().Bundle(list[0].Name); err == nil {
			known = kept
		}
	}
	return func(path string) ([]byte, error) {
		whole, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		_, ours := b[whole]
		_, inForce := known[whole]
		if entries, err := filepath.Abs(w.s.entriesFile()); !ours && !inForce && (err != nil || whole != entries) && !w.near(whole) {
			return nil, errElsewhere
		}
		return b.Overlay(path)
	}
}

// near reports whether a file, links followed, is a regular one in or below the policy file's directory.
func (w *workshop) near(path string) bool {
	dir, err := filepath.EvalSymlinks(filepath.Dir(w.policyFile()))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	real, rerr := filepath.EvalSymlinks(path)
	if errors.Is(rerr, fs.ErrNotExist) {
		return filepath.Dir(path) == dir // it is told that it is not there
	}
	info, serr := os.Stat(path)
	if err != nil || rerr != nil || serr != nil || !info.Mode().IsRegular() {
		return false
	}
	rel, err := filepath.Rel(dir, real)
	return err == nil && filepath.IsLocal(rel)
}

// Check implements admin.Policies.
func (w *workshop) Check(ctx context.Context, text string) (admin.PolicyCheck, error) {
	leave, err := w.take(ctx)
	if err != nil {
		return admin.PolicyCheck{}, err
	}
	defer leave()
	draft, tests, problems := w.compile(ctx, w.overlay(text))
	c := admin.PolicyCheck{Problems: shortened(problems), Tests: tests}
	if draft != nil {
		c.Changes = policy.Diff(w.s.gateway.Snapshot().Policy, draft)
		c.Problems = append(c.Problems, shortened(failures(tests))...)
	}
	return c, nil
}

// shortened leaves out the directories of problems: a page says where in a file, not where on the machine.
func shortened(problems []conf.Problem) []conf.Problem {
	out := slices.Clone(problems)
	for i := range out {
		out[i].Pos.File = filepath.Base(out[i].Pos.File)
	}
	return out
}

// replayTime is how long a replay for a page may take, replayStep how much of the past it reads at a time.
const (
	replayTime = 20 * time.Second
	replayStep = 24 * time.Hour
)

// Replay implements admin.Policies. It goes back day by day, for as long as a page can wait.
func (w *workshop) Replay(ctx context.Context, text string, since time.Time) (admin.PolicyReplay, error) {
	leave, err := w.take(ctx)
	if err != nil {
		return admin.PolicyReplay{}, err
	}
	defer leave()
	draft, _, problems := w.compile(ctx, w.overlay(text))
	if len(problems) > 0 {
		return admin.PolicyReplay{}, problems[0]
	}
	return w.replay(ctx, draft, since)
}

// replay judges the past under p.
func (w *workshop) replay(ctx context.Context, p *policy.Policy, since time.Time) (admin.PolicyReplay, error) {
	start := time.Now()
	out := admin.PolicyReplay{Since: start}
	for out.Since.After(since) && time.Since(start) < replayTime {
		from := out.Since.Add(-replayStep)
		if from.Before(since) {
			from = since
		}
		var scanErr error
		d := policy.Replay(func(yield func(policy.Past) bool) { scanErr = judged(ctx, w.s.reader, from, out.Since, yield) }, p)
		if scanErr != nil {
			return out, fmt.Errorf("replay: %w", scanErr)
		}
		out.Judged += d.Judged
		out.Unknown += d.Unknown
		out.Differences.Differences = append(out.Differences.Differences, d.Differences...)
		out.Since = from
	}
	out.Whole = !out.Since.After(since)
	policy.SortDifferences(out.Differences.Differences)
	return out, nil
}

// Hits implements admin.Policies: how much recorded mail each entry of the policy in force decides, by where it stands.
func (w *workshop) Hits(ctx context.Context, since time.Time) (map[string]int, error) {
	return entryHits(ctx, w.s.reader, w.s.gateway.Snapshot().Policy, since)
}

// TestOf implements admin.Policies.
func (w *workshop) TestOf(ctx context.Context, id string) (string, error) {
	rec, err := w.s.reader.Lookup(ctx, id)
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", id, err)
	}
	if rec.Decision == nil || rec.Report == nil {
		return "", admin.ErrNoFacts
	}
	env, err := rec.Envelope()
	if err != nil {
		return "", err
	}
	text, err := policy.TestFromRecord(w.s.gateway.Snapshot().Policy, policy.Past{Envelope: env, Report: rec.Report, Was: rec.Decision})
	return string(text), err
}

// Kept implements admin.PolicyChanger.
func (w *workshop) Kept(_ context.Context, name string) (admin.KeptPolicy, error) {
	b, p, err := w.s.kept(name)
	if err != nil {
		return admin.KeptPolicy{}, noSuch(err)
	}
	k := admin.KeptPolicy{Changes: policy.Diff(w.s.gateway.Snapshot().Policy, p)}
	path, err := filepath.Abs(w.policyFile())
	k.Text = b[path]
	return k, err
}

func noSuch(err error) error {
	if errors.Is(err, policies.ErrNoSuch) {
		return fmt.Errorf("%w: %w", admin.ErrNoPolicy, err)
	}
	return err
}

// Apply implements admin.PolicyChanger.
func (w *workshop) Apply(ctx context.Context, text, base string) ([]conf.Problem, error) {
	return w.change(ctx, func() (policies.Bundle, error) {
		now, err := os.ReadFile(w.policyFile())
		if err != nil {
			return nil, fmt.Errorf("read policy file: %w", err)
		}
		if baseOf(now) != base {
			return nil, admin.ErrPolicyMoved
		}
		return w.overlay(text), nil
	})
}

// Restore implements admin.PolicyChanger.
func (w *workshop) Restore(ctx context.Context, name string) ([]conf.Problem, error) {
	return w.change(ctx, func() (policies.Bundle, error) {
		b, err := w.s.archive().Bundle(name)
		if err != nil {
			return nil, noSuch(err)
		}
		entries, err := filepath.Abs(w.s.entriesFile())
		if _, kept := b[entries]; err == nil && !kept {
			b[entries] = string(policy.WriteEntries(nil))
		}
		return b, err
	})
}

// Add implements admin.Entries.
func (w *workshop) Add(ctx context.Context, e policy.Entry) ([]conf.Problem, error) {
	return w.editEntries(ctx, func(list []policy.Entry) ([]policy.Entry, error) { return append(list, e), nil })
}

// Remove implements admin.Entries.
func (w *workshop) Remove(ctx context.Context, key string) ([]conf.Problem, error) {
	return w.editEntries(ctx, func(list []policy.Entry) ([]policy.Entry, error) {
		i := slices.IndexFunc(list, func(e policy.Entry) bool { return e.Key == key })
		if key == "" || i < 0 {
			return nil, admin.ErrNoEntry
		}
		return slices.Delete(list, i, i+1), nil
	})
}

// editEntries changes the file of entries.
func (w *workshop) editEntries(ctx context.Context, edit func([]policy.Entry) ([]policy.Entry, error)) ([]conf.Problem, error) {
	return w.change(ctx, func() (policies.Bundle, error) {
		p, problems := policy.Parse("", nil, policy.Options{Entries: w.s.entriesFile()})
		if len(problems) > 0 {
			return nil, problems[0]
		}
		list, err := edit(p.Entries())
		if err != nil {
			return nil, err
		}
		path, err := filepath.Abs(w.s.entriesFile())
		return policies.Bundle{path: string(policy.WriteEntries(list))}, err
	})
}

// change puts files in place and takes them over, or leaves everything as it was. It runs where reloads run, so that
// no two changes meet.
func (w *workshop) change(ctx context.Context, make func() (policies.Bundle, error)) (problems []conf.Problem, err error) {
	leave, err := w.take(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	asked := w.s.ask(ctx, func() {
		var next, before policies.Bundle
		var surplus []string
		var back func() error
		if next, err = make(); err != nil {
			return
		}
		_, tests, bad := w.compile(ctx, next)
		if bad = append(bad, failures(tests)...); len(bad) > 0 {
			problems = shortened(bad)
			return
		}
		if before, err = present(next); err != nil {
			return
		}
		if surplus, err = w.s.surplus(next); err != nil {
			return
		}
		if back, err = policies.SetAside(surplus); err != nil {
			return
		}
		if err = next.Place(""); err == nil {
			problems = shortened(w.s.tryReload(ctx))
		}
		if err != nil || len(problems) > 0 {
			err = errors.Join(err, before.Place(w.s.entriesFile()), back())
			return
		}
		w.s.troubles.note("configuration", nil)
		w.s.log.Info("policy changed on the review pages", "generation", w.s.gateway.Snapshot().Gen)
	})
	return problems, errors.Join(err, asked)
}

// present is the files of b as they are on the disk now.
func present(b policies.Bundle) (policies.Bundle, error) {
	now := policies.Bundle{}
	for path := range b {
		if _, err := now.Read(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
		}
	}
	return now, nil
}

// Rescan implements admin.Rescanner: the stored content under the filters and the policy of now.
func (w *workshop) Rescan(ctx context.Context, id string) (admin.Rescan, error) {
	e, err := w.s.quarantine.Entry(ctx, id)
	if err != nil {
		return admin.Rescan{}, err
	}
	content, err := w.s.quarantine.Open(ctx, id)
	if err != nil {
		return admin.Rescan{}, err
	}
	defer content.Close()
	held := errand{ClientIP: e.Client, Helo: e.Helo, MailFrom: e.MailFrom}
	for _, r := range e.Rcpts {
		held.Rcpt = append(held.Rcpt, r.Address)
	}
	env, err := held.envelope(nil)
	if err != nil {
		return admin.Rescan{}, fmt.Errorf("scan %s again: %w", id, err)
	}
	env.ID = e.ID
	snap := w.s.gateway.Snapshot()
	var before filters.Report
	<-snap.Chain.Run(ctx, filters.AtEnvelope, &mail.Mail{Envelope: env}, &before)
	in := snap.Inspect(ctx, env, content, before)
	<-in.Ended
	r := admin.Rescan{Class: in.Decision.Class, Action: in.Decision.Action}
	for _, f := range in.Report.Failures {
		if snap.Policy.FailureOf(f.Filter) != policy.Accept {
			r.NotRun = append(r.NotRun, f.Filter)
		}
	}
	for _, c := range in.Decision.Decided {
		for _, f := range in.Report.Findings {
			if f.Code == c {
				r.Text = f.Text
			}
		}
	}
	return r, nil
}
