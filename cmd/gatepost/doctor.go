package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/certs"
	"gatepost/gateway/config"
	"gatepost/gateway/db"
	"gatepost/gateway/disk"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/gateway/smtp"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// doctorCmd is `gatepost doctor`.
type doctorCmd struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// A diagnosis is how one thing is that mail depends on.
type diagnosis struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok, warning, critical
	Detail string `json:"detail,omitempty"`
	Effect string `json:"effect,omitempty"` // what it does to mail, one sentence
	Hint   string `json:"hint,omitempty"`   // what to do, one sentence
}

// The states of a diagnosis.
const (
	isWell     = "ok"
	isWarning  = "warning"
	isCritical = "critical"
)

// doctorTime is how long all probes may take together.
const doctorTime = 30 * time.Second

// Run probes everything that mail depends on. It changes nothing, and works beside a running gateway. Its exit code is 1
// if something is critical.
func (c *doctorCmd) Run(a *app) error {
	path, err := a.configPath()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, doctorTime)
	defer cancel()
	list := diagnose(ctx, a, path)
	ok := true
	for _, d := range list {
		ok = ok && d.State != isCritical
	}
	if c.JSON {
		err = writeLine(a.out, struct {
			OK     bool        `json:"ok"`
			Checks []diagnosis `json:"checks"`
		}{ok, list})
	} else {
		err = printDiagnoses(a, list)
	}
	if err == nil && !ok {
		return exit(1)
	}
	return err
}

// printDiagnoses is the report for people.
func printDiagnoses(a *app, list []diagnosis) error {
	for _, d := range list {
		mark := map[string]string{isWell: "ok      ", isWarning: "warning ", isCritical: "CRITICAL"}[d.State]
		if _, err := fmt.Fprintf(a.out, "%s %s: %s\n", mark, d.Name, mail.Printable(d.Detail, 400)); err != nil {
			return err
		}
		if d.Effect != "" {
			fmt.Fprintf(a.out, "           mail: %s\n", d.Effect)
		}
		if d.Hint != "" {
			fmt.Fprintf(a.out, "           do:   %s\n", d.Hint)
		}
	}
	return nil
}

// diagnose looks at everything.
func diagnose(ctx context.Context, a *app, path string) []diagnosis {
	cfg, problems := config.Load(path)
	for _, p := range problems {
		return []diagnosis{{"configuration", isCritical, p.Error(), "The gateway does not start; one that runs keeps what it has.", "Mend the file; gatepost check lists every problem."}}
	}
	s, err := buildSite(a, cfg)
	if err != nil {
		return []diagnosis{{"configuration", isCritical, "it cannot be loaded", "The gateway does not start; one that runs keeps what it has.", "Run gatepost check; it lists every problem."}}
	}
	list := []diagnosis{{Name: "configuration", State: isWell, Detail: cfg.File}}
	for _, n := range cfg.Notes {
		list = append(list, diagnosis{Name: "configuration", State: isWarning, Detail: n.Error()})
	}
	list = append(list, s.dnsHealth(ctx))
	list = append(list, s.storeDiagnoses(ctx)...)
	list = append(list, s.stateHealth(ctx)...)
	list = append(list, s.hopHealth(ctx)...)
	for _, c := range s.snap.Chain.Conditions(ctx) {
		list = append(list, filterHealth(c, s.snap.Policy))
	}
	list = append(list, s.listHealth(ctx)...)
	list = append(list, s.directories.probe(ctx)...)
	list = append(list, s.hookHealth(ctx)...)
	list = append(list, s.geoHealth(time.Now())...)
	list = append(list, s.openDoors()...)
	list = append(list, s.certHealth()...)
	return append(list, s.diskHealth(), s.journalHealth(), s.fileHealth(openable()), clockHealth(time.Now()))
}

// dnsHealth asks the resolver for the name servers of the root.
func (s *site) dnsHealth(ctx context.Context) diagnosis {
	begin := time.Now()
	if err := s.resolver.Probe(ctx); err != nil {
		return diagnosis{"dns", isCritical, err.Error(), "Senders cannot be checked: mail whose author's domain might refuse it is told to come back (451).", "See that dns.servers (or /etc/resolv.conf) names a resolver that answers; one on this machine is best."}
	}
	return diagnosis{Name: "dns", State: isWell, Detail: fmt.Sprintf("answered in %d ms", time.Since(begin).Milliseconds())}
}

