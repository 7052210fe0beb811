package policy

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// A Person is somebody of a list, with the addresses that are his own.
type Person struct {
	Name      string
	Addresses []string
}

// People are the persons of all lists, by name: those whose names are to be protected.
func (p *Policy) People() []Person { return p.people }

// A list is a compiled entry of lists. It is read-only.
type list struct {
	name      string
	expires   dateDoc
	domains   domainSet
	addresses map[string]bool
	networks  prefixSet
	people    map[string]map[string]bool // folded name -> canonical addresses
	words     map[string]bool
	size      int

	owner, reason, at string // for people
}

// A domainSet matches domain names exactly or below a suffix.
type domainSet struct{ exact, below map[string]bool }

// add puts in example.com, or *.example.com for what is below it.
func (d *domainSet) add(s string) {
	if d.exact == nil {
		d.exact, d.below = map[string]bool{}, map[string]bool{}
	}
	if rest, ok := strings.CutPrefix(s, "*."); ok {
		d.below[rest] = true
		return
	}
	d.exact[s] = true
}

// has reports whether domain, in lower case, is in the set.
func (d domainSet) has(domain string) bool {
	if d.exact[domain] {
		return true
	}
	if len(d.below) == 0 {
		return false
	}
	for {
		_, rest, ok := strings.Cut(domain, ".")
		if !ok {
			return false
		}
		if domain = rest; d.below[domain] {
			return true
		}
	}
}

// A prefixSet matches addresses against many prefixes: one map look-up per distinct length.
type prefixSet struct {
	lengths []int // distinct prefix lengths; those of IPv6 are 129 and more
	nets    map[netip.Prefix]bool
}

func (s *prefixSet) add(p netip.Prefix) {
	if s.nets == nil {
		s.nets = map[netip.Prefix]bool{}
	}
	if n := lengthOf(p); !slices.Contains(s.lengths, n) {
		s.lengths = append(s.lengths, n)
	}
	s.nets[p.Masked()] = true
}

// lengthOf tells the lengths of the two families apart.
func lengthOf(p netip.Prefix) int {
	if p.Addr().Is6() {
		return p.Bits() + 129
	}
	return p.Bits()
}

// prefixAt is the prefix of a with the length that lengthOf gave; ok is false for the other family.
func prefixAt(a netip.Addr, length int) (netip.Prefix, bool) {
	if a.Is6() != (length >= 129) {
		return netip.Prefix{}, false
	}
	if length >= 129 {
		length -= 129
	}
	p, err := a.Prefix(length)
	return p, err == nil
}

func (s prefixSet) has(a netip.Addr) bool {
	for _, n := range s.lengths {
		if p, ok := prefixAt(a, n); ok && s.nets[p] {
			return true
		}
	}
	return false
}

// parseNetwork reads an address or a prefix; bits beyond the prefix are an error the caller reports.
func parseNetwork(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	return p, true
}

// compileLists compiles lists with their files.
func (c *compiler) compileLists(docs map[string]listDoc) {
	for name, d := range docs {
		if !isName(name) {
			c.problem(d.Pos, "", "the list name %s must be lower-case letters, digits, hyphens and underscores", quoted(name))
		}
		l := &list{name: name, expires: d.Expires, addresses: map[string]bool{}, people: map[string]map[string]bool{}, words: map[string]bool{},
			owner: d.Owner, reason: d.Reason, at: c.at(d.Pos)}
		c.p.lists[name] = l
		for _, i := range d.Domains {
			c.listDomain(l, i)
		}
		for _, i := range d.Addresses {
			c.listAddress(l, i)
		}
		for _, i := range d.Networks {
			c.listNetwork(l, i)
		}
		for _, i := range d.Words {
			l.words[fold(i.Value)] = true
		}
		for _, p := range d.People {
			own := map[string]bool{}
			for _, i := range p.Addresses {
				c.listAddress(l, i)
				own[strings.ToLower(i.Value)] = true
			}
			if fold(p.Name) == "" {
				c.problem(d.Pos, "", "list %s: a person needs a name", name)
				continue
			}
			l.people[fold(p.Name)] = own
			c.p.people = append(c.p.people, Person{p.Name, slices.Sorted(maps.Keys(own))})
		}
		if d.File.Value != "" {
			c.listFile(l, d.File)
		}
		l.size = len(l.domains.exact) + len(l.domains.below) + len(l.addresses) + len(l.networks.nets) + len(l.people) + len(l.words)
		if l.size+len(d.Domains)+len(d.Addresses)+len(d.Networks)+len(d.Words)+len(d.People) == 0 && d.File.Value == "" {
			c.problem(d.Pos, "", "list %s is empty", name)
		}
	}
	slices.SortFunc(c.p.people, func(a, b Person) int { return strings.Compare(a.Name, b.Name) })
}

func (c *compiler) listDomain(l *list, i item) {
	d := canonicalDomain(i.Value)
	if !isDomain(strings.TrimPrefix(d, "*.")) {
		c.problem(i.Pos, "", "%s is not a domain", quoted(i.Value))
		return
	}
	l.domains.add(d)
}

func (c *compiler) listAddress(l *list, i item) {
	if d, ok := strings.CutPrefix(i.Value, "@"); ok {
		c.listDomain(l, item{d, i.Pos})
		return
	}
	a, err := mail.ParseAddress(i.Value)
	if err != nil {
		c.problem(i.Pos, "", "%s is not an address", quoted(i.Value))
		return
	}
	l.addresses[a.Canonical()] = true
}

func (c *compiler) listNetwork(l *list, i item) {
	p, ok := parseNetwork(i.Value)
	if !ok {
		c.problem(i.Pos, "", "%s is not an address or a prefix", quoted(i.Value))
		return
	}
	if p.Masked() != p {
		c.problem(i.Pos, p.Masked().String(), "%s has bits set beyond its prefix", quoted(i.Value))
		return
	}
	l.networks.add(p)
}

// maxListBytes bounds a list's file.
const maxListBytes = 64 << 20

// listFile reads one entry a line; what an entry is shows in its form.
func (c *compiler) listFile(l *list, file item) {
	path := c.path(file.Value)
	data, err := c.opts.ReadFile(path)
	switch {
	case err != nil:
		c.problem(file.Pos, "", "cannot read list %s: %v", l.name, err)
		return
	case len(data) > maxListBytes:
		c.problem(file.Pos, "", "list %s: %s is larger than 64 MiB", l.name, file.Value)
		return
	}
	for n, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		i := item{line, conf.Pos{File: path, Line: n + 1, Col: 1}}
		_, network := parseNetwork(line)
		switch {
		case network:
			c.listNetwork(l, i)
		case strings.Contains(line, "@"):
			c.listAddress(l, i)
		default:
			c.listDomain(l, i)
		}
	}
}

// holds reports whether a value is in the list at now: a network for an address of a host, an address or its domain,
// a domain, a word, or the name of a person.
func (l *list) holds(value string, now time.Time) bool {
	if l.expires.over(now) {
		return false
	}
	if len(l.networks.nets) > 0 {
		if a, err := netip.ParseAddr(value); err == nil && l.networks.has(a.Unmap()) {
			return true
		}
	}
	v := strings.ToLower(value)
	if at := strings.LastIndexByte(v, '@'); at >= 0 {
		if l.addresses[v] || l.domains.has(v[at+1:]) {
			return true
		}
	} else if l.domains.has(v) {
		return true
	}
	if len(l.words) == 0 && len(l.people) == 0 {
		return false
	}
	v = fold(v)
	return l.words[v] || l.people[v] != nil
}
