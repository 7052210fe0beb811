package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// past opens the journal for reading, beside whoever writes it.
func (a *app) past() (*journal.Reader, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	return (&site{cfg: cfg}).records(a), nil
}

// explainCmd is `gatepost explain`.
type explainCmd struct {
	ID   string `arg:"" help:"The id that the reply and the headers named."`
	JSON bool   `name:"json" help:"Print one JSON result."`
}

// Run prints why a message was treated as it was.
func (c *explainCmd) Run(a *app) error {
	r, err := a.past()
	if err != nil {
		return err
	}
	rec, err := r.Lookup(a.ctx, c.ID)
	if errors.Is(err, journal.ErrNotFound) {
		return fmt.Errorf("%w; gatepost trace finds ids by address, Message-ID or IP", err)
	}
	if err != nil {
		return err
	}
	if rec.Decision == nil || rec.Report == nil {
		if c.JSON {
			return writeLine(a.out, rec)
		}
		return printStory(a.out, rec)
	}
	env, err := rec.Envelope()
	if err != nil {
		return err
	}
	result := policy.NewResult(env, rec.Report, *rec.Decision)
	result.Reply, result.Timings = rec.Reply, rec.Micros
	if c.JSON {
		return writeLine(a.out, result)
	}
	if err := result.Explain(a.out); err != nil {
		return err
	}
	return printFates(a.out, rec)
}

// traceCmd is `gatepost trace`.
type traceCmd struct {
	Query string `arg:"" help:"An id, Message-ID, address, @domain or IP address."`
	Since string `default:"90d" help:"How far to look back."`
	JSON  bool   `name:"json" help:"Print one JSON record a line."`
}

