package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway"
	"gatepost/policy"
)

// scanCmd is `gatepost scan`.
type scanCmd struct {
	Files    []string `arg:"" optional:"" help:"Messages; - reads one from standard input."`
	JSON     bool     `name:"json" help:"Print one JSON result a line."`
	Batch    string   `placeholder:"IN.jsonl" help:"Judge the envelopes of a JSON Lines file, one result a line, in order; - reads standard input. The flags below are for what a line leaves out."`
	Workers  int      `default:"0" help:"Messages judged at once in a batch. Default: one a core."`
	ClientIP string   `name:"client-ip" placeholder:"IP" help:"Address of the client."`
	Helo     string   `help:"Name given in EHLO."`
	MailFrom string   `help:"Reverse-path; empty for bounces."`
	Rcpt     []string `sep:"none" placeholder:"ADDRESS" help:"Recipient; may be repeated."`
	Time     string   `placeholder:"RFC3339" help:"The clock to judge by, for signature expiry. Default: now."`
	TLS      bool     `name:"tls" help:"The message came over TLS."`
	Timings  bool     `help:"Add how long each filter took."`
}

// maxScan is the largest message that scan reads.
const maxScan = 256 << 20

// An errand is one message to judge, as a line of a batch gives it.
type errand struct {
	File     string   `json:"file"`
	ClientIP string   `json:"client_ip"`
	Helo     string   `json:"helo"`
	MailFrom string   `json:"mail_from"`
	Rcpt     []string `json:"rcpt"`
	Time     string   `json:"time"`
	TLS      bool     `json:"tls"`
}

// Run judges the files. Its exit code is 0 whatever the verdict, and 2 if a file could not be read.
func (c *scanCmd) Run(a *app) error {
	if (len(c.Files) == 0) == (c.Batch == "") {
		return a.misused("scan", "give files to scan, or - for standard input, or --batch; one of them")
	}
	if _, err := c.errand().envelope(nil); err != nil {
		return a.misused("scan", err.Error())
	}
	s, err := openSite(a, siteOptions{offline: true})
	if err != nil {
		return err
	}
	if c.Batch != "" {
		return c.batch(a, s)
	}
	failed := false
	for _, name := range c.Files {
		e := c.errand()
		e.File = name
		result, err := s.judge(a.ctx, e, c.Timings)
		if a.ctx.Err() != nil {
			return err
		}
		if err != nil {
			fmt.Fprintf(a.errs, "gatepost: %v\n", err)
			failed = true
			continue
		}
		if c.JSON {
			err = writeLine(a.out, result)
		} else {
			fmt.Fprintf(a.out, "%s\n", name)
			err = result.Explain(a.out)
		}
		if err != nil {
			return err
		}
	}
	if failed {
		return exit(2)
	}
	return nil
}

// errand is what the flags say of the envelope, for whatever file.
func (c *scanCmd) errand() errand {
	return errand{ClientIP: c.ClientIP, Helo: c.Helo, MailFrom: c.MailFrom, Rcpt: c.Rcpt, Time: c.Time, TLS: c.TLS}
}

// judge reads one message and judges it. The result's time is the clock that it was judged by: what is given the same
// time gives the same result tomorrow.
func (s *site) judge(ctx context.Context, e errand, timings bool) (*policy.Result, error) {
	content, err := readMessage(e.File)
	if err != nil {
		return nil, err
	}
	env, err := e.envelope(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.File, err)
	}
	in := s.inspect(ctx, env, content)
	if err := ctx.Err(); err != nil { // filters that were called back saw nothing of it
		return nil, fmt.Errorf("%s: %w", e.File, err)
	}
	result := policy.NewResult(env, &in.Report, in.Decision)
	if !timings {
		result.Timings = nil
	}
	return &result, nil
}

// inspect runs all stages over content, as serve would have.
func (s *site) inspect(ctx context.Context, env *mail.Envelope, content []byte) *gateway.Inspection {
	s.snap.Locate(env)
	var before filters.Report
	<-s.snap.Chain.Run(ctx, filters.AtEnvelope, &mail.Mail{Envelope: env}, &before)
	in := s.snap.Inspect(ctx, env, mail.Memory(content), before)
	<-in.Ended
	return in
}

