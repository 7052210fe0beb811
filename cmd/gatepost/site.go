package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gatepost/filters"
	"gatepost/filters/auth"
	"gatepost/filters/catalog"
	"gatepost/filters/dnsbl"
	"gatepost/filters/mail"
	"gatepost/filters/spoof"
	"gatepost/filters/yara"
	"gatepost/gateway"
	"gatepost/gateway/config"
	"gatepost/gateway/dns"
	"gatepost/gateway/forward"
	"gatepost/gateway/geo"
	"gatepost/gateway/learn"
	"gatepost/gateway/people"
	"gatepost/gateway/policies"
	"gatepost/policy"
	"gatepost/rules"
	"gatepost/rules/conf"
)

// inspectBudget is how long the filters of one message may take together, from the end of data to a decision.
const inspectBudget = 45 * time.Second

// A site is what a configuration describes, built as far as every command needs it.
type site struct {
	cfg *config.Config
	lasting
	snap    *gateway.Snapshot
	vips    []spoof.Person  // whose names the policy protects
	sources policies.Bundle // the files that the policy was read from
	rules   *rules.Set      // see loadRules
	packs   policies.Bundle // the site's rule packs that rules was made of
	yara    *yara.Shelf     // compiled once for all chains of this configuration
	alone   bool            // nobody beside the gateway is asked
}

// lasting is what outlives a reload of the configuration.
type lasting struct {
	resolver    *dns.Resolver
	sentry      *dnsbl.Sentry              // which block lists may be believed
	directories *directories               // LDAP servers
	learned     *learn.Slate               // what the site's own mail taught; nil: nothing
	replays     *replays                   // who gets what was signed; nil outside a running gateway
	trail       *trail                     // what came lately; likewise
	inForce     *atomic.Pointer[rules.Set] // the rules that messages are judged by; nil where a site is built for once
	people      *people.Book               // who writes to this site; nil where nobody shall remember, as in tests of a policy
}

// siteOptions say how much must be there.
type siteOptions struct {
	offline bool // without a configuration file, judge by the shipped policy
}

// configPath is the configuration to use: the -c flag, or the first default that exists.
func (a *app) configPath() (string, error) {
	if a.config != "" {
		return a.config, nil
	}
	for _, path := range []string{"gatepost.yaml", "/etc/gatepost/gatepost.yaml"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no configuration: there is neither gatepost.yaml here nor /etc/gatepost/gatepost.yaml; write one with gatepost init, or name it with -c")
}

// loadConfig reads the configuration and prints every problem with it.
func (a *app) loadConfig() (*config.Config, error) {
	path, err := a.configPath()
	if err != nil {
		return nil, err
	}
	cfg, problems := config.Load(path)
	if len(problems) > 0 {
		return nil, a.complain(problems)
	}
	return cfg, nil
}

// complain prints problems, one a line, and returns the exit that follows.
func (a *app) complain(problems []conf.Problem) error {
	problems = conf.Sorted(problems)
	if a.complainTo != nil {
		if err := a.complainTo(problems); err != nil {
			return err
		}
		return exit(1)
	}
	denied := false
	for _, p := range problems {
		fmt.Fprintln(a.errs, p.Error())
		denied = denied || strings.HasSuffix(p.Message, syscall.EACCES.Error())
	}
	if denied {
		notAllowed(a.errs)
	}
	return exit(1)
}

// openSite builds what the configuration describes.
func openSite(a *app, o siteOptions) (*site, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		if !o.offline || a.config != "" || errors.As(err, new(exit)) {
			return nil, err
		}
		cfg, _ = config.Parse("", []byte(scanConfig))
	}
	s, err := buildSite(a, cfg)
	if err != nil || !o.offline {
		return s, err
	}
	if err := s.recall(a.ctx); err != nil {
		fmt.Fprintf(a.errs, "gatepost: judging without the memory of people: %v\n", err)
	}
	// Nobody is waiting and nobody chose the questions: no limit by domain, so that results do not depend on the order.
	s.resolver = s.resolver.Unlimited()
	chain, problems := s.chain()
	if len(problems) > 0 {
		return nil, a.complain(problems)
	}
	s.snap.Chain = chain
	return s, nil
}

// scanConfig is what scan judges by where nothing is configured.
const scanConfig = `{version: 1, hostname: gatepost.invalid, domains: [{name: gatepost.invalid, downstream: ["127.0.0.1:25"]}]}`

// buildSite compiles a configuration.
func buildSite(a *app, cfg *config.Config) (*site, error) {
	resolver, err := dns.New(dns.Config{Servers: cfg.DNS.Servers, Trusted: cfg.DNS.Trusted, Timeout: conf.Duration(cfg.DNS.Timeout)})
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg, lasting: lasting{resolver: resolver, sentry: dnsbl.NewSentry(time.Now), replays: &replays{}, trail: newTrail(), directories: &directories{}, learned: &learn.Slate{}, inForce: &atomic.Pointer[rules.Set]{}}}
	if cfg.File != "" {
		s.learned = learn.Read(string(cfg.DataDir))
	}
	if s.people, err = newBook(); err != nil {
		return nil, err
	}
	snap, problems := s.snapshot(1)
	if len(problems) > 0 {
		return nil, a.complain(problems)
	}
	s.snap = snap
	s.inForce.Store(s.rules)
	return s, nil
}

