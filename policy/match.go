package policy

import (
	"net/netip"
	"strings"
	"time"

	"gatepost/filters/mail"
)

// An addressSet matches mailboxes: user@example.com, @example.com (or *@example.com), *.example.com, user@*, list:NAME,
// <> for the null reverse-path and * for any.
type addressSet struct {
	any, null bool
	exact     map[string]bool // canonical addresses
	locals    map[string]bool // local parts at any domain
	domains   domainSet
	lists     []*list
}

// address compiles patterns for mailboxes.
func (c *compiler) address(patterns items) addressSet {
	var s addressSet
	for _, i := range patterns {
		c.addressPattern(&s, i)
	}
	return s
}

func (c *compiler) addressPattern(s *addressSet, i item) {
	v := strings.ToLower(strings.TrimSpace(i.Value))
	local, domain, hasAt := strings.Cut(v, "@")
	if at := strings.LastIndexByte(v, '@'); hasAt {
		local, domain = v[:at], v[at+1:]
	}
	name, isList := strings.CutPrefix(v, "list:")
	switch {
	case isList:
		s.lists = append(s.lists, c.list(name, i))
	case v == "*":
		s.any = true
	case v == "<>":
		s.null = true
	case hasAt && domain == "*" && local != "" && local != "*":
		if s.locals == nil {
			s.locals = map[string]bool{}
		}
		s.locals[local] = true
	case !hasAt, local == "", local == "*":
		if !hasAt {
			domain = v
		}
		if domain = canonicalDomain(domain); !isDomain(strings.TrimPrefix(domain, "*.")) {
			c.problem(i.Pos, "", "%s is neither an address nor a domain", quoted(i.Value))
			return
		}
		s.domains.add(domain)
	default:
		a, err := mail.ParseAddress(v)
		if err != nil {
			c.problem(i.Pos, "", "%s is not an address", quoted(i.Value))
			return
		}
		if s.exact == nil {
			s.exact = map[string]bool{}
		}
		s.exact[a.Canonical()] = true
	}
}

// has reports whether the canonical address a, "" for the null reverse-path, is in the set.
func (s *addressSet) has(a string, now time.Time) bool {
	if a == "" {
		return s.null
	}
	if s.any || s.exact[a] {
		return true
	}
	at := strings.LastIndexByte(a, '@')
	if at < 0 {
		return false
	}
	if s.domains.has(a[at+1:]) || s.locals[a[:at]] {
		return true
	}
	for _, l := range s.lists {
		if l.holds(a, now) {
			return true
		}
	}
	return false
}

// A hostSet matches clients: addresses, prefixes, confirmed reverse names and list:NAME.
type hostSet struct {
	networks prefixSet
	names    domainSet
	lists    []*list
}

// host compiles patterns for clients.
func (c *compiler) host(patterns items) hostSet {
	var s hostSet
	for _, i := range patterns {
		if name, ok := strings.CutPrefix(i.Value, "list:"); ok {
			s.lists = append(s.lists, c.list(name, i))
			continue
		}
		if p, ok := parseNetwork(i.Value); ok {
			if p.Masked() != p {
				c.problem(i.Pos, p.Masked().String(), "%s has bits set beyond its prefix", quoted(i.Value))
			}
			s.networks.add(p)
			continue
		}
		d := canonicalDomain(i.Value)
		if !isDomain(strings.TrimPrefix(d, "*.")) || strings.Trim(d, "0123456789.") == "" {
			c.problem(i.Pos, "", "%s is neither an address, nor a prefix, nor a host name", quoted(i.Value))
			continue
		}
		s.names.add(d)
	}
	return s
}

func (s *hostSet) has(a netip.Addr, name string, now time.Time) bool {
	if s.networks.has(a) || name != "" && s.names.has(name) {
		return true
	}
	for _, l := range s.lists {
		if a.IsValid() && l.holds(a.String(), now) || name != "" && l.holds(name, now) {
			return true
		}
	}
	return false
}

// list finds a list by name, or says that there is none.
func (c *compiler) list(name string, i item) *list {
	if l := c.p.lists[name]; l != nil {
		return l
	}
	c.problem(i.Pos, suggestKey(name, c.p.lists), "there is no list %s", quoted(name))
	return &list{}
}