// storeDiagnoses asks a database that gateways share. A file on this machine needs only its disk.
func (s *site) storeDiagnoses(ctx context.Context) []diagnosis {
	place, err := db.Locate(s.cfg.StoreURL())
	if err != nil || !place.Shared {
		return nil
	}
	well := diagnosis{Name: "store", State: isWell, Detail: place.Name}
	d, err := db.Open(s.cfg.StoreURL())
	if err == nil {
		defer d.Close()
		err = d.Check(ctx)
	}
	switch {
	case errors.Is(err, db.ErrNotDurable):
		return []diagnosis{{well.Name, isCritical, err.Error(), storeEffect, "Set fsync = on in postgresql.conf; it outweighs every speed that is gained without."}}
	case err != nil:
		return []diagnosis{{well.Name, isCritical, err.Error(), storeEffect, storeHint}}
	}
	list := []diagnosis{well}
	if place.Blind {
		list = append(list, diagnosis{well.Name, isWarning, "it need not show who it is, as store.url says", "Whoever is between can take its place.", "Say sslmode=verify-full, with sslrootcert if its authority is your own."})
	}
	if place.Clear {
		list = append(list, diagnosis{well.Name, isWarning, "it is talked to in clear text, as store.url says", "Whoever is between can read and change held mail.", "Say sslmode=verify-full, unless the network is safe."})
	}
	if skew := d.Skew(); skew.Abs() > maxSkew {
		list = append(list, diagnosis{"clock of the store", isWarning, "it differs by " + skew.Round(time.Second).String() + " from ours", skewEffect, skewHint})
	}
	return list
}

// What a Redis that is away does, and what to do; the health page says the same.
const (
	stateName   = "shared state"
	stateEffect = "Each gateway counts for itself, with its part of every rate."
	stateHint   = "Look at the Redis of state.url and the way to it."
)

// stateTime is how long Redis may take for a sign of life; over mail it has less.
const stateTime = 5 * time.Second

// stateHealth asks the Redis that gateways share, if they do.
func (s *site) stateHealth(ctx context.Context) []diagnosis {
	url := s.cfg.State.URL.Reveal()
	if url == "" {
		return nil
	}
	begin := time.Now()
	shared, err := state.NewRedis(state.RedisConfig{URL: url, Keys: 1, Deadline: stateTime, Now: time.Now})
	if err == nil {
		defer shared.Close()
		ctx, cancel := context.WithTimeout(ctx, stateTime)
		defer cancel()
		err = shared.Probe(ctx)
	}
	if err != nil {
		return []diagnosis{{stateName, isWarning, err.Error(), stateEffect, stateHint}}
	}
	return []diagnosis{{Name: stateName, State: isWell, Detail: fmt.Sprintf("answered in %d ms", time.Since(begin).Milliseconds())}}
}

// hopHealth greets every next hop.
func (s *site) hopHealth(ctx context.Context) []diagnosis {
	const name = "next hops"
	way, err := forward.New(forward.Config{Hostname: s.cfg.Hostname, TLSA: anchors{s.resolver.Unlimited()}}, s.routes())
	if err != nil {
		return []diagnosis{{name, isCritical, err.Error(), "Mail cannot be delivered.", "Look at domains and their downstream."}}
	}
	defer way.Close()
	warm, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	way.Warm(warm)
	var list []diagnosis
	for _, h := range way.Hops() {
		d := diagnosis{Name: "next hop " + h.Address, State: isWell, Detail: "takes mail"}
		switch {
		case !h.Up:
			d = diagnosis{d.Name, isCritical, fmt.Sprint(h.Err), "Mail for it is told to come back (451), or held where when_down says so.", "Look at the mail server, the way to it and downstream_tls."}
		case h.Extensions == nil:
			d = diagnosis{d.Name, isCritical, "did not answer in time", "Mail for it is told to come back (451), or held where when_down says so.", "Look at the mail server and the way to it."}
		case h.TLS.Version != "":
			d.Detail += " over " + h.TLS.Version
			if h.Mode == smtp.DANE {
				d.Detail += ", as its TLSA records say"
			}
		default:
			d.Detail += " in clear text"
		}
		list = append(list, d)
	}
	return list
}

// filterHealth says how something is that a filter depends on, and what follows for mail.
func filterHealth(c filters.Condition, p *policy.Policy) diagnosis {
	d := diagnosis{Name: c.Name, State: isWell, Detail: c.Detail}
	if c.Err == nil {
		return d
	}
	d.State, d.Detail, d.Hint = isWarning, c.Err.Error(), c.Hint
	if c.Down {
		d.Effect = withoutFilter(p.OnFailure(c.Filter))
		d.State = isCritical
	}
	return d
}

// withoutFilter says what happens to mail that a filter could not look at.
func withoutFilter(a policy.Action) string {
	switch a {
	case policy.Accept:
		return "Mail passes without having been looked at (failures: accept)."
	case policy.Tag:
		return "Mail passes marked, without having been looked at (failures: tag)."
	case policy.Quarantine:
		return "Mail is held for review (failures: quarantine)."
	case policy.Reject:
		return "Mail is refused for good (failures: reject)."
	}
	return "Mail is told to come back later, 451 (failures: defer)."
}

// openDoors names what the policy lets pass although nobody looked (HOSTILE 5.3).
func (s *site) openDoors() []diagnosis {
	var list []diagnosis
	for _, f := range []string{"attach", "clamd", "icap", "yara", "milter", "sandbox"} {
		if a := s.snap.Policy.OnFailure(f); a == policy.Accept || a == policy.Tag {
			list = append(list, diagnosis{"policy", isWarning, "failures: " + f + " says " + string(a), "While " + f + " cannot look, mail passes unscanned.", "Say defer or quarantine, unless that is what you want."})
		}
	}
	return list
}

