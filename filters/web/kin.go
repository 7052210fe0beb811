package web

import (
	"strings"

	"gatepost/filters/mail"
	"gatepost/rules/lookalike"
)

// A Kin knows a set of registered domains and tells which others pose as one of them. It is immutable; nil knows none.
type Kin struct {
	domains map[string]bool
	labels  map[string]string // own label -> domain
	index   *lookalike.Index
}

// NewKin makes a Kin of domains in lower-case A-labels; what is no registered domain counts as its registered part.
func NewKin(t *lookalike.Table, domains []string) *Kin {
	k := &Kin{domains: map[string]bool{}, labels: map[string]string{}}
	var own []string
	for _, d := range domains {
		org := mail.OrganizationalDomain(d)
		if org == "" {
			org = d // a name that nobody registers, such as one of a test
		}
		if k.domains[org] {
			continue
		}
		k.domains[org] = true
		l := ownLabel(org)
		if k.labels[l] == "" {
			k.labels[l] = org
			own = append(own, l)
		}
	}
	k.index = t.NewIndex(own)
	return k
}

// ownLabel is the first label of a registered domain, in Unicode.
func ownLabel(domain string) string {
	l, _, _ := strings.Cut(domain, ".")
	return fromA(l)
}

// Has reports whether a registered domain is one of the set.
func (k *Kin) Has(domain string) bool { return k != nil && k.domains[domain] }

// Pose is the domain that another host poses as, and how: its registered domain resembles it, or the whole name of it stands before
// another registered domain, as in bank.example.evil.example.
func (k *Kin) Pose(host, domain string) (original string, how lookalike.How) {
	if k == nil || domain == "" || k.domains[domain] {
		return "", lookalike.Not
	}
	label := ownLabel(domain)
	if name, how := k.index.Find(label); how != lookalike.Not {
		return k.labels[name], how
	}
	front, ok := strings.CutSuffix(host, "."+domain)
	for ok {
		if known := k.begins(front); known != "" {
			return known, lookalike.Part
		}
		_, front, ok = strings.Cut(front, ".")
	}
	return "", lookalike.Not
}

// begins is the domain of the set that a dotted name begins with, empty if there is none.
func (k *Kin) begins(name string) string {
	for i := 0; i <= len(name); i++ {
		if (i == len(name) || name[i] == '.') && k.domains[name[:i]] {
			return name[:i]
		}
	}
	return ""
}