// snapshot compiles all that an administrator can change without a restart. It is built whole or not at all.
func (s *site) snapshot(gen uint64) (*gateway.Snapshot, []conf.Problem) {
	domains, problems := s.domains()
	where, p := s.locator()
	problems = append(problems, p...)
	pol, p := s.policy()
	problems = append(problems, p...)
	if len(p) == 0 {
		s.vips = vipsOf(pol)
	}
	chain, p := s.chain()
	problems = append(problems, p...)
	sealer, p := s.sealer()
	problems = append(problems, p...)
	if len(problems) > 0 {
		return nil, problems
	}
	return &gateway.Snapshot{Gen: gen, Chain: chain, Policy: pol, Domains: domains, Sealer: sealer, KeepRefused: s.cfg.Quarantine.KeepRefused, Budget: inspectBudget, Bound: bounded,
		Limits: messageLimits(s.cfg), Trusted: s.cfg.TrustedNetworks, TLS: tlsPolicy(s.cfg), Geo: where, OwnName: s.cfg.AllowOwnName,
		Home: s.cfg.Domains[0].Name}, nil
}

// sealer makes what seals forwarded mail; nil where nothing is to be sealed.
func (s *site) sealer() (*auth.Sealer, []conf.Problem) {
	c := s.cfg.ARCSeal
	if !c.On() {
		return nil, nil
	}
	key, err := auth.ParseSealingKey([]byte(c.Key.Reveal()))
	if err != nil {
		return nil, []conf.Problem{c.Node.Key("key").Problemf("%v", err)}
	}
	sealer, err := auth.NewSealer(c.Domain, c.Selector, key)
	if err != nil {
		return nil, []conf.Problem{c.Node.Problemf("%v", err)}
	}
	return sealer, nil
}

// loadRules compiles the shipped rule packs and the site's, once, and checks their examples.
func (s *site) loadRules() []conf.Problem { return s.loadRulesOf(nil) }

