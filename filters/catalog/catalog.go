// Package catalog lists the filters there are: one map literal. It is not a registry: nothing adds to it but this file.
package catalog

import (
	"maps"
	"slices"
	"time"

	"gatepost/filters"
	"gatepost/filters/attach"
	"gatepost/filters/auth"
	"gatepost/filters/bayes"
	"gatepost/filters/content"
	"gatepost/filters/dnsbl"
	"gatepost/filters/headers"
	"gatepost/filters/route"
	"gatepost/filters/spoof"
	"gatepost/filters/traffic"
	"gatepost/filters/yara"
	"gatepost/rules"
	"gatepost/rules/conf"
)

// Deps is what filters may be given.
type Deps struct {
	Resolver   auth.Resolver
	AuthServID string          // our name in Authentication-Results
	OurDomains map[string]bool // whom we accept mail for
	Replays    auth.Replays    // counts who gets what was signed; nil: nobody counts
	Traffic    traffic.Memory  // what came to this site lately; nil: nobody remembers
	Lists      dnsbl.Resolver  // for questions to block lists, which the administrator chose
	Sentry     *dnsbl.Sentry   // knows which block lists may be believed
	People     People          // who writes to this site; nil: nobody remembers
	VIPs       []spoof.Person  // whose names the policy's lists protect
	Rules      *rules.Set      // what content looks for
	Learned    bayes.Source    // what the site's own mail taught; nil: nothing
	YARA       *yara.Shelf     // the compiled YARA rules of this configuration; nil: they are compiled each time
}

// Sections holds the filters' own sections of the configuration. config.Filters is one.
type Sections interface {
	// Decode reads a filter's section over its Config's defaults.
	Decode(name string, into any) []conf.Problem
	Enabled(name string) bool
}

// An entry says when a filter runs, how long it may take, what it may find and how it is made: nil, if what it needs is
// not configured.
type entry struct {
	stage   filters.Stage
	timeout time.Duration
	codes   func() []filters.Code
	build   func(Sections, Deps) (filters.Filter, []conf.Problem)
}

// order is the order of reports.
func order() []string {
	return []string{
		"headers",
		"route",
		"auth",
		"attach",
		"links",
		"spoof",
		"bulk",
		"content",
		"bayes",
		"dnsbl",
		"traffic",
		"clamd",
		"icap",
		"yara",
		"milter",
		"rspamd",
		"spamd",
		"hook",
	}
}

// entries is the catalog.
func entries() map[string]entry {
	all := map[string]entry{
		"headers": {filters.AtMessage, 10 * time.Second, headers.Codes, func(s Sections, _ Deps) (filters.Filter, []conf.Problem) {
			var c headers.Config
			problems := s.Decode("headers", &c)
			return headers.New(c), problems
		}},
		"route": {filters.AtMessage, 5 * time.Second, route.Codes, func(s Sections, _ Deps) (filters.Filter, []conf.Problem) {
			var c route.Config
			problems := s.Decode("route", &c)
			return route.New(c), problems
		}},
		"auth": {filters.AtMessage, 25 * time.Second, auth.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
			var c auth.Config
			problems := s.Decode("auth", &c)
			c.Hostname, c.Replays = d.AuthServID, d.Replays
			return auth.New(c, d.Resolver, d.OurDomains), problems
		}},
		"attach": {filters.AtMessage, 20 * time.Second, attach.Codes, func(s Sections, _ Deps) (filters.Filter, []conf.Problem) {
			var c attach.Config
			problems := s.Decode("attach", &c)
			return attach.New(c), problems
		}},
		"content": {filters.AtMessage, 20 * time.Second, content.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
			var c content.Config
			problems := s.Decode("content", &c)
			return content.New(c, d.Rules), problems
		}},
		"links":   linksEntry(),
		"spoof":   spoofEntry(),
		"bulk":    bulkEntry(),
		"traffic": trafficEntry(),
		"dnsbl":   {filters.AtMessage, 25 * time.Second, dnsbl.Codes, buildLists},
		"bayes": {filters.AtMessage, 10 * time.Second, bayes.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
			var c bayes.Config
			problems := s.Decode("bayes", &c)
			return bayes.New(c, d.Learned), problems
		}},
	}
	maps.Copy(all, engines())
	return all
}

// buildLists makes the dnsbl filter.
func buildLists(s Sections, d Deps) (filters.Filter, []conf.Problem) {
	var c dnsbl.Config
	problems := s.Decode("dnsbl", &c)
	f, err := dnsbl.New(c, d.Lists, d.Sentry, d.OurDomains)
	if err != nil {
		problems = append(problems, conf.Problem{Message: err.Error()})
	}
	return f, problems
}

// Lists are the block lists that a configuration asks; none if the filter is off or its section is wrong.
func Lists(s Sections) []dnsbl.List {
	var c dnsbl.Config
	if !s.Enabled("dnsbl") || len(s.Decode("dnsbl", &c)) > 0 {
		return nil
	}
	lists, err := c.Asked()
	if err != nil {
		return nil
	}
	return lists
}

// Names lists every filter there is, in the order of reports.
func Names() []string { return order() }

// Codes lists every finding that any filter may state.
func Codes() []filters.Code {
	var all []filters.Code
	list := entries()
	for _, name := range order() {
		all = append(all, list[name].codes()...)
	}
	return all
}

// CodesOf lists every finding that any filter may state at a site with these sections and rules.
func CodesOf(s Sections, set *rules.Set) []filters.Code {
	codes := append(Codes(), content.RuleCodes(set)...)
	var lists dnsbl.Config
	if len(s.Decode("dnsbl", &lists)) == 0 {
		codes = append(codes, dnsbl.OwnCodes(lists)...)
	}
	return append(codes, ownCodes(s)...)
}

// Weights are the points that findings bring along; the shipped policy gives the others theirs.
func Weights(set *rules.Set) map[string]float64 { return content.Weights(set) }

// outside are the filters that ask a program or a service beside the gateway.
func outside() []string { return []string{"clamd", "icap", "milter", "rspamd", "spamd", "hook"} }

// Alone is s without the filters that ask a program or a service beside the gateway: what is judged by it does not depend on
// who answers today.
func Alone(s Sections) Sections { return alone{s} }

type alone struct{ Sections }

// Enabled implements Sections.
func (a alone) Enabled(name string) bool {
	return !slices.Contains(outside(), name) && a.Sections.Enabled(name)
}

// Build makes the chain of the enabled filters. Problems of all sections come back at once.
func Build(s Sections, d Deps) (*filters.Chain, []conf.Problem) {
	var links []filters.Link
	var problems []conf.Problem
	list := entries()
	for _, name := range order() {
		e := list[name]
		f, p := e.build(s, d)
		problems = append(problems, p...)
		if f != nil && s.Enabled(name) {
			links = append(links, filters.Link{Name: name, Stage: e.stage, Timeout: e.timeout, Filter: f})
		}
	}
	return filters.NewChain(links), problems
}
