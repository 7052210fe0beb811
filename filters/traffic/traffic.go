package traffic

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// Config is the filter's section.
type Config struct {
	HalfLife time.Duration `yaml:"half_life" default:"14d" min:"1h" max:"90d" doc:"After how long what is remembered of a sender counts half."`
	Evidence int           `yaml:"evidence" default:"10" min:"3" max:"1000" doc:"Messages, ageing, from which on a domain or network is called good or bad."`
	Window   time.Duration `yaml:"window" default:"6h" min:"10m" max:"48h" doc:"How long bodies are remembered."`
	Repeats  int           `yaml:"repeats" default:"10" min:"3" max:"24" doc:"How often nearly the same body comes within the window until that is stated."`
}

// What is stated when.
const (
	badShare    = 0.8                // of the evidence is unwanted, at least, of a bad sender
	goodShare   = 0.02               // at most, of a good one
	goodAfter   = 3 * 24 * time.Hour // a sender is not called good sooner, however much it sends: no campaign earns itself a name
	surgeFactor = 10                 // times the usual hour
	surgeLeast  = 50                 // messages in this hour
	surgeHours  = 5                  // hours in which it sent before, at least, to know what is usual
	surgeAfter  = 24 * time.Hour     // it must have been known for
	strangeNets = 3                  // networks of a campaign
)

// A Filter is the traffic filter. It is immutable; what it remembers is the Memory's.
type Filter struct {
	cfg    Config
	memory Memory
}

// New makes the filter. A nil memory remembers nothing, and nothing is stated.
func New(cfg Config, m Memory) *Filter { return &Filter{cfg, m} }

// Check implements filters.Filter.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	return f.Follow(ctx, m, filters.Report{})
}

// A check is the examination of one message.
type check struct {
	*Filter
	id    Identity
	facts filters.Facts
}

// Follow implements filters.Follower: who sends is what filter auth found out.
func (f *Filter) Follow(ctx context.Context, m *mail.Mail, before filters.Report) (filters.Facts, error) {
	if f.memory == nil {
		return filters.Facts{}, nil
	}
	key := f.memory.Key()
	if key == nil {
		return filters.Facts{}, nil
	}
	c := &check{Filter: f, id: IdentityOf(m.Remote, m.Trusted, &before)}
	q := Question{Senders: c.id.Keys(), HalfLife: f.cfg.HalfLife, Window: f.cfg.Window}
	if worthComparing(m, &before) {
		if q.Bands = key.sketchOf(m.Text()).bands(); q.Bands != nil {
			q.Sighting = key.sighting(m, c.id, before.Auth)
		}
	}
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	if len(q.Senders)+len(q.Bands) == 0 {
		return filters.Facts{}, nil
	}
	a, err := f.memory.Ask(ctx, q)
	if err != nil {
		return filters.Facts{}, fmt.Errorf("ask memory of traffic: %w", err)
	}
	c.senders(a.Senders)
	if q.Bands != nil {
		c.body(near(a.Bands))
	}
	return c.facts, nil
}

// worthComparing reports whether a body is worth comparing. What the site's own relays bring, what mail systems write by themselves,
// authenticated lists and newsletters, and authenticated answers, which quote each other, are alike for good reasons.
func worthComparing(m *mail.Mail, before *filters.Report) bool {
	if m.Trusted {
		return false
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return len(m.Fields(n)) > 0 })
	}
	if m.From.IsNull() && (m.Root.Type == "multipart/report" || has("Auto-Submitted")) {
		return false
	}
	a := before.Auth
	if a == nil {
		return true
	}
	proven := a.DMARC.Result == "pass"
	signed := proven || slices.ContainsFunc(a.DKIM, func(d filters.DKIM) bool { return d.Result == "pass" })
	switch {
	case signed && has("List-Id", "List-Unsubscribe", "List-Post"):
		return false
	case proven && has("In-Reply-To", "References"):
		return false
	}
	return true
}

// maxHashed is how much of a header field tells messages apart, in octets.
const maxHashed = 500

// sighting is what is noted of a message. One that was deferred and comes again is the same.
func (k *Key) sighting(m *mail.Mail, id Identity, a *filters.Auth) Sighting {
	texts := []string{m.From.String()}
	for _, r := range m.Rcpts {
		texts = append(texts, r.Canonical())
	}
	slices.Sort(texts[1:])
	for _, name := range [...]string{"Message-ID", "Date", "Subject"} {
		v := m.Get(name)
		texts = append(texts, v[:min(len(v), maxHashed)])
	}
	s := Sighting{Letter: k.text(texts...)}
	if id.Network != "" {
		s.Network = k.text(id.Network)
	}
	for i, d := range authenticated(a) {
		s.Domains[i] = k.text(d)
	}
	return s
}

