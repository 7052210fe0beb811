package auth

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// The words of RFC 8601 section 2.7 for results.
const (
	resultNone      = "none"
	resultPass      = "pass"
	resultFail      = "fail"
	resultSoftfail  = "softfail"
	resultNeutral   = "neutral"
	resultPolicy    = "policy"
	resultTemperror = "temperror"
	resultPermerror = "permerror"
)

// The bounds of one SPF evaluation (RFC 7208 section 4.6.4).
const (
	spfMaxTerms = 10 // terms that cause lookups
	spfMaxVoids = 2  // lookups without an answer
	spfMaxHosts = 10 // MX hosts or PTR names
	spfMaxTime  = 20 * time.Second
)

// weakHosts is how many IPv4 addresses a record may authorise before a pass says little (D-30).
const weakHosts = 1 << 16

// An spfCheck is one evaluation of check_host (RFC 7208 section 4).
type spfCheck struct {
	ip       netip.Addr
	local    string // of the sender; "postmaster" if it has none
	domain   string // of the sender
	helo     string
	receiver string
	now      time.Time
	r        Resolver
	read     *recent[*spfRecord]

	terms, voids int
	ptrNames     []string // validated reverse names, once asked
	ptrAsked     bool
	out          spfOutcome
}

// An spfOutcome is the result with what explains it.
type spfOutcome struct {
	result      string
	mechanism   string // the term of the first record that decided
	explanation string // the domain's own words for a fail, if it published any
	reason      string // what went wrong, for none and the errors
	weak        string // why a pass says little
	record      string // the first record, as published
}

// A spfError ends the evaluation.
type spfError struct {
	result string // permerror or temperror
	reason string
}

func permanent(reason string) *spfError { return &spfError{resultPermerror, reason} }

// run evaluates the sender's domain.
func (c *spfCheck) run(ctx context.Context) spfOutcome {
	ctx, cancel := context.WithTimeout(ctx, spfMaxTime)
	defer cancel()
	if c.local == "" {
		c.local = "postmaster" // RFC 7208 section 4.3
	}
	if !isFQDN(c.domain) {
		c.out.reason = "no domain that could publish a record"
		c.out.result = resultNone
		return c.out
	}
	result, err := c.host(ctx, c.domain, 0)
	if err != nil {
		c.out.result, c.out.reason = err.result, err.reason
		c.out.weak, c.out.explanation = "", ""
		return c.out
	}
	c.out.result = result
	if result != resultPass {
		c.out.weak = ""
	}
	return c.out
}

