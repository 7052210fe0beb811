package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"gatepost/gateway/dns"
	"gatepost/gateway/trial"
	"gatepost/policy"
)

// The one envelope that every message comes in. The client's host has a name, and nobody vouches for anything.
const (
	client   = "192.0.2.25"
	helo     = "mail.sender.example"
	mailFrom = "bounce@sender.example"
	rcpt     = "someone@recipient.example"
	zone     = "25.2.0.192.in-addr.arpa PTR mail.sender.example.\nmail.sender.example A 192.0.2.25\nsender.example A 192.0.2.25\nsender.example MX 10 mail.sender.example."
)

// A gatepost is the program with a data directory of its own.
type gatepost struct {
	binary string
	config string
	dir    string
}

// newGatepost writes a configuration into dir, which is emptied.
func newGatepost(binary, dir string, names *dns.Server) (*gatepost, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	g := &gatepost{binary: binary, config: filepath.Join(dir, "gatepost.yaml"), dir: dir}
	text := fmt.Sprintf("version: 1\nhostname: mx.recipient.example\ndata_dir: %s/data\ndomains: [{name: recipient.example, downstream: [\"127.0.0.1:2526\"]}]\n"+
		"dns: {servers: [%q]}\nfilters: {bayes: {min_spam: 50, min_ham: 50}}\n", dir, names.Addr())
	return g, os.WriteFile(g.config, []byte(text), 0o600)
}

// run runs one command and returns what it printed.
func (g *gatepost) run(args ...string) ([]byte, error) {
	cmd := exec.Command(g.binary, append(args, "-c", g.config)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("gatepost %s: %w\n%s", args[0], err, errs.Bytes())
	}
	return out.Bytes(), nil
}

// train teaches mail.
func (g *gatepost) train(mail []sample) error {
	for kind, spam := range map[string]bool{"spam": true, "ham": false} {
		args := []string{"train", kind}
		for _, m := range mail {
			if m.spam == spam {
				args = append(args, m.path)
			}
		}
		if _, err := g.run(args...); err != nil {
			return err
		}
	}
	return nil
}

// judge judges mail as serve would.
func (g *gatepost) judge(mail []sample) ([]trial.Case, error) {
	path := filepath.Join(g.dir, "batch.jsonl")
	var in bytes.Buffer
	e := json.NewEncoder(&in)
	for _, m := range mail {
		abs, err := filepath.Abs(m.path)
		if err != nil {
			return nil, err
		}
		if err := e.Encode(map[string]any{"file": abs, "client_ip": client, "helo": helo, "mail_from": mailFrom, "rcpt": []string{rcpt}}); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(path, in.Bytes(), 0o600); err != nil {
		return nil, err
	}
	out, err := g.run("scan", "--batch", path)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewReader(bytes.NewReader(out))
	cases := make([]trial.Case, 0, len(mail))
	for _, m := range mail {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("read result of %s: %w", m.path, err)
		}
		var r policy.Result
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("read result of %s: %w", m.path, err)
		}
		c := trial.Case{Set: m.source.name, Spam: m.spam, Name: filepath.Join(m.dir, m.name), Result: &r}
		if r.Message != nil {
			c.Subject = r.Message.Subject
		}
		cases = append(cases, c)
	}
	return cases, nil
}