// certHealth reads every certificate that is shown.
func (s *site) certHealth() []diagnosis {
	pairs := filesOf(s.cfg)
	if au, err := newAuthority(s.cfg, string(s.cfg.DataDir)); err != nil {
		return []diagnosis{{"certificate", isCritical, err.Error(), "The gateway does not start.", "Mend tls.acme."}}
	} else if au != nil {
		pairs = au.Pairs()
		au.Close()
	}
	if len(pairs) == 0 {
		return []diagnosis{{"certificate", isWarning, "none is configured, so a self-signed one is shown", "Mail is encrypted, but senders that check the name do not send.", "Set tls.certificates or tls.acme."}}
	}
	var list []diagnosis
	for _, p := range pairs {
		list = append(list, certificateHealth(p))
	}
	return list
}

// certificateHealth reads one.
func certificateHealth(p certs.Pair) diagnosis {
	d := diagnosis{Name: "certificate " + p.Cert, State: isWell}
	info, err := certs.Examine(p)
	left := time.Until(info.NotAfter)
	switch {
	case p.Missing():
		return diagnosis{d.Name, isWarning, "has not come from the authority yet", "Mail is encrypted, but senders that check the name may not send.", "Look at the log of the gateway: it says what the authority answered."}
	case err != nil:
		return diagnosis{d.Name, isCritical, err.Error(), "The gateway does not start; one that runs shows the certificate that it has.", "Mend the files and their permissions."}
	case left <= 0:
		return diagnosis{d.Name, isCritical, "expired " + info.NotAfter.Format(time.DateOnly), "Senders that check do not send.", "Renew it; it is read again by itself."}
	case left < 21*24*time.Hour:
		return diagnosis{d.Name, isWarning, "expires " + info.NotAfter.Format(time.DateOnly), "Then senders that check stop sending.", "Renew it; it is read again by itself."}
	case time.Now().Before(info.NotBefore):
		return diagnosis{d.Name, isCritical, "is valid only from " + info.NotBefore.Format(time.DateOnly), "Senders that check do not send.", "Look at the clock, or at the certificate."}
	}
	d.Detail = info.Algorithm + " for " + strings.Join(info.Names, ", ") + ", until " + info.NotAfter.Format(time.DateOnly)
	return d
}

// diskHealth asks for room where mail is kept.
func (s *site) diskHealth() diagnosis {
	dir := string(s.cfg.DataDir)
	for { // before the first start the directory may not be there yet
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	name := "disk of " + string(s.cfg.DataDir)
	space, err := disk.SpaceOf(dir)
	if err == nil {
		err = space.Enough(int64(s.cfg.Limits.MessageBytes))
	}
	if err != nil {
		return diagnosis{name, isCritical, err.Error(), "New mail is told to come back (452).", "Make room, or move data_dir to a larger disk."}
	}
	return diagnosis{Name: name, State: isWell, Detail: fmt.Sprintf("%d MiB of %d MiB free", space.Free>>20, space.Bytes>>20)}
}

// journalHealth looks for records that were lost to a damaged disk.
func (s *site) journalHealth() diagnosis {
	list, err := journal.NewReader(journalDir(string(s.cfg.DataDir))).DamagedFiles()
	const hint = "Look at the disk and at the file; move it away once you have seen it."
	switch {
	case err != nil:
		return diagnosis{"journal", isCritical, err.Error(), "What became of mail cannot be told.", "Let the gateway's account read its data directory."}
	case len(list) > 0:
		return diagnosis{"journal", isWarning, fmt.Sprintf("%d of its files had damaged lines, the first %s", len(list), list[0]), "None is lost; what those lines told of some messages is.", hint}
	}
	return diagnosis{Name: "journal", State: isWell, Detail: "no damage was found when its files were closed"}
}

// built is a time before which this program did not exist, so that no clock may be.
const built = "2026-11-01"

// clockHealth looks whether the clock can be right, and whether something keeps it so.
func clockHealth(now time.Time) diagnosis {
	const name, effect = "clock", "Signatures (DKIM, ARC) and certificates are judged by a wrong time."
	if now.Format(time.DateOnly) < built {
		return diagnosis{name, isCritical, "it says " + now.Format(time.DateOnly) + ", which is before this program was made", effect, "Set the clock, and let chrony or systemd-timesyncd keep it."}
	}
	if known, kept := clockKept(); known && !kept {
		return diagnosis{name, isWarning, "it says " + now.UTC().Format(time.RFC3339) + ", and nothing keeps it right", effect, "Let chrony or systemd-timesyncd keep it; in a container, on its host."}
	}
	return diagnosis{Name: name, State: isWell, Detail: now.UTC().Format(time.RFC3339)}
}
