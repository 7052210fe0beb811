package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// quarantineCmd groups the review commands. They work beside a running gateway.
type quarantineCmd struct {
	List    listCmd    `cmd:"" help:"List held messages, newest first."`
	Show    showCmd    `cmd:"" help:"Show one message: what it is, why it is held, and its text."`
	Release releaseCmd `cmd:"" help:"Give held copies to the next hop and print its reply."`
	Delete  deleteCmd  `cmd:"" help:"Delete held copies."`
	Export  exportCmd  `cmd:"" help:"Write a message as it came in to standard output."`
	Verify  verifyCmd  `cmd:"" help:"Read everything and report damage."`
}

// withStores runs do with the stores open, beside a running gateway.
func withStores(a *app, do func(*works) error) error {
	s, err := openSite(a, siteOptions{})
	if err != nil {
		return err
	}
	w, err := openStores(a.ctx, s, logger(a, s.cfg.Log), false)
	if err != nil {
		return err
	}
	defer w.close()
	return do(w)
}

// listCmd is `gatepost quarantine list`.
type listCmd struct {
	Text      string `arg:"" optional:"" help:"Words of subject, addresses, reasons or attachment names."`
	Class     string `enum:"spam,phish,malware,policy,any" default:"any" help:"spam, phish, malware or policy."`
	State     string `enum:"waiting,released,deleted,expired,any" default:"waiting" help:"waiting, released, deleted, expired or any."`
	Recipient string `help:"Copies for this address."`
	Since     string `help:"No older than, such as 7d."`
	Limit     int    `default:"50" help:"Most messages."`
	JSON      bool   `name:"json" help:"Print one JSON array."`
}

// Run lists.
func (c *listCmd) Run(a *app) error {
	q := quarantine.Query{Text: c.Text, Recipient: c.Recipient, Limit: c.Limit}
	if c.Class != "any" {
		q.Class = policy.Class(c.Class)
	}
	if c.State != "any" {
		q.State = quarantine.State(c.State)
	}
	if c.Since != "" {
		since, err := sinceTime(c.Since)
		if err != nil {
			return err
		}
		q.Since = since
	}
	return withStores(a, func(w *works) error {
		list, err := w.quarantine.List(a.ctx, q)
		if err != nil {
			return err
		}
		if c.JSON {
			if list == nil {
				list = []quarantine.Entry{}
			}
			return writeLine(a.out, list)
		}
		return printEntries(a.out, list)
	})
}

// printEntries is the list for people.
func printEntries(w io.Writer, list []quarantine.Entry) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "nothing is held")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tCLASS\tSCORE\tFROM\tSUBJECT")
	for _, e := range list {
		class := string(e.Class)
		if class == "" {
			class = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Time.UTC().Format("2006-01-02 15:04"), class, e.Score, mail.Printable(e.Author, 40), mail.Printable(e.Subject, 50))
	}
	return t.Flush()
}