// loadRulesOf is loadRules with the site's packs as they were kept, where kept has any.
func (s *site) loadRulesOf(kept policies.Bundle) []conf.Problem {
	if s.rules != nil {
		return nil
	}
	s.packs = policies.Bundle{}
	if old := s.packsIn(kept); len(old) > 0 {
		packs, err := rules.Shipped()
		if err != nil {
			return []conf.Problem{{Message: err.Error()}}
		}
		for _, path := range old {
			packs = append(packs, rules.Pack{File: path, Data: []byte(kept[path])})
			s.packs[path] = kept[path]
		}
		return s.compileRules(packs)
	}
	paths := make([]string, len(s.cfg.Rules))
	for i, p := range s.cfg.Rules {
		paths[i] = string(p)
	}
	packs, problems := rules.Read(paths, s.packs.Read)
	for i := range problems { // a pack that could not be read has no line of its own to name
		at := slices.Index(paths, problems[i].Pos.File)
		if named := s.cfg.Node.Key("rules").Items(); problems[i].Pos.Line == 0 && at >= 0 && at < len(named) {
			problems[i].Message = "rules: " + problems[i].Pos.File + ": " + problems[i].Message
			problems[i].Pos = named[at].Pos()
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return s.compileRules(packs)
}

// compileRules compiles packs, unless those in force are the very same.
func (s *site) compileRules(packs []rules.Pack) (problems []conf.Problem) {
	var before *rules.Set
	if s.inForce != nil {
		before = s.inForce.Load()
	}
	s.rules, problems = before.Again(packs...)
	return problems
}

// chain builds the enabled filters.
func (s *site) chain() (*filters.Chain, []conf.Problem) {
	if problems := s.loadRules(); len(problems) > 0 {
		return nil, problems
	}
	if s.yara == nil {
		s.yara = &yara.Shelf{}
	}
	ours := make(map[string]bool, len(s.cfg.Domains))
	for _, d := range s.cfg.Domains {
		ours[d.Name] = true
	}
	deps := catalog.Deps{
		Resolver: s.resolver, AuthServID: s.cfg.Hostname, OurDomains: ours, Lists: listAsker{s.resolver.Unlimited()}, Sentry: s.sentry, Rules: s.rules, VIPs: s.vips, YARA: s.yara,
	}
	if s.learned != nil {
		deps.Learned = s.learned
	}
	if s.replays != nil {
		deps.Replays = s.replays
	}
	if s.trail != nil {
		deps.Traffic = s.trail
	}
	if s.people != nil {
		deps.People = s.people
	}
	sections := catalog.Sections(s.cfg.Filters)
	if s.alone {
		sections = catalog.Alone(sections)
	}
	chain, problems := catalog.Build(sections, deps)
	return chain, append(problems, s.cfg.Filters.Unknown(catalog.Names())...)
}

// What the filters of one message may ask of the DNS (HOSTILE H-14, L-02).
const (
	maxQuestions = 100
	maxAsking    = 20 * time.Second
)

func bounded(ctx context.Context) context.Context {
	return dns.WithBudget(ctx, maxQuestions, maxAsking)
}

// A listAsker asks block lists. Their questions do not count against the budget of a message, which is for what its sender
// makes us ask: the filter bounds them itself, and no flood of links may keep SPF from being looked up.
type listAsker struct{ r *dns.Resolver }

// LookupNetIP implements dnsbl.Resolver.
func (l listAsker) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return l.r.LookupNetIP(dns.WithBudget(ctx, 1, maxAsking), network, host)
}

// policy loads the policy file, or the shipped policy where none is named, with the entries of the review pages.
func (s *site) policy() (*policy.Policy, []conf.Problem) {
	s.sources = policies.Bundle{}
	o := s.policyOptions()
	o.ReadFile = s.sources.Read
	return s.readPolicy(o)
}

// readPolicy loads the policy from wherever o reads it.
func (s *site) readPolicy(o policy.Options) (*policy.Policy, []conf.Problem) {
	if s.cfg.Policy == "" {
		return policy.Parse("", nil, o)
	}
	return policy.Load(string(s.cfg.Policy), o)
}

// policyOptions are what every policy is checked against. Where rules are broken, which snapshot tells, codes are not.
func (s *site) policyOptions() policy.Options {
	o := policy.Options{Filters: catalog.Names(), Entries: s.entriesFile()}
	if len(s.loadRules()) == 0 {
		o.Codes, o.Weights = catalog.CodesOf(s.cfg.Filters, s.rules), catalog.Weights(s.rules)
	}
	return o
}

// paperSite is a site that judges what was recorded: without filters and network.
func paperSite(a *app) (*site, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	return &site{cfg: cfg}, nil
}

// domains says whom mail is accepted for.
func (s *site) domains() (map[string]gateway.Domain, []conf.Problem) {
	var problems []conf.Problem
	domains := make(map[string]gateway.Domain, len(s.cfg.Domains))
	for _, d := range s.cfg.Domains {
		g := gateway.Domain{
			Route: strings.Join(append([]string{d.Protocol, d.TLS, d.WhenDown}, d.Downstream...), " "), Recipients: d.Recipients.Mode, Hold: d.WhenDown == "hold",
		}
		if d.Recipients.Mode == "file" {
			users, p := readUsers(string(d.Recipients.File))
			g.Users, problems = users, append(problems, p...)
		}
		if d.Recipients.Mode == "ldap" {
			dir, err := s.directories.open(d.Recipients.LDAP)
			if err != nil {
				problems = append(problems, d.Node.Key("recipients").Key("ldap").Problemf("%v", err))
				continue
			}
			g.Directory = dir
		}
		domains[d.Name] = g
	}
	return domains, problems
}

// locator reads the files that say where clients are.
func (s *site) locator() (*geo.Locator, []conf.Problem) {
	paths := make([]string, len(s.cfg.Geo.Databases))
	for i, p := range s.cfg.Geo.Databases {
		paths[i] = string(p)
	}
	l, err := geo.Open(paths)
	if err != nil {
		return nil, []conf.Problem{s.cfg.Node.Key("geo").Key("databases").Problemf("%v", err)}
	}
	return l, nil
}

// files are the files, beside configuration and policy, that a reload would read again.
func (s *site) files() []string {
	var all []string
	for _, p := range s.cfg.Geo.Databases {
		all = append(all, string(p))
	}
	for _, d := range s.cfg.Domains {
		if d.Recipients.Mode == "file" {
			all = append(all, string(d.Recipients.File))
		}
	}
	return all
}

// readUsers reads addresses, one a line; empty lines and # comments are skipped.
func readUsers(path string) (map[string]bool, []conf.Problem) {
	f, err := os.Open(path)
	if err != nil {
		return nil, []conf.Problem{{Pos: conf.Pos{File: path}, Message: fmt.Sprintf("cannot read recipients: %v", err)}}
	}
	defer f.Close()
	users := map[string]bool{}
	var problems []conf.Problem
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		addr, err := mail.ParseAddress(text)
		if err != nil {
			problems = append(problems, conf.Problem{Pos: conf.Pos{File: path, Line: n, Col: 1}, Message: fmt.Sprintf("%q is not an address: %v", text, err)})
			continue
		}
		users[addr.Canonical()] = true
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, conf.Problem{Pos: conf.Pos{File: path}, Message: fmt.Sprintf("cannot read recipients: %v", err)})
	}
	return users, problems
}

// routes are the configured domains as the forwarder takes them.
func (s *site) routes() []forward.Domain {
	var list []forward.Domain
	for _, d := range s.cfg.Domains {
		list = append(list, forward.Domain{
			Name: d.Name, Downstream: d.Downstream, TLS: d.TLS, Pins: d.Pins, Protocol: d.Protocol,
			Recipients: d.Recipients.Mode, WhenDown: d.WhenDown, Chunking: d.Chunking,
		})
	}
	return list
}