// readMessage reads a file and gives it the line ends that it would have had on the wire.
func readMessage(name string) ([]byte, error) {
	var r io.Reader = os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxScan+1))
	if err != nil {
		return nil, err // it names the file
	}
	if len(b) > maxScan {
		return nil, fmt.Errorf("read %s: larger than %d bytes", name, maxScan)
	}
	return crlf(b), nil
}

// crlf makes a file that was stored with LF line ends what it was on the wire. A file that has any CRLF is left as it is.
func crlf(b []byte) []byte {
	if bytes.Contains(b, []byte("\r\n")) || !bytes.Contains(b, []byte("\n")) {
		return b
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// envelope makes the envelope that the errand describes.
func (e errand) envelope(content []byte) (*mail.Envelope, error) {
	env := &mail.Envelope{ID: e.id(content), Time: time.Now(), Helo: mail.Printable(e.Helo, 255), ESMTP: true}
	if e.Time != "" {
		t, err := time.Parse(time.RFC3339, e.Time)
		if err != nil {
			return nil, fmt.Errorf("time %q is not in the form 2006-01-02T15:04:05Z", e.Time)
		}
		env.Time = t
	}
	if e.ClientIP != "" {
		addr, err := netip.ParseAddr(e.ClientIP)
		if err != nil {
			return nil, fmt.Errorf("client address %q is not an IP address", e.ClientIP)
		}
		env.Remote = addr.Unmap()
	}
	if e.TLS {
		env.TLS = mail.TLS{Version: "TLS 1.3"}
	}
	if from := strings.Trim(e.MailFrom, "<>"); from != "" {
		addr, err := mail.ParseAddress(from)
		if err != nil {
			return nil, fmt.Errorf("sender %q: %w", from, err)
		}
		env.From = addr
	}
	for _, r := range e.Rcpt {
		addr, err := mail.ParseAddress(strings.Trim(r, "<>"))
		if err != nil {
			return nil, fmt.Errorf("recipient %q: %w", r, err)
		}
		env.Rcpts = append(env.Rcpts, addr)
	}
	if len(env.Rcpts) == 0 {
		addr, err := mail.ParseAddress("recipient@example.com")
		if err != nil {
			return nil, err
		}
		env.Rcpts = append(env.Rcpts, addr)
	}
	return env, nil
}

// id names a scan by what was scanned, so that results can be compared.
func (e errand) id(content []byte) string {
	h := sha256.New()
	h.Write(content)
	fmt.Fprintf(h, "\x00%s\x00%s\x00%s\x00%s", e.ClientIP, e.Helo, e.MailFrom, strings.Join(e.Rcpt, "\x00"))
	return "scan-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:13]))
}

// batch judges a file of errands with several workers and prints the results in order.
func (c *scanCmd) batch(a *app, s *site) error {
	in := os.Stdin
	if c.Batch != "-" {
		f, err := os.Open(c.Batch)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	workers := c.Workers
	if workers <= 0 {
		workers = cores()
	}
	out := bufio.NewWriterSize(a.out, 1<<16)
	failed, err := inOrder(lines(c.Batch, in), workers, func(line numbered) ([]byte, error) {
		e, err := c.read(line.text)
		var result *policy.Result
		if err == nil {
			result, err = s.judge(a.ctx, e, c.Timings)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", c.Batch, line.n, err)
		}
		return json.Marshal(result)
	}, func(b []byte, err error) error {
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(a.errs, "gatepost: %v\n", err)
			b, _ = json.Marshal(map[string]string{"error": err.Error()})
		}
		_, err = out.Write(append(b, '\n'))
		return err
	})
	if flushed := out.Flush(); err == nil { // what was judged before an error is told as well
		err = flushed
	}
	if err == nil && failed > 0 {
		return exit(2)
	}
	return err
}

// read reads a line of a batch; what it leaves out, the flags say. A path is looked for here and then beside the batch.
func (c *scanCmd) read(line string) (errand, error) {
	e := c.errand()
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, err
	}
	if e.File == "" {
		return e, errors.New(`no file is named; a line is {"file": "PATH", ...}`)
	}
	if c.Batch != "-" && e.File != "-" && !filepath.IsAbs(e.File) {
		if _, err := os.Stat(e.File); err != nil {
			e.File = filepath.Join(filepath.Dir(c.Batch), e.File)
		}
	}
	return e, nil
}

// writeLine prints v as one line of JSON.
func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
