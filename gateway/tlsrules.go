package gateway

import (
	"crypto/tls"
	"net/netip"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
)

// A TLSStage is how far the demand for TLS has come. The stages rise, so that a demand can be watched before it cuts
// anybody off.
type TLSStage int

// The stages.
const (
	TLSFree     TLSStage = iota // nothing is asked
	TLSObserve                  // who sends in clear text is in the report, and learns nothing
	TLSWarn                     // the same, and the reply to RCPT says that TLS will be required
	TLSRequired                 // clear text is refused
)

// String is the stage's name in the configuration.
func (s TLSStage) String() string { return [...]string{"", "observe", "warn", "required"}[s] }

// StageOf is the stage of a name; ok is false if there is none.
func StageOf(name string) (s TLSStage, ok bool) {
	for s = TLSFree; s <= TLSRequired; s++ {
		if s.String() == name {
			return s, name != ""
		}
	}
	return TLSFree, false
}

// A TLSRule asks for TLS between some senders and some recipients. Of each kind that is given one must match; a rule
// without any matches all mail.
type TLSRule struct {
	Stage      TLSStage
	Least      uint16 // oldest version that will do: tls.VersionTLS12 or later
	Networks   []netip.Prefix
	Senders    map[string]bool // domains of the reverse-path, canonical
	Recipients map[string]bool // domains, canonical
}

// matches reports whether the rule is about mail of env to rcpt.
func (r *TLSRule) matches(env *mail.Envelope, rcpt mail.Address) bool {
	return (len(r.Networks) == 0 || contains(r.Networks, env.Remote)) &&
		(r.Senders == nil || !env.From.IsNull() && r.Senders[env.From.Domain()]) &&
		(r.Recipients == nil || r.Recipients[rcpt.Domain()])
}

// A ListenerTLS is what one listener asks, and whom it does not ask.
type ListenerTLS struct {
	Stage      TLSStage
	Networks   []netip.Prefix
	Senders    map[string]bool // domains
	Recipients map[string]bool // canonical addresses; "postmaster" stands for that of every domain
}

// A TLSPolicy is all that is asked of clients as to TLS. The zero TLSPolicy asks nothing.
type TLSPolicy struct {
	Listeners map[string]ListenerTLS // by configured address
	Rules     []TLSRule
	Exempt    map[string]bool // canonical recipients that may always be written to in clear text
}

func contains(nets []netip.Prefix, a netip.Addr) bool {
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// exempt reports whether rcpt may always be written to in clear text: postmaster (RFC 5321 section 4.5.1) and the
// addresses for reports about TLS (RFC 8460 section 5.3), which must get in when TLS does not work.
func (p *TLSPolicy) exempt(rcpt mail.Address) bool {
	return postmaster(rcpt) || p.Exempt[rcpt.Canonical()]
}

// PlainAllowed says whether a listener lets mail in clear text through; it serves smtp.ListenerOptions. What is not known
// yet is zero: a server with exempt recipients lets everybody as far as RCPT.
func (p *TLSPolicy) PlainAllowed(listener string, peer netip.Addr, from, rcpt mail.Address) bool {
	l := p.Listeners[listener]
	switch {
	case l.Stage < TLSRequired, contains(l.Networks, peer), !from.IsNull() && l.Senders[from.Domain()]:
		return true
	case rcpt.IsNull():
		return len(l.Recipients)+len(p.Exempt) > 0
	}
	return l.Recipients[rcpt.Canonical()] || p.Exempt[rcpt.Canonical()] || l.Recipients["postmaster"] && postmaster(rcpt)
}

// Stage is the strictest that the rules, and the listener if it only observes or warns, ask of mail of env to rcpt, and
// the oldest version that will do. What a listener requires is the server's affair: see PlainAllowed.
func (p *TLSPolicy) Stage(env *mail.Envelope, rcpt mail.Address) (stage TLSStage, least uint16) {
	l := p.Listeners[env.Listener]
	if l.Stage < TLSRequired && !contains(l.Networks, env.Remote) && (env.From.IsNull() || !l.Senders[env.From.Domain()]) {
		stage = l.Stage
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Stage < stage || !r.matches(env, rcpt) {
			continue
		}
		if r.Stage > stage {
			stage, least = r.Stage, 0
		}
		least = max(least, r.Least)
	}
	return stage, least
}

// versionOf is the number of a version that crypto/tls named; 0 for clear text.
func versionOf(name string) uint16 {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if tls.VersionName(v) == name {
			return v
		}
	}
	return 0
}

// TLSShort reports whether mail of env to rcpt is not protected as it should be, and how serious that is taken.
func (p *TLSPolicy) TLSShort(env *mail.Envelope, rcpt mail.Address) TLSStage {
	stage, least := p.Stage(env, rcpt)
	v := versionOf(env.TLS.Version)
	if stage == TLSFree || p.exempt(rcpt) || v != 0 && v >= least {
		return TLSFree
	}
	return stage
}

// secure refuses a recipient for want of TLS; soon is what it is told instead of the ordinary yes.
func (s *session) secure(to mail.Address) (refused, soon *smtp.Reply) {
	switch s.tx.snap.TLS.TLSShort(s.tx.env, to) {
	case TLSRequired:
		return smtp.ReplyTLSNeeded(), nil
	case TLSWarn:
		return nil, smtp.ReplyRecipientTLSSoon()
	}
	return nil, nil
}
