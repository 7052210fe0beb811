package auth

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Config is the filter's section.
type Config struct {
	TrustedSealers    []string       `yaml:"trusted_sealers" doc:"Domains (d= of an ARC-Seal) whose word about how a message authenticated before they forwarded it is taken when DMARC fails. Default: none."`
	TrustedForwarders []netip.Prefix `yaml:"trusted_forwarders" doc:"Networks of relays that bring mail for us, such as a second MX: their newest Received field is believed, and SPF and the reverse name are checked for the client that it names. Default: none."`
	// Replays counts who gets what was signed; nil where nobody counts, as in a scan of files.
	Replays Replays `yaml:"-"`
	// Hostname is this gateway's name, for the SPF macro %{r}; it comes from the site's configuration.
	Hostname string `yaml:"-"`
}

// A Replays counts to how many recipients a signature was brought of late, by the signature's token, and reports
// whether they are more than one letter is likely to have (D-22).
type Replays interface {
	Replayed(ctx context.Context, token string, rcpts int) bool
}

// A Filter is the auth filter. It is immutable.
type Filter struct {
	cfg     Config
	r       Resolver
	own     map[string]bool
	sealers map[string]bool
	scratch *buffers
	read    readings
	early   *early
	crew    *filters.Crew
}

// New makes the filter. own holds the domains that this site accepts mail for.
func New(cfg Config, r Resolver, own map[string]bool) *Filter {
	f := &Filter{cfg: cfg, r: r, own: own, sealers: map[string]bool{}, scratch: &buffers{}, read: newReadings(), early: &early{}, crew: filters.NewCrew()}
	for _, d := range cfg.TrustedSealers {
		f.sealers[strings.ToLower(strings.TrimSuffix(d, "."))] = true
	}
	if f.cfg.Hostname == "" {
		f.cfg.Hostname = "unknown" // RFC 7208 section 7.3
	}
	return f
}

// A run is the examination of one message.
type run struct {
	f         *Filter
	m         *mail.Mail
	now       time.Time
	client    client     // who handed the message to this site
	spfClient netip.Addr // whom the SPF result of the reverse-path is about
	auth      filters.Auth
	findings  []filters.Finding
	sigs      []verified
	skipped   int
	chain     chain
	eval      evaluation
	iprev     iprev
	override  int // the ARC set whose word overrides a DMARC fail; 0: none
}

// Check implements filters.Filter. It always sets Facts.Auth, unless the message cannot be read.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	b, err := scan(m.Source)
	if err != nil && err != errHeaderSize && err != errHeaderCount {
		return filters.Facts{}, fmt.Errorf("read message: %w", err)
	}
	r := &run{f: f, m: m, now: m.Time}
	if r.now.IsZero() {
		r.now = time.Now()
	}
	r.client = f.client(m.Envelope, m.Message)
	domains, readable := authors(m.Message)
	dmarc := &dmarcCheck{ctx: ctx, r: f.r, walks: map[string]walk{}}

	tasks := tasks{crew: f.crew}
	if p, ok := f.early.take(m.ID); ok && r.client.steps == 0 {
		r.auth.SPF, r.auth.SPFHelo, r.spfClient, r.iprev = p.path, p.helo, r.client.ip, p.iprev
	} else {
		tasks.start(func() { r.checkSPF(ctx) })
		tasks.start(func() { r.iprev = f.checkIPRev(ctx, r.client) })
	}
	tasks.start(func() { dmarc.prepare(domains) })
	cryptoErr := r.checkDKIM(ctx, b, err, domains)
	tasks.wait()
	if cryptoErr != nil {
		return filters.Facts{}, cryptoErr
	}
	dmarc.spf, dmarc.dkim = r.auth.SPF, r.sigs
	if m.From.IsNull() {
		dmarc.spf = r.auth.SPFHelo // RFC 7208 section 2.4: bounces are the HELO name's (D-03)
	}
	r.eval = dmarc.evaluate(domains, readable)
	r.conclude(dmarc, domains, readable)
	r.countReplays(ctx)
	r.tell()
	return filters.Facts{Auth: &r.auth, Findings: r.findings}, nil
}

