package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/journal"
)

// auditCmd groups the commands about what people did.
type auditCmd struct {
	List   auditListCmd   `cmd:"" help:"Print what people did, oldest first."`
	Verify auditVerifyCmd `cmd:"" help:"Follow the chain of hashes and say where it is broken."`
}

// auditListCmd is `gatepost audit list`.
type auditListCmd struct {
	Since string `default:"30d" help:"How far to look back."`
	JSON  bool   `name:"json" help:"Print one JSON record a line."`
}

// Run prints the audit.
func (c *auditListCmd) Run(a *app) error {
	r, err := a.past()
	if err != nil {
		return err
	}
	since, err := sinceTime(c.Since)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	n := 0
	err = r.Audit(func(rec *journal.Record) error {
		switch {
		case rec.Time.Before(since):
			return nil
		case c.JSON:
			return writeLine(a.out, rec)
		}
		if n++; n == 1 {
			fmt.Fprintln(t, "TIME\tWHO\tDID\tMESSAGE\tTO\tNOTE")
		}
		_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", rec.Time.UTC().Format(time.DateTime), mail.Printable(rec.Actor, 40), mail.Printable(rec.Action, 40), orDash(mail.Printable(messageOf(rec), 40)), orDash(mail.Printable(strings.Join(rec.Rcpts, " "), 80)), mail.Printable(rec.Note, 120))
		return err
	})
	if n == 0 && !c.JSON && err == nil {
		_, err = fmt.Fprintln(a.out, "nobody did anything in that time")
	}
	return errors.Join(err, t.Flush())
}

// auditVerifyCmd is `gatepost audit verify`.
type auditVerifyCmd struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Run verifies the chain; it ends with 1 if it is broken.
func (c *auditVerifyCmd) Run(a *app) error {
	r, err := a.past()
	if err != nil {
		return err
	}
	lines, err := r.VerifyAudit()
	var broken *journal.BrokenError
	switch {
	case err != nil && !errors.As(err, &broken):
		return err
	case c.JSON:
		body := map[string]any{"lines": lines, "whole": broken == nil}
		if broken != nil {
			body["offset"], body["why"] = broken.Offset, broken.Why
		}
		if err := writeLine(a.out, body); err != nil {
			return err
		}
	case broken == nil:
		fmt.Fprintf(a.out, "the audit is whole: %d lines\n", lines)
	default:
		fmt.Fprintln(a.out, broken)
	}
	if broken != nil {
		return exit(1)
	}
	return nil
}

// messageOf is the id of the message that a record of the audit is about; empty: about none, and the id is the
// record's own.
func messageOf(rec *journal.Record) string {
	switch rec.Action {
	case "reload", "train", "greylist pass":
		return ""
	}
	return rec.ID
}
