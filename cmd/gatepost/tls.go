package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway"
	"gatepost/gateway/journal"
)

// tlsCmd groups the commands about the protection of incoming mail.
type tlsCmd struct {
	Report  tlsReportCmd  `cmd:"" help:"Say who would be cut off if TLS were required, how much wanted mail that is, and whose handshakes fail."`
	Records tlsRecordsCmd `cmd:"" help:"Print the DNS records by which senders know that mail for us must be encrypted (DANE, MTA-STS, TLS-RPT), and which of them are published."`
}

// tlsReportCmd is `gatepost tls report`.
type tlsReportCmd struct {
	Since string `default:"14d" help:"How far to look back."`
	JSON  bool   `name:"json" help:"Print one JSON object."`
}

// Run counts the journal and prints the report.
func (c *tlsReportCmd) Run(a *app) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	since, err := sinceTime(c.Since)
	if err != nil {
		return err
	}
	p := tlsPolicy(cfg)
	report := gateway.NewTLSReport(&p)
	err = journal.NewReader(filepath.Join(string(cfg.DataDir), "journal")).Scan(a.ctx, since, time.Time{}, func(r *journal.Record) error {
		report.Add(r)
		return nil
	})
	if err != nil {
		return err
	}
	s := report.Summary(since)
	if c.JSON {
		return writeLine(a.out, s)
	}
	return printTLSReport(a.out, s)
}

// printTLSReport writes the report for people.
func printTLSReport(w io.Writer, s *gateway.TLSSummary) error {
	fmt.Fprintf(w, "since %s: %d messages, %d of them in clear text, of which %d were delivered\n", s.Since.UTC().Format("2006-01-02 15:04"), s.Messages, s.Plain, s.PlainWanted)
	if len(s.CutOff) == 0 {
		fmt.Fprintln(w, "nobody would be cut off if TLS were required")
	} else {
		fmt.Fprintln(w, "\nwould be cut off if TLS were required of everybody:")
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "SENDER\tMESSAGES\tDELIVERED\tREFUSED\tEXEMPT\tASKED NOW\tLAST\tCLIENTS\tHANDSHAKE")
		for _, r := range s.CutOff {
			trouble := r.Error
			if trouble == "" {
				trouble = "never tried, or never failed"
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", senderName(r), r.Messages, r.Wanted, r.Refused, r.Exempt, orDash(r.Stage),
				r.Last.UTC().Format("2006-01-02"), mail.Printable(strings.Join(r.Clients, " "), 60), mail.Printable(trouble, 80))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if s.Others > 0 {
			fmt.Fprintf(w, "and %d messages of further senders\n", s.Others)
		}
	}
	if len(s.Failing) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nhandshakes that failed:")
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "CLIENT\tNAME\tTIMES\tLAST\tWHY")
	for _, c := range s.Failing {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", c.Client, orDash(mail.Printable(c.Name, 60)), c.Failed, c.Last.UTC().Format("2006-01-02 15:04"), mail.Printable(c.Error, 80))
	}
	return t.Flush()
}

// senderName is a sender's domain, and whether it ever proved it.
func senderName(r gateway.TLSSender) string {
	switch {
	case r.Domain == "":
		return "<>"
	case r.Proven:
		return mail.Printable(r.Domain, 60)
	}
	return mail.Printable(r.Domain, 60) + " (unproven)"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
