package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/conf"
	"gatepost/rules/dnslists"
)

// Config is the filter's section.
type Config struct {
	Confirm    []string                 `yaml:"confirm" default:"[]" doc:"Lists to ask of those that the program knows. To name one confirms that you have read its terms of use and keep to them; gatepost dnsbl list shows them all."`
	Keys       map[string]conf.Secret   `yaml:"keys" default:"{}" doc:"Your key for a list, by its name, where its operator gave you one."`
	Lists      map[string]dnslists.List `yaml:"lists" default:"{}" doc:"Lists of your own, by a name of letters, digits and hyphens."`
	Timeout    time.Duration            `yaml:"timeout" default:"5s" min:"100ms" max:"20s" doc:"How long the lists may take for one message; what has not answered by then was not looked at."`
	MaxDomains int                      `yaml:"max_domains" default:"20" min:"1" max:"50" doc:"Most domains of links that are asked about."`
}

// CheckConf looks for names that do not fit.
func (c *Config) CheckConf(n conf.Node) []conf.Problem {
	known, err := dnslists.Shipped()
	if err != nil {
		return []conf.Problem{n.Problemf("%v", err)}
	}
	var names []string
	for _, l := range known {
		names = append(names, l.Name)
	}
	var problems []conf.Problem
	for i, name := range c.Confirm {
		if !slices.Contains(names, name) {
			p := n.Key("confirm").Item(i).Problemf("there is no list %q; a list of your own goes under lists", name)
			p.Hint = conf.Suggest(name, names)
			problems = append(problems, p)
		}
	}
	for name := range c.Lists {
		if at := n.Key("lists").Key(name); slices.Contains(names, name) || !isName(name) {
			problems = append(problems, at.Problemf("%q is the name of a known list, or has other characters than a to z, 0 to 9 and hyphens", name))
		}
	}
	for name, key := range c.Keys {
		i := slices.IndexFunc(known, func(l dnslists.List) bool { return l.Name == name })
		_, own := c.Lists[name]
		switch at := n.Key("keys").Key(name); {
		case i < 0 && !own:
			problems = append(problems, at.Problemf("there is no list %q", name))
		case i >= 0 && known[i].Keyed == "" || own && c.Lists[name].Keyed == "":
			problems = append(problems, at.Problemf("list %q has no keys", name))
		case !isName(strings.ToLower(key.Reveal())):
			problems = append(problems, at.Problemf("the key of %q cannot be part of a domain name", name))
		}
	}
	return problems
}

// isName reports whether s can be one label of a domain and a part of a finding's code.
func isName(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// A List is one that is asked.
type List struct {
	dnslists.List
	zone string // with the key, which is a secret
}

// Asked are the lists that a configuration asks, by name.
func (c *Config) Asked() ([]List, error) {
	known, err := dnslists.Shipped()
	if err != nil {
		return nil, err
	}
	var out []List
	for _, l := range known {
		if slices.Contains(c.Confirm, l.Name) {
			out = append(out, c.keyed(l))
		}
	}
	for name, l := range c.Lists {
		l.Name = name
		out = append(out, c.keyed(l))
	}
	slices.SortFunc(out, func(a, b List) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// keyed puts the site's key before a list's zone.
func (c *Config) keyed(l dnslists.List) List {
	if key := c.Keys[l.Name].Reveal(); key != "" {
		return List{l, strings.ToLower(key) + "." + l.Keyed}
	}
	return List{l, l.Zone}
}

// A Resolver asks for the addresses of a name, in the shape of net.Resolver. An error that is a *net.DNSError with
// IsNotFound means that there are none; any other, that nobody knows.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A Filter asks lists. It is immutable but for its Sentry.
type Filter struct {
	cfg    Config
	lists  []List
	r      Resolver
	sentry *Sentry
	own    map[string]bool
}

// New makes the filter. own holds the domains that this site accepts mail for: no list is asked about them.
func New(cfg Config, r Resolver, s *Sentry, own map[string]bool) (*Filter, error) {
	lists, err := cfg.Asked()
	if err != nil {
		return nil, err
	}
	f := &Filter{cfg: cfg, lists: lists, r: r, sentry: s, own: map[string]bool{}}
	for d := range own {
		if org := mail.OrganizationalDomain(d); org != "" {
			f.own[org] = true
		}
	}
	return f, nil
}

// maxQuestions bounds what one message may cause, beyond which lists count as not asked.
const maxQuestions = 120

// A question is one name in one list.
type question struct {
	list *List
	ask  subject
	res  result
}

// A result is what became of a question.
type result struct {
	addrs []netip.Addr
	err   error
}

// Check implements filters.Filter.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	if len(f.lists) == 0 {
		return filters.Facts{}, nil
	}
	subjects, left := f.subjects(m)
	questions, more := f.questions(subjects)
	unfit := f.ask(ctx, questions)
	facts, errs := tell(questions)
	for i := range f.lists {
		if err := unfit[f.lists[i].Name]; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.lists[i].Name, err))
		}
	}
	if n := left + more; n > 0 {
		errs = append(errs, fmt.Errorf("%d names more than are asked about", n))
	}
	return facts, notLooked(errs)
}

