package auth

import (
	"context"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// maxWalk is how many questions one tree walk may ask (RFC 9989 section 4.10), and maxAuthors how many author domains
// of one message are evaluated.
const (
	maxWalk    = 8
	maxAuthors = 8
)

// A found is a record and where it stood.
type found struct {
	domain string
	rec    dmarcRecord
}

// A walk is one DNS tree walk from a domain towards the root.
type walk struct {
	start   string
	records []found // from the longest name to the shortest
	err     error   // a question that got no answer: the walk is incomplete
}

// walkTree asks for records from domain upwards (RFC 9989 section 4.10).
func walkTree(ctx context.Context, r Resolver, domain string) walk {
	w := walk{start: domain}
	target := domain
	for n := range maxWalk {
		rec, ok, err := lookupDMARC(ctx, r, target)
		if err != nil {
			w.err = err
			return w
		}
		if ok {
			w.records = append(w.records, found{target, rec})
			if rec.psd != 'u' {
				return w
			}
		}
		if n == 0 {
			target = lastLabels(target, 8)
		}
		_, up, more := strings.Cut(target, ".")
		if !more {
			return w
		}
		target = up
	}
	return w
}

// lastLabels shortens a name to its last n labels.
func lastLabels(name string, n int) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			if n--; n == 0 {
				return name[i+1:]
			}
		}
	}
	return name
}

// lookupDMARC fetches the one record of a domain; several are as good as none (L-05).
func lookupDMARC(ctx context.Context, r Resolver, domain string) (rec dmarcRecord, ok bool, err error) {
	txts, err := r.LookupTXT(ctx, "_dmarc."+domain)
	if err != nil {
		if isNotFound(err) {
			return rec, false, nil
		}
		return rec, false, err
	}
	text, n := "", 0
	for _, t := range txts {
		if isDMARC(t) {
			text = t
			n++
		}
	}
	if n != 1 {
		return rec, false, nil
	}
	rec, ok = parseDMARC(text)
	return rec, ok, nil
}

// organizational is the Organizational Domain that the walk found (RFC 9989 section 4.10.2).
func (w *walk) organizational() string {
	for _, f := range w.records {
		if f.rec.psd == 'n' {
			return f.domain
		}
		if f.rec.psd == 'y' && f.domain != w.start {
			return lastLabels(w.start, strings.Count(f.domain, ".")+2)
		}
	}
	if n := len(w.records); n > 0 {
		return w.records[n-1].domain
	}
	return w.start
}

// applied is the record that applies to mail from the domain where the walk began (RFC 9989 section 4.10.1): its own,
// else that of its Organizational Domain, else that of its public suffix.
func (w *walk) applied() (found, bool) {
	if len(w.records) == 0 {
		return found{}, false
	}
	if w.records[0].domain == w.start {
		return w.records[0], true
	}
	org := w.organizational()
	for _, f := range w.records {
		if f.domain == org {
			return f, true
		}
	}
	last := w.records[len(w.records)-1]
	return last, last.rec.psd == 'y'
}

// A dmarcCheck evaluates DMARC for the author domains of one message.
type dmarcCheck struct {
	ctx   context.Context
	r     Resolver
	spf   filters.SPF // of the MAIL FROM identity; of HELO if that is null
	dkim  []verified
	walks map[string]walk
}

// An alignment is how one author domain was proven.
type alignment struct {
	by     string // "dkim" or "spf"; empty: not at all
	strict bool   // by the very domain
	temp   bool   // an identifier that would align could not be checked
}

// An evaluation is DMARC for one author domain.
type evaluation struct {
	filters.DMARC
	align  alignment
	record string
}

// walk returns the tree walk of a domain, at most once each.
func (c *dmarcCheck) walk(domain string) walk {
	w, ok := c.walks[domain]
	if !ok {
		w = walkTree(c.ctx, c.r, domain)
		c.walks[domain] = w
	}
	return w
}

// author evaluates one author domain.
func (c *dmarcCheck) author(domain string) evaluation {
	e := evaluation{}
	e.From = domain
	w := c.walk(domain)
	f, ok := w.applied()
	if w.err != nil && !(ok && f.domain == domain) {
		e.Result, e.Reason = resultTemperror, "DNS: _dmarc of "+domain+": "+dnsReason(w.err)
		return e
	}
	if !ok {
		e.Result = resultNone
		if mail.IsPublicSuffix(domain) {
			e.Result, e.Reason = resultPermerror, "the author domain is a public suffix" // D-33
			return e
		}
		e.align = c.alignedByList(domain)
		return e
	}
	e.Domain, e.record = f.domain, f.rec.text
	policy, err := c.policy(domain, f)
	if err != nil {
		e.Result, e.Reason = resultTemperror, "DNS: "+domain+": "+dnsReason(err)
		return e
	}
	e.Policy, e.Disposition = policy, policy
	if f.rec.testing && policy != resultNone {
		e.Disposition = relaxed(policy)
	}
	e.align = c.aligned(domain, f.rec, w)
	switch {
	case e.align.by != "":
		e.Result, e.Disposition = resultPass, resultNone
	case e.align.temp:
		e.Result, e.Reason = resultTemperror, "an identifier that would align could not be checked"
	default:
		e.Result, e.Reason = resultFail, "neither SPF nor DKIM passed for a domain aligned with the author's"
	}
	return e
}