// Warm asks the DNS the questions that a message from this envelope will raise, so that the answers are at hand when its
// content has come, and keeps for Check what the envelope alone says. Call it in the background once MAIL is accepted.
func (f *Filter) Warm(ctx context.Context, env *mail.Envelope) {
	if f.forwards(env.Remote) {
		return // whom it had the message from stands in the content
	}
	r := &run{f: f, m: &mail.Mail{Envelope: env}, now: env.Time, client: f.client(env, nil)}
	dmarc := &dmarcCheck{ctx: ctx, r: f.r, walks: map[string]walk{}}
	tasks := tasks{crew: f.crew}
	tasks.start(func() { r.checkSPF(ctx) })
	tasks.start(func() { r.iprev = f.checkIPRev(ctx, r.client) })
	dmarc.prepare([]string{env.From.Domain()})
	tasks.wait()
	if p := (preview{r.auth.SPF, r.auth.SPFHelo, r.iprev}); env.ID != "" && p.final() {
		f.early.put(env.ID, p)
	}
}

// checkSPF evaluates both identities; they are kept apart (D-01). Behind a trusted forwarder that rewrites the
// reverse-path the forwarder's own right to send counts too.
func (r *run) checkSPF(ctx context.Context) {
	env := r.m.Envelope
	tasks := tasks{crew: r.f.crew}
	var own filters.SPF
	if r.client.steps > 0 {
		tasks.start(func() { own, _ = r.spfOf(ctx, client{ip: env.Remote, helo: env.Helo}) })
	}
	r.auth.SPF, r.auth.SPFHelo = r.spfOf(ctx, r.client)
	tasks.wait()
	r.spfClient = r.client.ip
	if own.Result == resultPass && !env.From.IsNull() {
		r.auth.SPF, r.spfClient = own, env.Remote
	}
}

// spfOf evaluates the reverse-path and the HELO name for one client.
func (r *run) spfOf(ctx context.Context, c client) (path, helo filters.SPF) {
	env := r.m.Envelope
	if !c.ip.IsValid() {
		none := filters.SPF{Result: resultNone, Reason: "the client's address is not known"}
		return none, none
	}
	q := SPFQuery{IP: c.ip, Helo: c.helo, Receiver: r.f.cfg.Hostname, Time: r.now}
	greeting := q
	greeting.Sender = "postmaster@" + c.helo
	tasks := tasks{crew: r.f.crew}
	tasks.start(func() { helo = checkSPF(ctx, r.f.r, greeting, r.f.read.spf) })
	if !env.From.IsNull() {
		q.Sender = env.From.Local() + "@" + env.From.Domain()
		path = checkSPF(ctx, r.f.r, q, r.f.read.spf)
	}
	tasks.wait()
	if env.From.IsNull() {
		path = helo
	}
	return path, helo
}

// checkDKIM verifies the signatures. unread is why the header block was not scanned, if it was not.
func (r *run) checkDKIM(ctx context.Context, b *block, unread error, domains []string) error {
	r.auth.DKIM, r.auth.ARC = []filters.DKIM{}, filters.ARC{Result: resultNone}
	if unread != nil {
		r.auth.DKIM = append(r.auth.DKIM, filters.DKIM{Result: resultPermerror, Reason: unread.Error()})
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxSignatureTime)
	defer cancel()
	s := r.f.scratch.take()
	defer r.f.scratch.give(s)
	c := &dkimCheck{b: b, r: r.f.r, now: r.now, scratch: s, keys: r.f.read.keys, crew: r.f.crew}
	r.sigs, r.skipped = c.signatures(domains)
	if err := c.verifyAll(ctx, r.sigs); err != nil {
		return err
	}
	r.chain = readChain(b)
	r.auth.ARC = c.checkARC(ctx, &r.chain)
	return nil
}