// authenticated lists the organisational domains that vouch for a message in any way, at most MaxDomains.
func authenticated(a *filters.Auth) []string {
	if a == nil {
		return nil
	}
	var list []string
	add := func(d string) {
		if d = organisational(d); d != "" && len(list) < MaxDomains && !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	add(a.Domain)
	if a.SPF.Result == "pass" && !a.SPF.Weak {
		add(a.SPF.Domain)
	}
	for i := range a.DKIM {
		if a.DKIM[i].Result == "pass" {
			add(a.DKIM[i].Domain)
		}
	}
	return list
}

// found states a finding by what the memory holds.
func (c *check) found(code, text, proof string) {
	c.facts.Findings = append(c.facts.Findings, filters.Finding{Code: code, Text: mail.Printable(text, 300), Proof: []filters.Evidence{{Where: "memory of traffic", What: mail.Printable(proof, 200)}}})
}

// senders tells of who sends. A surge is told of the domain, and of the network where there is none.
func (c *check) senders(list []Standing) {
	for i, key := range c.id.Keys() {
		if i >= len(list) {
			return
		}
		kind, who := "network", strings.TrimPrefix(key, networkKey)
		if key == c.id.Domain {
			kind, who = "domain", strings.TrimPrefix(key, domainKey)
		}
		c.reputation(kind, who, list[i])
		if i == 0 {
			c.surge(who, list[i])
		}
	}
}

func (c *check) reputation(kind, who string, s Standing) {
	sum := s.Wanted + s.Unwanted
	if sum < float64(c.cfg.Evidence)-0.5 { // what came a moment ago has aged, too
		return
	}
	proof := fmt.Sprintf("of %.1f messages of %s that count, ageing by half in %s, %.1f were unwanted", sum, who, conf.Duration(c.cfg.HalfLife), s.Unwanted)
	switch share := s.Unwanted / sum; {
	case share > badShare:
		c.found("traffic."+kind+"-bad", fmt.Sprintf("Most of what came from %s of late was unwanted.", who), proof)
	case share < goodShare && s.Known >= goodAfter:
		c.found("traffic."+kind+"-good", fmt.Sprintf("Nearly all that came from %s of late was wanted.", who), proof)
	}
}

func (c *check) surge(who string, s Standing) {
	n := s.Hour + 1
	if n < surgeLeast || float64(n) < surgeFactor*s.Usual || s.Hours < surgeHours || s.Known < surgeAfter {
		return
	}
	c.found("traffic.surge", fmt.Sprintf("%s sends many times more than it used to.", who),
		fmt.Sprintf("%d messages of %s this hour, %.1f in a usual one", n, who, s.Usual))
}

// near picks the sightings of bodies that agree in enough bands.
func near(all [][]Sighting) []Sighting {
	in := map[uint64]int{}
	var list []Sighting
	for _, band := range all {
		for _, s := range band {
			if in[s.Letter]++; in[s.Letter] == agreeing {
				list = append(list, s)
			}
		}
	}
	return list
}

// body tells of the messages that had nearly the same body, this one among them.
func (c *check) body(list []Sighting) {
	if len(list) < c.cfg.Repeats {
		return
	}
	networks, domains := map[uint64]bool{}, map[uint64]int{}
	joined := 0 // messages that one domain vouches for
	for _, s := range list {
		if s.Network != 0 {
			networks[s.Network] = true
		}
		for _, d := range s.Domains {
			if d != 0 {
				domains[d]++
				joined = max(joined, domains[d])
			}
		}
	}
	count := fmt.Sprint(len(list))
	if len(list) >= MaxSightings {
		count += " or more"
	}
	proof := fmt.Sprintf("%s messages within %s with nearly this text, from %d networks", count, conf.Duration(c.cfg.Window), len(networks))
	c.found("traffic.repeated", "Nearly the same text came many times within hours.", proof)
	if len(networks) >= strangeNets && 2*joined < len(list) {
		c.found("traffic.repeated-strangers", "Nearly the same text came many times within hours, from networks that no authenticated domain joins.", proof)
	}
}