// showCmd is `gatepost quarantine show`.
type showCmd struct {
	ID   string `arg:"" help:"The message's id."`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// Run shows one message.
func (c *showCmd) Run(a *app) error {
	return withStores(a, func(w *works) error {
		e, err := w.quarantine.Entry(a.ctx, c.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeLine(a.out, e)
		}
		return w.show(a, e)
	})
}

// maxText is how much of a message's text a terminal is shown.
const maxText = 16 << 10

// show prints an entry for people.
func (w *works) show(a *app, e *quarantine.Entry) error {
	fmt.Fprintf(a.out, "%s  %s  %d bytes  class %s  score %s\nfrom %s (envelope <%s>)\nclient %s HELO %s\nsubject %s\n",
		e.ID, e.Time.UTC().Format(time.RFC3339), e.Size, e.Class, e.Score, mail.Printable(e.Author, 320), mail.Printable(e.MailFrom, 320),
		e.Client, mail.Printable(e.Helo, 255), mail.Printable(e.Subject, 300))
	if e.Refused {
		fmt.Fprintln(a.out, "refused: its sender was told no, and may have written again; a release delivers this copy all the same")
	}
	for _, r := range e.Rcpts {
		fmt.Fprintln(a.out, strings.TrimRight(fmt.Sprintf("  %s: %s %s", mail.Printable(r.Address, 320), r.State, mail.Printable(r.Reply, 300)), " "))
	}
	if err := explainStored(a.out, e.Result); err != nil {
		return err
	}
	content, err := w.quarantine.Open(a.ctx, e.ID)
	if err != nil {
		return err
	}
	defer content.Close()
	text := mail.Parse(content).Text()
	fmt.Fprintf(a.out, "\n%s\n", terminalText(text))
	return nil
}

// terminalText makes text safe for a terminal and not too long; line ends are kept.
func terminalText(s string) string {
	lines := strings.Split(s[:min(len(s), maxText)], "\n")
	for i, l := range lines {
		lines[i] = mail.Printable(strings.TrimRight(l, "\r"), 1000)
	}
	return strings.Join(lines, "\n")
}

// releaseCmd is `gatepost quarantine release`.
type releaseCmd struct {
	ID   string   `arg:"" help:"The message's id."`
	Rcpt []string `sep:"none" placeholder:"ADDRESS" help:"Only this recipient's copy; may be repeated."`
	JSON bool     `name:"json" help:"Print one JSON array."`
}

// Run releases and prints what the next hop really said.
func (c *releaseCmd) Run(a *app) error {
	return withStores(a, func(w *works) error {
		f, err := w.newForwarder(w.site, nil)
		if err != nil {
			return err
		}
		w.carrier.set(f, w.routes())
		rcpts, err := w.copies(a.ctx, c.ID, c.Rcpt)
		if err != nil {
			return err
		}
		results, err := w.releaser().Release(a.ctx, c.ID, quarantine.Release{Key: rand.Text(), By: operator(), Rcpts: rcpts})
		if err != nil {
			return err
		}
		if c.JSON {
			if results == nil {
				results = []gateway.Released{}
			}
			err = writeLine(a.out, results)
		} else {
			err = printReleased(a.out, results)
		}
		if err == nil && slices.ContainsFunc(results, func(r gateway.Released) bool { return !r.OK }) {
			return exit(1)
		}
		return err
	})
}

// printReleased says what the next hop answered for each copy.
func printReleased(w io.Writer, results []gateway.Released) error {
	if len(results) == 0 {
		_, err := fmt.Fprintln(w, "no copy of it waits any more")
		return err
	}
	for _, r := range results {
		if _, err := fmt.Fprintf(w, "%s: %s\n", mail.Printable(r.Rcpt, 320), mail.Printable(r.Reply, 300)); err != nil {
			return err
		}
	}
	return nil
}

// copies are the recipients of a held message that were named, as the message has them: the case of letters does not
// matter in the shell. A name that has no copy is an error that says which there are.
func (w *works) copies(ctx context.Context, id string, named []string) ([]string, error) {
	e, err := w.quarantine.Entry(ctx, id)
	if err != nil && !errors.Is(err, quarantine.ErrDamaged) {
		return nil, err
	}
	var found, all []string
	for _, r := range e.Rcpts {
		all = append(all, r.Address)
	}
	for _, n := range named {
		i := slices.IndexFunc(all, func(a string) bool { return strings.EqualFold(a, strings.Trim(n, "<>")) })
		if i < 0 {
			return nil, fmt.Errorf("message %s has no copy for %q; it has copies for %s", id, n, mail.Printable(strings.Join(all, ", "), 500))
		}
		found = append(found, all[i])
	}
	return found, nil
}

// releaser gives held copies to the next hop.
func (w *works) releaser() *gateway.Releaser {
	return &gateway.Releaser{Quarantine: w.quarantine, Carrier: w.carrier, Journal: w.recorder(), Hostname: w.cfg.Hostname}
}

// operator names who works in the shell.
func operator() string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if v := os.Getenv(name); v != "" {
			return "shell:" + mail.Printable(v, 64)
		}
	}
	return "shell"
}

