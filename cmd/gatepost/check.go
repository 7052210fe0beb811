package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/dnsbl"
	"gatepost/filters/mail"
	"gatepost/gateway"
	"gatepost/gateway/dns"
	"gatepost/gateway/privilege"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// checkCmd is `gatepost check`.
type checkCmd struct {
	JSON bool `name:"json" help:"Print one JSON object with all problems and notes."`
}

// A checked is what check tells a program.
type checked struct {
	OK       bool        `json:"ok"`
	Problems []complaint `json:"problems"`
	Notes    []complaint `json:"notes"`
	Tests    int         `json:"tests"` // passed tests of the policy
}

// A complaint is a problem or a note.
type complaint struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"did_you_mean,omitempty"`
}

// complaints turns problems into what JSON shows.
func complaints(problems []conf.Problem) []complaint {
	list := make([]complaint, len(problems))
	for i, p := range problems {
		list[i] = complaint{p.Pos.File, p.Pos.Line, p.Pos.Col, p.Message, p.Hint}
	}
	return list
}

// Run loads everything as serve would and runs the policy's tests.
func (c *checkCmd) Run(a *app) error {
	if c.JSON {
		a.complainTo = func(problems []conf.Problem) error {
			return writeLine(a.out, checked{Problems: complaints(problems), Notes: []complaint{}})
		}
	}
	s, err := openSite(a, siteOptions{})
	if err != nil {
		return err
	}
	if s.cfg.User != "" && os.Geteuid() == 0 { // as serve asks, which must become that user
		if _, err := privilege.Find(s.cfg.User); err != nil {
			return a.complain([]conf.Problem{{Pos: s.cfg.Node.Key("user").Pos(), Message: "user: " + err.Error()}})
		}
	}
	notes := slices.Concat(s.cfg.Notes, s.rules.Notes())
	if !c.JSON {
		for _, n := range notes {
			fmt.Fprintln(a.errs, "note: "+n.Error())
		}
	}
	report := s.runTests(a.ctx)
	if failed := failures(report); len(failed) > 0 {
		return a.complain(failed)
	}
	if c.JSON {
		return writeLine(a.out, checked{true, []complaint{}, complaints(notes), len(report.Results)})
	}
	_, err = fmt.Fprintf(a.out, "%s: no problems; %d policy tests passed\n", s.cfg.File, len(report.Results))
	return err
}

// testCmd is `gatepost test`.
type testCmd struct {
	From string `placeholder:"ID" help:"Instead, write a test of the recorded message with this id; addresses are redacted."`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// Run runs the policy's tests and prints what they reach.
func (c *testCmd) Run(a *app) error {
	s, err := openSite(a, siteOptions{})
	if err != nil {
		return err
	}
	if c.From != "" {
		return s.testFrom(a, c.From)
	}
	report := s.runTests(a.ctx)
	if c.JSON {
		err = writeLine(a.out, report)
	} else {
		err = printTests(a, report)
	}
	if err == nil && report.Failed() > 0 {
		return exit(1)
	}
	return err
}

// testFrom writes a test of what was recorded.
func (s *site) testFrom(a *app, id string) error {
	rec, err := s.records(a).Lookup(a.ctx, id)
	if err != nil {
		return err
	}
	if rec.Decision == nil || rec.Report == nil {
		return fmt.Errorf("%s was refused before it could be judged: there are no facts to test by", id)
	}
	env, err := rec.Envelope()
	if err != nil {
		return err
	}
	text, err := policy.TestFromRecord(s.snap.Policy, policy.Past{Envelope: env, Report: rec.Report, Was: rec.Decision})
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}

// printTests is the report for people.
func printTests(a *app, report policy.TestReport) error {
	for _, t := range report.Results {
		verdict := "ok  "
		if !t.Passed {
			verdict = "FAIL"
		}
		fmt.Fprintf(a.out, "%s %s (%s)\n", verdict, t.Name, t.At)
		for _, p := range t.Problems {
			fmt.Fprintf(a.out, "     %s\n", p)
		}
	}
	rules := len(report.Covered) + len(report.Uncovered)
	fmt.Fprintf(a.out, "%d tests, %d failed; %d of %d rules reached by a test\n", len(report.Results), report.Failed(), len(report.Covered), rules)
	for _, r := range report.Uncovered {
		fmt.Fprintf(a.out, "  no test reaches %s\n", r)
	}
	return nil
}

// failures are the failed tests as problems.
func failures(report policy.TestReport) []conf.Problem {
	var problems []conf.Problem
	for _, t := range report.Results {
		if !t.Passed {
			problems = append(problems, conf.Problem{Pos: t.Pos, Message: fmt.Sprintf("test %q: %s", t.Name, strings.Join(t.Problems, "; "))})
		}
	}
	return problems
}

// runTests runs the policy's tests; messages go through the real filters, with only the DNS answers that the test gives.
func (s *site) runTests(ctx context.Context) policy.TestReport {
	return s.snap.Policy.RunTests(ctx, time.Now(), s.judgeTest)
}

// judgeTest runs the filters over one test's message. Scanners and services beside the gateway are not asked: a policy that
// was good yesterday must not be refused, nor a gateway not be started, because one of them is down today.
func (s *site) judgeTest(ctx context.Context, given policy.Given) (*mail.Envelope, *filters.Report, error) {
	env := *given.Envelope
	content, err := readMessage(given.Message)
	if err != nil {
		return nil, nil, err
	}
	env.ID = errand{File: given.Message}.id(content)
	zone, err := dns.ServeZone(zoneText(given.DNS))
	if err != nil {
		return nil, nil, err
	}
	defer zone.Close()
	resolver, err := dns.New(dns.Config{Servers: []string{zone.Addr()}})
	if err != nil {
		return nil, nil, err
	}
	local := &site{alone: true, cfg: s.cfg, lasting: lasting{resolver: resolver, sentry: dnsbl.Believing()}, rules: s.rules, yara: s.yara, vips: s.vips}
	chain, problems := local.chain()
	if len(problems) > 0 {
		return nil, nil, problems[0]
	}
	local.snap = &gateway.Snapshot{Chain: chain, Policy: s.snap.Policy, Budget: inspectBudget, Bound: bounded}
	return &env, &local.inspect(ctx, &env, content).Report, nil
}

// zoneText writes a test's answers as a zone.
func zoneText(answers map[string][]string) string {
	var lines []string
	for question, values := range answers {
		for _, v := range values {
			lines = append(lines, question+" "+v)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