// isFQDN reports whether a name has at least two labels of legal length (RFC 7208 section 4.3).
func isFQDN(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 || strings.IndexByte(name, '.') < 0 || name[0] == '[' {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}

// host is check_host for one domain; depth 0 is the sender's own, and redirect stays there.
func (c *spfCheck) host(ctx context.Context, domain string, depth int) (string, *spfError) {
	rec, found, err := c.record(ctx, domain)
	if err != nil {
		return "", err
	}
	if !found {
		if depth == 0 {
			c.out.reason = "no SPF record"
		}
		return resultNone, nil
	}
	c.noteWidth(rec, domain)
	for i := range rec.terms {
		t := &rec.terms[i]
		ok, err := c.match(ctx, t, domain, depth)
		if err != nil {
			return "", err
		}
		if !ok {
			continue
		}
		if depth == 0 {
			c.out.mechanism = t.text
		}
		result := qualified(t.qualifier)
		if result == resultFail && depth == 0 {
			c.out.explanation = c.explain(ctx, rec.exp, domain)
		}
		return result, nil
	}
	if rec.redirect == "" {
		return resultNeutral, nil
	}
	return c.redirect(ctx, rec, domain, depth)
}

// qualified is the result of a qualifier.
func qualified(q byte) string {
	switch q {
	case '-':
		return resultFail
	case '~':
		return resultSoftfail
	case '?':
		return resultNeutral
	}
	return resultPass
}

// redirect goes on with another domain's record as if it were this one (RFC 7208 section 6.1).
func (c *spfCheck) redirect(ctx context.Context, rec *spfRecord, domain string, depth int) (string, *spfError) {
	if err := c.countTerm(); err != nil {
		return "", err
	}
	target, e := c.expandDomain(ctx, rec.redirect, domain)
	if e != nil || !isFQDN(target) {
		return "", permanent("redirect= leads to no domain name")
	}
	result, err := c.host(ctx, target, depth)
	if err == nil && result == resultNone {
		return "", permanent("redirect= leads to " + target + ", which has no SPF record")
	}
	return result, err
}

// record fetches and parses a domain's one record.
func (c *spfCheck) record(ctx context.Context, domain string) (rec *spfRecord, found bool, _ *spfError) {
	txts, err := c.r.LookupTXT(ctx, domain)
	if err != nil {
		if isNotFound(err) {
			return nil, false, nil
		}
		return nil, false, temporary(domain, err)
	}
	text := ""
	for _, t := range txts {
		if !isSPF(t) {
			continue
		}
		if found {
			return nil, false, permanent(domain + " has several SPF records")
		}
		found, text = true, t
	}
	if !found {
		return nil, false, nil
	}
	if c.out.record == "" {
		c.out.record = text
	}
	rec, err = c.read.of(text, parseSPF)
	if err != nil {
		return nil, false, permanent("record of " + domain + ": " + err.Error())
	}
	return rec, true, nil
}

// noteWidth remembers when a record lets in so much that a pass by it says little (D-30).
func (c *spfCheck) noteWidth(rec *spfRecord, domain string) {
	var hosts uint64
	for i := range rec.terms {
		t := &rec.terms[i]
		if t.qualifier != '+' {
			continue
		}
		switch t.kind {
		case spfAll:
			c.out.weak = "the record of " + domain + " lets everybody in (+all)"
			return
		case spfIP4:
			hosts += 1 << (32 - t.net.Bits())
		case spfA, spfMX:
			hosts += 1 << (32 - t.bits4)
		}
	}
	if hosts > weakHosts && c.out.weak == "" {
		c.out.weak = "the record of " + domain + " lets in more than 65536 addresses"
	}
}

// match evaluates one mechanism (RFC 7208 section 5).
func (c *spfCheck) match(ctx context.Context, t *spfTerm, domain string, depth int) (bool, *spfError) {
	switch t.kind {
	case spfAll:
		return true, nil
	case spfIP4, spfIP6:
		return t.net.Contains(c.ip), nil
	}
	if err := c.countTerm(); err != nil {
		return false, err
	}
	target, e := c.expandDomain(ctx, t.domain, domain)
	if e != nil {
		return false, nil // RFC 7208 section 4.8: a name that cannot exist does not match
	}
	switch t.kind {
	case spfInclude:
		return c.include(ctx, target, depth)
	case spfA:
		return c.addresses(ctx, t, target)
	case spfMX:
		return c.exchangers(ctx, t, target)
	case spfExists:
		found, err := c.lookupIP(ctx, "ip4", target)
		return len(found) > 0, err
	}
	return c.pointers(ctx, target), nil
}

// include asks whether another domain's record would pass the client (RFC 7208 section 5.2).
func (c *spfCheck) include(ctx context.Context, target string, depth int) (bool, *spfError) {
	if !isFQDN(target) {
		return false, permanent("include of " + clip(target) + ", which is no domain name")
	}
	result, err := c.host(ctx, target, depth+1)
	if err != nil {
		return false, err
	}
	if result == resultNone {
		return false, permanent("include of " + target + ", which has no SPF record")
	}
	return result == resultPass, nil
}

// family is the network in which the client's addresses are looked up.
func (c *spfCheck) family() string {
	if c.ip.Is4() {
		return "ip4"
	}
	return "ip6"
}

// addresses is the a mechanism (RFC 7208 section 5.3).
func (c *spfCheck) addresses(ctx context.Context, t *spfTerm, host string) (bool, *spfError) {
	found, err := c.lookupIP(ctx, c.family(), host)
	bits := t.bits4
	if !c.ip.Is4() {
		bits = t.bits6
	}
	for _, a := range found {
		if p, e := a.Prefix(bits); e == nil && p.Contains(c.ip) {
			return true, nil
		}
	}
	return false, err
}

// exchangers is the mx mechanism (RFC 7208 section 5.4).
func (c *spfCheck) exchangers(ctx context.Context, t *spfTerm, domain string) (bool, *spfError) {
	mxs, err := c.r.LookupMX(ctx, domain)
	if err != nil {
		return false, c.failed(domain, err)
	}
	if len(mxs) > spfMaxHosts {
		return false, permanent(domain + " has more than 10 mail exchangers")
	}
	for _, mx := range mxs {
		if mx.Host == "." || mx.Host == "" {
			continue
		}
		ok, err := c.addresses(ctx, t, strings.TrimSuffix(mx.Host, "."))
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// pointers is the ptr mechanism (RFC 7208 section 5.5).
func (c *spfCheck) pointers(ctx context.Context, target string) bool {
	for _, name := range c.reverseNames(ctx) {
		if isSubdomain(name, target) {
			return true
		}
	}
	return false
}

// reverseNames are the client's reverse names that lead back to it; at most 10 are tried. DNS errors make names
// disappear, nothing more.
func (c *spfCheck) reverseNames(ctx context.Context) []string {
	if c.ptrAsked {
		return c.ptrNames
	}
	c.ptrAsked = true
	names, err := c.r.LookupAddr(ctx, c.ip.String())
	if err != nil {
		return nil
	}
	for i, name := range names {
		if i == spfMaxHosts {
			break
		}
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		back, err := c.r.LookupNetIP(ctx, c.family(), name)
		if err != nil {
			continue
		}
		for _, a := range back {
			if a.Unmap() == c.ip {
				c.ptrNames = append(c.ptrNames, name)
				break
			}
		}
	}
	return c.ptrNames
}

// validatedName is the value of %{p}: a reverse name, best the domain's own, then one below it.
func (c *spfCheck) validatedName(ctx context.Context, domain string) string {
	best := ""
	for _, name := range c.reverseNames(ctx) {
		switch {
		case strings.EqualFold(name, domain):
			return name
		case isSubdomain(name, domain) && !isSubdomain(best, domain), best == "":
			best = name
		}
	}
	if best == "" {
		return "unknown"
	}
	return best
}

// isSubdomain reports whether name is domain or below it.
func isSubdomain(name, domain string) bool {
	domain = strings.TrimSuffix(domain, ".")
	if len(name) == len(domain) {
		return strings.EqualFold(name, domain)
	}
	return len(name) > len(domain) && name[len(name)-len(domain)-1] == '.' && strings.EqualFold(name[len(name)-len(domain):], domain)
}

// lookupIP looks addresses up and keeps the void count.
func (c *spfCheck) lookupIP(ctx context.Context, network, host string) ([]netip.Addr, *spfError) {
	found, err := c.r.LookupNetIP(ctx, network, host)
	if err != nil {
		return nil, c.failed(host, err)
	}
	return found, nil
}

// failed sorts a failed lookup: an absence counts as void, anything else is temporary.
func (c *spfCheck) failed(name string, err error) *spfError {
	if !isNotFound(err) {
		return temporary(name, err)
	}
	if c.voids++; c.voids > spfMaxVoids {
		return permanent("more than 2 lookups found nothing")
	}
	return nil
}

// countTerm counts a term that causes lookups.
func (c *spfCheck) countTerm() *spfError {
	if c.terms++; c.terms > spfMaxTerms {
		return permanent("more than 10 terms need lookups")
	}
	return nil
}

// explain fetches the domain's explanation of a fail; any fault in it makes it empty (RFC 7208 section 6.2).
func (c *spfCheck) explain(ctx context.Context, exp, domain string) string {
	if exp == "" {
		return ""
	}
	target, err := c.expandDomain(ctx, exp, domain)
	if err != nil || !isFQDN(target) {
		return ""
	}
	txts, err := c.r.LookupTXT(ctx, target)
	if err != nil || len(txts) != 1 || len(txts[0]) > maxRecord {
		return ""
	}
	text, err := c.expand(ctx, txts[0], domain, true, maxExpansion)
	if err != nil {
		return ""
	}
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return ""
		}
	}
	return text
}

// temporary is a DNS failure that may pass.
func temporary(name string, err error) *spfError {
	return &spfError{resultTemperror, "DNS: " + clip(name) + ": " + dnsReason(err)}
}

// isNotFound reports whether a lookup's error says that there is no such record.
func isNotFound(err error) bool {
	de, ok := err.(*net.DNSError)
	return ok && de.IsNotFound
}

// dnsReason is a lookup error in few words.
func dnsReason(err error) string {
	if de, ok := err.(*net.DNSError); ok {
		return de.Err
	}
	return "lookup failed"
}