// deleteCmd is `gatepost quarantine delete`.
type deleteCmd struct {
	ID   string   `arg:"" help:"The message's id."`
	Rcpt []string `sep:"none" placeholder:"ADDRESS" help:"Only this recipient's copy; may be repeated."`
	JSON bool     `name:"json" help:"Print one JSON object."`
}

// Run deletes.
func (c *deleteCmd) Run(a *app) error {
	return withStores(a, func(w *works) error {
		rcpts, err := w.copies(a.ctx, c.ID, c.Rcpt)
		if err != nil {
			return err
		}
		if rcpts, err = w.remove(a.ctx, c.ID, rcpts, operator()); err != nil {
			return err
		}
		if c.JSON {
			return writeLine(a.out, map[string]any{"id": c.ID, "deleted": rcpts})
		}
		_, err = fmt.Fprintln(a.out, "deleted", c.ID)
		return err
	})
}

// remove deletes copies, of all recipients if none is named, and records who did. It returns whose copies they were.
func (w *works) remove(ctx context.Context, id string, rcpts []string, by string) ([]string, error) {
	e, err := w.quarantine.Entry(ctx, id)
	if err != nil && !errors.Is(err, quarantine.ErrDamaged) {
		return nil, err
	}
	if err := w.quarantine.Delete(ctx, id, by, rcpts); err != nil {
		return nil, err
	}
	rec := &journal.Record{V: journal.Version, Kind: journal.Disposal, ID: id, Time: time.Now(), Actor: by, Action: "delete", Subject: e.Subject, Author: e.Author, From: e.MailFrom}
	if len(rcpts) == 0 {
		for _, r := range e.Rcpts {
			rcpts = append(rcpts, r.Address)
		}
	}
	for _, r := range rcpts {
		rec.Rcpts, rec.Fates = append(rec.Rcpts, r), append(rec.Fates, journal.Fate{Rcpt: r, Fate: "deleted"})
	}
	return rec.Rcpts, w.recorder().Append(rec)
}

// exportCmd is `gatepost quarantine export`.
type exportCmd struct {
	ID   string `arg:"" help:"The message's id."`
	JSON bool   `name:"json" help:"Print one JSON object with the message in base64."`
}

// Run writes the content, byte for byte.
func (c *exportCmd) Run(a *app) error {
	return withStores(a, func(w *works) error {
		content, err := w.quarantine.Open(a.ctx, c.ID)
		if err != nil {
			return err
		}
		defer content.Close()
		if c.JSON {
			b, err := io.ReadAll(io.NewSectionReader(content, 0, content.Size()))
			if err != nil {
				return err
			}
			return writeLine(a.out, map[string]any{"id": c.ID, "size": len(b), "content": b})
		}
		_, err = io.Copy(a.out, io.NewSectionReader(content, 0, content.Size()))
		return err
	})
}

// verifyCmd is `gatepost quarantine verify`.
type verifyCmd struct {
	JSON bool `name:"json" help:"Print one JSON array."`
}

// Run reads every message and says which are damaged.
func (c *verifyCmd) Run(a *app) error {
	return withStores(a, func(w *works) error {
		n := 0
		damage, err := w.quarantine.Verify(a.ctx, func() { n++ })
		if err != nil {
			return err
		}
		if c.JSON {
			if damage == nil {
				damage = []quarantine.Damage{}
			}
			err = writeLine(a.out, damage)
		} else {
			for _, d := range damage {
				fmt.Fprintln(a.out, d)
			}
			fmt.Fprintf(a.out, "%d messages read, %d damaged\n", n, len(damage))
		}
		if err == nil && len(damage) > 0 {
			return exit(1)
		}
		return err
	})
}
