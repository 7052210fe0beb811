package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/disk"
	"gatepost/gateway/forward"
)

// holdCmd groups the commands of the hold queue. They work beside a running gateway: they read its files, and leave
// what they want done where it finds it.
type holdCmd struct {
	List   holdListCmd   `cmd:"" help:"List accepted mail that waits for its next hop, oldest first."`
	Show   holdShowCmd   `cmd:"" help:"Show one waiting message and its text."`
	Retry  holdRetryCmd  `cmd:"" help:"Try delivery now."`
	Cancel holdCancelCmd `cmd:"" help:"Remove waiting messages for good; nobody is told."`
}

// heldLine is a message on hold as JSON shows it.
type heldLine struct {
	ID       string    `json:"id"`
	MailFrom string    `json:"mail_from"`
	Rcpts    []string  `json:"rcpt"` // who still wait
	Size     int64     `json:"size"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Next     time.Time `json:"next,omitzero"`
	Attempts int       `json:"attempts"`
	Last     string    `json:"last,omitempty"`
	Telling  bool      `json:"telling,omitempty"` // only the sender is still to be told of a refusal
}

// to says for whom the message waits.
func (l heldLine) to() string {
	if l.Telling {
		return "notice to " + strings.Join(l.Rcpts, ", ")
	}
	return strings.Join(l.Rcpts, ", ")
}

func lineOf(h forward.Held) heldLine {
	l := heldLine{
		ID: h.ID, MailFrom: h.Envelope.From.String(), Rcpts: []string{}, Size: h.Size, Since: h.Since, Until: h.Until, Next: h.Next, Attempts: h.Attempts, Last: h.Last, Telling: h.Telling,
	}
	for _, r := range h.Rcpts {
		l.Rcpts = append(l.Rcpts, r.String())
	}
	return l
}

// heldMail opens the queue's files for reading.
func (a *app) heldMail() (view forward.HoldView, dataDir string, err error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return view, "", err
	}
	keys, err := disk.ParseKeys(cfg.Quarantine.Key.Reveal())
	if err != nil {
		return view, "", fmt.Errorf("quarantine.key: %w", err)
	}
	dataDir = string(cfg.DataDir)
	return forward.ViewHold(holdDir(dataDir), keys), dataDir, nil
}

// holdListCmd is `gatepost hold list`.
type holdListCmd struct {
	JSON bool `name:"json" help:"Print one JSON array."`
}

// Run lists.
func (c *holdListCmd) Run(a *app) error {
	view, _, err := a.heldMail()
	if err != nil {
		return err
	}
	list, damaged, err := view.List()
	if err != nil {
		return err
	}
	for _, name := range damaged {
		fmt.Fprintln(a.errs, "damaged:", name)
	}
	if c.JSON {
		lines := make([]heldLine, len(list))
		for i, h := range list {
			lines[i] = lineOf(h)
		}
		return writeLine(a.out, lines)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.out, "nothing is on hold")
		return err
	}
	t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSINCE\tBYTES\tTRIED\tFROM\tTO\tLAST ANSWER")
	for _, h := range list {
		l := lineOf(h)
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", l.ID, l.Since.UTC().Format("2006-01-02 15:04"), l.Size, l.Attempts,
			mail.Printable(l.MailFrom, 40), mail.Printable(l.to(), 60), mail.Printable(l.Last, 60))
	}
	return t.Flush()
}

// holdShowCmd is `gatepost hold show`.
type holdShowCmd struct {
	ID   string `arg:"" help:"The message's id."`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// Run shows one message.
func (c *holdShowCmd) Run(a *app) error {
	view, _, err := a.heldMail()
	if err != nil {
		return err
	}
	h, src, closer, err := view.Show(c.ID)
	if err != nil {
		return fmt.Errorf("%s: %w", mail.Printable(c.ID, 100), err)
	}
	defer closer.Close()
	l := lineOf(h)
	if c.JSON {
		return writeLine(a.out, l)
	}
	fmt.Fprintf(a.out, "%s  %d bytes  on hold since %s, until %s\nfrom <%s> to %s\ntried %d times\n", l.ID, l.Size, l.Since.UTC().Format(time.RFC3339),
		l.Until.UTC().Format(time.RFC3339), mail.Printable(l.MailFrom, 320), mail.Printable(l.to(), 2000), l.Attempts)
	if l.Last != "" {
		fmt.Fprintf(a.out, "last answer %s\nnext attempt about %s\n", mail.Printable(l.Last, 300), l.Next.UTC().Format(time.RFC3339))
	}
	m := mail.Parse(src)
	_, err = fmt.Fprintf(a.out, "subject %s\n\n%s\n", mail.Printable(m.Subject(), 300), terminalText(m.Text()))
	return err
}

// holdRetryCmd is `gatepost hold retry`.
type holdRetryCmd struct {
	IDs  []string `arg:"" optional:"" name:"id" help:"Messages to try now."`
	All  bool     `help:"Try every message."`
	JSON bool     `name:"json" help:"Print one JSON object."`
}

// Run asks for an attempt.
func (c *holdRetryCmd) Run(a *app) error {
	if c.All == (len(c.IDs) > 0) {
		return a.misused("hold retry", "name the messages to try, or --all")
	}
	return a.wish(wish{Do: "retry", IDs: c.IDs}, func(forward.HoldView) error {
		if c.JSON {
			return writeLine(a.out, map[string]any{"tried": append([]string{}, c.IDs...), "all": c.All})
		}
		_, err := fmt.Fprintln(a.out, "delivery is tried now; gatepost hold list shows what still waits")
		return err
	})
}

// holdCancelCmd is `gatepost hold cancel`.
type holdCancelCmd struct {
	IDs  []string `arg:"" name:"id" help:"Messages to remove."`
	JSON bool     `name:"json" help:"Print one JSON array."`
}

// Run asks for the removal and says whether it came about.
func (c *holdCancelCmd) Run(a *app) error {
	return a.wish(wish{Do: "cancel", IDs: c.IDs}, func(view forward.HoldView) error {
		left := false
		told := []cancelled{}
		for _, id := range c.IDs {
			_, _, closer, err := view.Show(id)
			if errors.Is(err, forward.ErrNotHeld) {
				told = append(told, cancelled{ID: id, Removed: true})
				continue
			}
			if err == nil {
				err = errors.Join(forward.ErrHoldBusy, closer.Close())
			}
			left = true
			told = append(told, cancelled{ID: id, Error: err.Error()})
		}
		if err := printCancelled(a.out, told, c.JSON); err != nil {
			return err
		}
		if left {
			return exit(1)
		}
		return nil
	})
}

// A cancelled says what came of the wish to remove one message.
type cancelled struct {
	ID      string `json:"id"`
	Removed bool   `json:"removed"`
	Error   string `json:"error,omitempty"`
}

// printCancelled prints one line a message, or one JSON array.
func printCancelled(w io.Writer, list []cancelled, asJSON bool) error {
	if asJSON {
		return writeLine(w, list)
	}
	for _, c := range list {
		said := "removed"
		if !c.Removed {
			said = "still there: " + c.Error
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", c.ID, said); err != nil {
			return err
		}
	}
	return nil
}

// wish leaves a wish for messages that are there, waits until the gateway has taken it, and lets after tell what came of
// it. Without a running gateway it takes the wish back: nothing shall happen long after it was asked for.
func (a *app) wish(w wish, after func(forward.HoldView) error) error {
	view, dataDir, err := a.heldMail()
	if err != nil {
		return err
	}
	for _, id := range w.IDs {
		_, _, c, err := view.Show(id)
		if err != nil {
			return fmt.Errorf("%s: %w", mail.Printable(id, 80), err)
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	w.By = operator()
	done, err := w.ask(requestDir(dataDir))
	if err != nil {
		return err
	}
	if !done {
		return errors.New("no gateway is running on this data directory; it tries by itself once it is started")
	}
	return after(view)
}