// policy is what the record asks for mail of this domain.
func (c *dmarcCheck) policy(domain string, f found) (string, error) {
	if f.domain == domain || f.rec.subdomains == "" && f.rec.nonexistent == "" {
		return f.rec.policy, nil
	}
	sub := f.rec.subdomains
	if sub == "" {
		sub = f.rec.policy
	}
	if f.rec.nonexistent == "" || f.rec.nonexistent == sub {
		return sub, nil
	}
	exists, err := c.r.Exists(c.ctx, domain)
	if err != nil {
		return "", err
	}
	if !exists {
		return f.rec.nonexistent, nil
	}
	return sub, nil
}

// aligned looks for an authenticated identifier that aligns with the author domain: the very domain first, and in
// relaxed mode one of the same Organizational Domain.
func (c *dmarcCheck) aligned(domain string, rec dmarcRecord, w walk) alignment {
	ids := c.identifiers()
	for _, id := range ids {
		if id.domain == domain && id.pass {
			return alignment{by: id.by, strict: true}
		}
	}
	var a alignment
	org := ""
	for _, id := range ids {
		if id.domain == domain {
			a.temp = a.temp || id.temp
			continue
		}
		if id.by == "dkim" && rec.strictDKIM || id.by == "spf" && rec.strictSPF || !id.pass && !id.temp {
			continue
		}
		if w.err != nil {
			a.temp = true
			continue
		}
		if org == "" {
			org = w.organizational()
		}
		other := c.walk(id.domain)
		switch {
		case !isSubdomain(id.domain, org):
		case other.err != nil:
			a.temp = true
		case other.organizational() != org:
		case id.pass:
			return alignment{by: id.by}
		default:
			a.temp = true
		}
	}
	return a
}

// alignedByList looks for proof of a domain that publishes no policy. DMARC does not apply to it, but access rules
// ask whether it is authenticated; without records the Public Suffix List says what belongs together.
func (c *dmarcCheck) alignedByList(domain string) alignment {
	org := mail.OrganizationalDomain(domain)
	var a alignment
	for _, id := range c.identifiers() {
		switch {
		case !id.pass:
		case id.domain == domain:
			return alignment{by: id.by, strict: true}
		case a.by == "" && org != "" && isSubdomain(id.domain, org) && mail.OrganizationalDomain(id.domain) == org:
			a.by = id.by
		}
	}
	return a
}

// related reports whether a signature's domain aligns with an author domain, from what was found out before.
func (c *dmarcCheck) related(signer, author string) bool {
	if signer == author {
		return true
	}
	w, known := c.walks[author]
	if !known || w.err != nil {
		return false
	}
	f, ok := w.applied()
	if !ok {
		org := mail.OrganizationalDomain(author)
		return org != "" && mail.OrganizationalDomain(signer) == org
	}
	other, known := c.walks[signer]
	return known && other.err == nil && !f.rec.strictDKIM && other.organizational() == w.organizational()
}

// An identifier is an authenticated domain, or one that could not be checked.
type identifier struct {
	domain     string
	by         string
	pass, temp bool
}

// identifiers lists those of the message, DKIM first: it survives forwarding.
func (c *dmarcCheck) identifiers() []identifier {
	ids := make([]identifier, 0, len(c.dkim)+1)
	for i := range c.dkim {
		d := &c.dkim[i]
		ids = append(ids, identifier{d.Domain, "dkim", d.Result == resultPass, d.Result == resultTemperror})
	}
	return append(ids, identifier{c.spf.Domain, "spf", c.spf.Result == resultPass, c.spf.Result == resultTemperror})
}

// severity orders results for a message with several author domains: the worst counts (D-12).
func severity(result string) int {
	switch result {
	case resultFail:
		return 4
	case resultTemperror:
		return 3
	case resultPermerror:
		return 2
	case resultNone:
		return 1
	}
	return 0
}

// strictness orders policies.
func strictness(policy string) int {
	switch policy {
	case "reject":
		return 2
	case "quarantine":
		return 1
	}
	return 0
}

// evaluate evaluates all author domains and returns the strictest outcome. readable says whether every author could
// be read; if not, nothing can pass.
func (c *dmarcCheck) evaluate(domains []string, readable bool) evaluation {
	worst := evaluation{}
	worst.Result = ""
	for i, d := range domains {
		if i == maxAuthors {
			readable = false
			break
		}
		if !isDomain(d) || strings.IndexByte(d, '.') < 0 {
			readable = false // D-33
			continue
		}
		e := c.author(d)
		if worst.Result == "" || severity(e.Result) > severity(worst.Result) ||
			severity(e.Result) == severity(worst.Result) && strictness(e.Disposition) > strictness(worst.Disposition) {
			worst = e
		}
	}
	if !readable && severity(worst.Result) < severity(resultPermerror) {
		e := evaluation{}
		e.Result, e.Reason = resultPermerror, "no author domain, or one that cannot be read"
		if len(domains) > 0 {
			e.From = mail.Printable(domains[0], 253)
		}
		return e
	}
	return worst
}