// Run prints everything that happened.
func (c *traceCmd) Run(a *app) error {
	r, err := a.past()
	if err != nil {
		return err
	}
	since, err := sinceTime(c.Since)
	if err != nil {
		return err
	}
	list, err := r.Trace(a.ctx, journal.Query{Word: c.Query, Since: since})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintf(a.errs, "nothing is known of %s: it never came here, or longer ago than the journal keeps\n", mail.Printable(c.Query, 200))
		return exit(1)
	}
	for _, rec := range list {
		if c.JSON {
			err = writeLine(a.out, rec)
		} else {
			err = printStory(a.out, rec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// printStory is one record in a few lines.
func printStory(w io.Writer, r *journal.Record) error {
	what := string(r.Kind)
	switch {
	case r.Action != "":
		what = r.Action + " by " + r.Actor
	case r.Verb != "":
		what = "refused at " + r.Verb
	case r.Decision != nil:
		what = "judged " + string(r.Decision.Action)
	}
	fmt.Fprintf(w, "%s  %s  %s\n", r.Time.UTC().Format(time.RFC3339), r.ID, what)
	if r.Client.IsValid() {
		fmt.Fprintf(w, "  client %s %sHELO %s\n", r.Client, whence(r), mail.Printable(r.Helo, 100))
	}
	if r.Kind == journal.Message || r.Verb != "" {
		fmt.Fprintf(w, "  from <%s> to %s\n", mail.Printable(r.From, 320), mail.Printable(strings.Join(r.Rcpts, ", "), 500))
	}
	if r.Subject != "" {
		fmt.Fprintf(w, "  subject %s\n", mail.Printable(r.Subject, 200))
	}
	for _, b := range r.Because {
		fmt.Fprintf(w, "  because %s (%s)\n", mail.Printable(b.Text, 200), b.At)
	}
	if r.Note != "" {
		fmt.Fprintf(w, "  %s\n", mail.Printable(r.Note, 300))
	}
	return printFates(w, r)
}

// whence is the client's name, country and network, as far as they are known, with a blank after each.
func whence(r *journal.Record) string {
	var b strings.Builder
	if r.Name != "" {
		b.WriteString(r.Name + " ")
	}
	if r.Country != "" {
		b.WriteString(r.Country + " ")
	}
	if r.ASN != 0 {
		fmt.Fprintf(&b, "AS%d ", r.ASN)
	}
	return b.String()
}

// printFates says what became of each copy and what the client was told.
func printFates(w io.Writer, r *journal.Record) error {
	for _, f := range r.Fates {
		fmt.Fprintf(w, "  %s: %s", mail.Printable(f.Rcpt, 320), f.Fate)
		if f.Hop != "" {
			fmt.Fprintf(w, " by %s", f.Hop)
		}
		if f.Reply != "" {
			fmt.Fprintf(w, ": %s", mail.Printable(f.Reply, 200))
		}
		fmt.Fprintln(w)
	}
	if r.Reply.Code == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "  the client was told %d %s %s\n", r.Reply.Code, r.Reply.Enhanced, r.Reply.Text)
	return err
}

// replayCmd is `gatepost replay`.
type replayCmd struct {
	Policy string `required:"" placeholder:"FILE" help:"The draft."`
	Since  string `default:"14d" help:"How far to look back."`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// Run judges what was recorded under the draft. It needs no network.
func (c *replayCmd) Run(a *app) error {
	s, err := paperSite(a)
	if err != nil {
		return err
	}
	r := s.records(a)
	since, err := sinceTime(c.Since)
	if err != nil {
		return err
	}
	draft, problems := policy.Load(c.Policy, s.policyOptions())
	if len(problems) > 0 {
		return a.complain(problems)
	}
	var scanErr error
	d := policy.Replay(func(yield func(policy.Past) bool) { scanErr = judged(a.ctx, r, since, time.Time{}, yield) }, draft)
	if scanErr != nil {
		return scanErr
	}
	if c.JSON {
		return writeLine(a.out, d)
	}
	return printDifferences(a.out, d)
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// judged yields every message that was judged since, until an instant or, if that is zero, now.
func judged(ctx context.Context, r *journal.Reader, since, until time.Time, yield func(policy.Past) bool) error {
	err := r.Scan(ctx, since, until, func(rec *journal.Record) error {
		if rec.Decision == nil || rec.Report == nil {
			return nil
		}
		env, err := rec.Envelope()
		if err != nil {
			return err
		}
		if !yield(policy.Past{Envelope: env, Report: rec.Report, Was: rec.Decision}) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// printDifferences is the table for people.
func printDifferences(w io.Writer, d policy.Differences) error {
	fmt.Fprintf(w, "%d messages judged again, %d would be treated otherwise, %d cannot be told from what was recorded\n", d.Judged, len(d.Differences), d.Unknown)
	for _, u := range d.Untold {
		fmt.Fprintf(w, "cannot be told: %s: %s\n", u.ID, mail.Printable(u.Lacks, 200))
	}
	if more := d.Unknown - len(d.Untold); more > 0 && len(d.Untold) > 0 {
		fmt.Fprintf(w, "cannot be told: %d more\n", more)
	}
	if len(d.Differences) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tWAS\tNOW\tFROM\tSUBJECT\tBECAUSE")
	for _, x := range d.Differences {
		why := ""
		if len(x.Because) > 0 {
			b := x.Because[len(x.Because)-1]
			why = strings.TrimSpace(b.Rule + " " + b.Code + " " + b.At)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, x.Was, x.Now, mail.Printable(x.From, 40), mail.Printable(x.Subject, 40), why)
	}
	return t.Flush()
}

// sinceTime reads a span such as 14d back from now.
func sinceTime(s string) (time.Time, error) {
	d, ok := conf.ParseDuration(s)
	if !ok {
		return time.Time{}, fmt.Errorf("%q is not a span of time such as 14d or 36h", s)
	}
	return time.Now().Add(-d), nil
}

// explainStored prints a result that was stored as JSON.
func explainStored(w io.Writer, stored []byte) error {
	if len(stored) == 0 {
		_, err := fmt.Fprintln(w, "no explanation was stored")
		return err
	}
	var r policy.Result
	if err := json.Unmarshal(stored, &r); err != nil {
		return fmt.Errorf("read stored explanation: %w", err)
	}
	return r.Explain(w)
}