// prepare asks for the records of the author domains while the other checks run.
func (c *dmarcCheck) prepare(domains []string) {
	for _, d := range domains[:min(len(domains), maxAuthors)] {
		if isDomain(d) && strings.IndexByte(d, '.') >= 0 {
			c.walk(d)
		}
	}
}

// authors lists the domains of all addresses that a mail program might show as an author, and whether all of From
// could be read as addresses (D-07 to D-17). An address that stands only inside quotes or an encoded word is a
// display name as long as there is another.
func authors(m *mail.Message) (domains []string, readable bool) {
	list := m.Authors()
	readable = len(m.Fields("From")) == 1
	for _, a := range list {
		if slices.Contains(a.Defects, mail.MailboxEncoded) {
			continue
		}
		if a.Domain == "" {
			readable = false
			continue
		}
		if !slices.Contains(domains, a.Domain) {
			domains = append(domains, a.Domain)
		}
	}
	return domains, readable && len(domains) > 0
}

// conclude fills the typed facts.
func (r *run) conclude(dmarc *dmarcCheck, domains []string, readable bool) {
	for i := range r.sigs {
		v := &r.sigs[i]
		for _, d := range domains {
			v.Aligned = v.Aligned || v.Domain != "" && dmarc.related(v.Domain, d)
		}
		if v.Result == resultPass {
			v.Token = v.token()
		}
		r.auth.DKIM = append(r.auth.DKIM, v.DKIM)
	}
	r.auth.DMARC = r.eval.DMARC
	r.trustSealers(domains)
	r.auth.IPRev = r.iprev.result
	if r.client.steps > 0 {
		r.auth.Origin = addrName(r.client.ip)
	}
	if readable && len(domains) == 1 && r.override != 0 {
		r.auth.Domain, r.auth.By = domains[0], "arc"
	}
	if readable && len(domains) == 1 && r.eval.align.by != "" {
		r.auth.Domain, r.auth.By = domains[0], r.eval.align.by
	}
}

// countReplays counts genuine signatures that are brought to people whom the signed letter does not name (D-22).
func (r *run) countReplays(ctx context.Context) {
	if r.f.cfg.Replays == nil {
		return
	}
	for i := range r.sigs {
		if v := &r.sigs[i]; v.Result == resultPass && r.nobodyNamed(v) {
			v.replayed = r.f.cfg.Replays.Replayed(ctx, v.Token, len(r.m.Rcpts))
		}
	}
}

// trustSealers takes a trusted forwarder's word that the message passed DMARC when it arrived there. Going from the
// newest seal down, it stops at the first sealer who is not trusted: what lies below could have been made up (D-28).
// DMARC keeps its result; what changes is what follows from it, and that is told as a finding.
func (r *run) trustSealers(domains []string) {
	if r.auth.ARC.Result != resultPass {
		return
	}
	r.auth.ARC.Trusted = r.f.sealers[r.auth.ARC.Sealer]
	if r.auth.DMARC.Result != resultFail {
		return
	}
	for i := len(r.chain.sets) - 1; i >= 0; i-- {
		set := &r.chain.sets[i]
		if !r.f.sealers[set.seal.domain] || set.sig.domain != set.seal.domain {
			return
		}
		_, results, err := readAAR(set.aar.value())
		if err != nil || !saysPass(results, domains) {
			continue
		}
		r.override = i + 1
		r.auth.DMARC.Disposition = resultNone
		r.auth.DMARC.Reason = "overridden: " + set.seal.domain + ", which is trusted to seal, says that DMARC passed when the message arrived there"
		return
	}
}

// saysPass reports whether results state that DMARC passed for the one author domain.
func saysPass(results string, domains []string) bool {
	list := readStatements(results)
	for i := range list {
		if list[i].method != "dmarc" {
			continue
		}
		from := strings.ToLower(list[i].prop("header.from"))
		return list[i].result == resultPass && len(domains) == 1 && from == domains[0]
	}
	return false
}