// Warm asks about the envelope while the content is still to come.
func (f *Filter) Warm(ctx context.Context, env *mail.Envelope) {
	questions, _ := f.questions(f.envelope(env))
	f.ask(ctx, questions)
}

// questions pairs lists with what they are asked about. More is how many did not fit.
func (f *Filter) questions(subjects []subject) (out []question, more int) {
	for i := range f.lists {
		l := &f.lists[i]
		for _, s := range subjects {
			if !slices.Contains(l.Asks, s.kind) || slices.ContainsFunc(out, func(q question) bool { return q.list == l && q.ask.name == s.name }) {
				continue
			}
			if len(out) == maxQuestions {
				more++
				continue
			}
			out = append(out, question{list: l, ask: s})
		}
	}
	return out, more
}

// ask puts all questions at once and waits for the answers, at most as long as the site allows. It returns why lists
// were not asked.
func (f *Filter) ask(ctx context.Context, questions []question) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	unfit := f.unfit(ctx, questions)
	var wg sync.WaitGroup
	for i := range questions {
		q := &questions[i]
		if unfit[q.list.Name] != nil {
			continue
		}
		wg.Go(func() {
			q.res.addrs, q.res.err = lookUp(ctx, f.r, q.ask.label(q.list.Hash)+"."+q.list.zone)
			if q.res.err == nil || !errors.Is(ctx.Err(), context.Canceled) { // whom nobody waits for is not late
				f.sentry.saw(q.list, q.res)
			}
		})
	}
	wg.Wait()
	for i := range questions { // a list that turned out wrong on the way is not believed for what it said before
		if l := questions[i].list; unfit[l.Name] == nil {
			if err := f.sentry.muted(l); err != nil {
				unfit[l.Name] = err
			}
		}
	}
	for i := range questions {
		if unfit[questions[i].list.Name] != nil {
			questions[i].res = result{}
		}
	}
	return unfit
}

// unfit is why lists that there are questions for may not be asked now, by name.
func (f *Filter) unfit(ctx context.Context, questions []question) map[string]error {
	errs := make([]error, len(f.lists))
	var wg sync.WaitGroup
	for i := range f.lists {
		l := &f.lists[i]
		if slices.ContainsFunc(questions, func(q question) bool { return q.list == l }) {
			wg.Go(func() { errs[i] = f.sentry.fit(ctx, f.r, l) })
		}
	}
	wg.Wait()
	unfit := map[string]error{}
	for i, err := range errs {
		if err != nil {
			unfit[f.lists[i].Name] = err
		}
	}
	return unfit
}

// errNoAnswer is a list that could not be asked.
var errNoAnswer = errors.New("no answer")

// lookUp is the answer for a name: no addresses and no error if it is not listed.
func lookUp(ctx context.Context, r Resolver, name string) ([]netip.Addr, error) {
	addrs, err := r.LookupNetIP(ctx, "ip4", name)
	if err == nil {
		return addrs, nil
	}
	if d := (*net.DNSError)(nil); errors.As(err, &d) && d.IsNotFound {
		return nil, nil
	}
	return nil, errNoAnswer
}

// notLooked makes one error of all that could not be asked; nil if nothing was left out.
func notLooked(errs []error) error {
	var words []string
	for _, err := range errs {
		if w := err.Error(); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return nil
	}
	return errors.New("not looked: " + strings.Join(words, "; "))
}
