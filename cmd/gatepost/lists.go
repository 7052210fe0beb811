package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/policy"
)

// listsCmd groups the commands about allow and deny entries.
type listsCmd struct {
	Show    listsShowCmd    `cmd:"" help:"Show every entry with its owner, reason, end and how often it decided, and the lists."`
	Preview listsPreviewCmd `cmd:"" help:"Show what a new entry would have decided of the recorded mail."`
}

// listsShowCmd is `gatepost lists show`.
type listsShowCmd struct {
	Since string `default:"14d" help:"How far back hits are counted."`
	JSON  bool   `name:"json" help:"Print one JSON object."`
}

// A shownEntry is one entry with what it did.
type shownEntry struct {
	policy.Entry
	Hits int  `json:"hits"`
	Over bool `json:"expired,omitempty"`
}

// Run prints the entries in the order in which they are asked.
func (c *listsShowCmd) Run(a *app) error {
	s, r, since, err := openPast(a, c.Since)
	if err != nil {
		return err
	}
	hits, err := entryHits(a.ctx, r, s.snap.Policy, since)
	if err != nil {
		return err
	}
	now := time.Now()
	entries := []shownEntry{}
	for _, e := range s.snap.Policy.Entries() {
		entries = append(entries, shownEntry{e, hits[e.At], !e.Expires.IsZero() && !now.Before(e.Expires)})
	}
	lists := s.snap.Policy.Lists()
	if c.JSON {
		return writeLine(a.out, map[string]any{"entries": entries, "lists": lists})
	}
	return printAccess(a, entries, lists)
}

// printAccess is the table for people.
func printAccess(a *app, entries []shownEntry, lists []policy.List) error {
	t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "AT\tENTRY\tHITS\tUNTIL\tOWNER\tREASON")
	for _, e := range entries {
		until := end(e.Expires)
		if e.Over {
			until += " (over)"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", e.At, entryText(e.Entry), e.Hits, until, mail.Printable(e.Owner, 40), mail.Printable(e.Reason, 60))
	}
	if len(lists) > 0 {
		fmt.Fprintln(t, "\nAT\tLIST\tSIZE\tUNTIL\tOWNER\tREASON")
	}
	for _, l := range lists {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", l.At, l.Name, l.Size, end(l.Expires), mail.Printable(l.Owner, 40), mail.Printable(l.Reason, 60))
	}
	return t.Flush()
}

// end is the last day of an entry or list, for people.
func end(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Add(-time.Second).UTC().Format(time.DateOnly)
}

// entryText is whom an entry is about, in a line.
func entryText(e policy.Entry) string {
	words := []string{"deny"}
	if e.Allow {
		words[0] = "allow"
	}
	for _, k := range []struct {
		name   string
		values []string
	}{{"client", e.Client}, {"helo", e.Helo}, {"sender", e.Sender}, {"recipient", e.Recipient}, {"country", e.Country}, {"asn", e.ASN}} {
		if len(k.values) > 0 {
			words = append(words, k.name, mail.Printable(strings.Join(k.values, ","), 100))
		}
	}
	if e.Unsafe {
		words = append(words, "unsafe")
	}
	return strings.Join(words, " ")
}

// listsPreviewCmd is `gatepost lists preview`.
type listsPreviewCmd struct {
	Entry []string `arg:"" help:"The entry, in words (deny sender_domain x.example) or as policy.yaml has it."`
	Since string   `default:"14d" help:"How far to look back."`
	JSON  bool     `name:"json" help:"Print one JSON object."`
}

// Run tries the entry on the past. It changes nothing.
func (c *listsPreviewCmd) Run(a *app) error {
	s, r, since, err := openPast(a, c.Since)
	if err != nil {
		return err
	}
	var scanErr error
	p, problems := s.snap.Policy.Preview(func(yield func(policy.Past) bool) { scanErr = attempted(a.ctx, r, since, yield) }, strings.Join(c.Entry, " "))
	if len(problems) > 0 {
		return a.complain(problems)
	}
	if scanErr != nil {
		return scanErr
	}
	if c.JSON {
		return writeLine(a.out, p)
	}
	fmt.Fprintf(a.out, "Of %d messages and attempts since %s it would have decided %d messages and %d attempts that were refused anyway.\n",
		p.Seen, since.UTC().Format(time.DateOnly), p.Messages, p.Attempts)
	return printDifferences(a.out, policy.Differences{Judged: p.Messages, Differences: p.Differences})
}

// openPast opens the policy and the journal.
func openPast(a *app, span string) (*site, *journal.Reader, time.Time, error) {
	since, err := sinceTime(span)
	if err != nil {
		return nil, nil, since, err
	}
	s, err := openSite(a, siteOptions{})
	if err != nil {
		return nil, nil, since, err
	}
	return s, s.records(a), since, nil
}

// attempt is the envelope of a record, with the recipients that were refused; nil for what is no mail and for what can
// not be read any more.
func attempt(r *journal.Record) *mail.Envelope {
	if r.Kind != journal.Message && r.Kind != journal.Refusal {
		return nil
	}
	env, err := r.Envelope()
	if err != nil {
		return nil
	}
	if r.Kind == journal.Refusal {
		for _, f := range r.Fates {
			if a, err := mail.ParseAddress(f.Rcpt); err == nil {
				env.Rcpts = append(env.Rcpts, a)
			}
		}
	}
	return env
}

// attempted yields every message and every attempt since.
func attempted(ctx context.Context, r *journal.Reader, since time.Time, yield func(policy.Past) bool) error {
	err := r.Scan(ctx, since, time.Time{}, func(rec *journal.Record) error {
		env := attempt(rec)
		if env != nil && !yield(policy.Past{Envelope: env, Report: rec.Report, Was: rec.Decision}) {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		return nil
	}
	return err
}

// entryHits counts the mail since an instant that each entry of access decides, by the place where the entry stands. It
// reads what was recorded: counting costs the mail itself nothing, lasts as long as the journal, and is the same in a
// cluster. What an entry refused says so itself; the rest is asked again.
func entryHits(ctx context.Context, r *journal.Reader, p *policy.Policy, since time.Time) (map[string]int, error) {
	hits := make(map[string]int)
	err := r.Scan(ctx, since, time.Time{}, func(rec *journal.Record) error {
		env := attempt(rec)
		switch {
		case env == nil:
		case len(rec.Because) > 0:
			hits[rec.Because[0].At]++
		default:
			if at := p.EntryFor(env, rec.Report); at != "" {
				hits[at]++
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count hits: %w", err)
	}
	return hits, nil
}
