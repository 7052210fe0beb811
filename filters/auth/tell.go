package auth

import (
	"fmt"
	"slices"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// add states one finding. proof is never empty.
func (r *run) add(code, text string, proof ...filters.Evidence) {
	r.findings = append(r.findings, filters.Finding{Code: code, Text: mail.Printable(text, 300), Proof: proof})
}

// evidence quotes what stands somewhere.
func evidence(where, what string) filters.Evidence {
	return filters.Evidence{Where: mail.Printable(where, 300), What: mail.Printable(what, 200)}
}

// at is evidence in the message itself.
func at(where string, s mail.Span, what string) filters.Evidence {
	e := evidence(where, what)
	e.At = &[2]int64{s.Start, s.End - s.Start}
	return e
}

// tell turns the results into findings.
func (r *run) tell() {
	r.tellForwarded()
	r.tellSPF()
	r.tellDKIM()
	r.tellARC()
	r.tellDMARC()
	r.tellIPRev()
	r.tellOwn()
}

func (r *run) tellSPF() {
	s, env := r.auth.SPF, r.m.Envelope
	client := addrName(r.spfClient)
	who := fmt.Sprintf("client %s, MAIL FROM:<%s>", client, env.From.String())
	proof := []filters.Evidence{evidence("envelope", who)}
	if s.Mechanism != "" {
		proof = append(proof, evidence("DNS TXT "+s.Domain, s.Mechanism))
	} else if s.Reason != "" {
		proof = append(proof, evidence("DNS TXT "+s.Domain, s.Reason))
	}
	r.add("spf."+s.Result, spfText(s, client), proof...)
	if s.Weak {
		r.add("spf.weak", "SPF passes, but it would for half the world: "+s.Reason+".", evidence("DNS TXT "+s.Domain, s.Reason))
	}
	if h := r.auth.SPFHelo; h.Result == resultFail && !env.From.IsNull() {
		r.add("spf.helo-fail", fmt.Sprintf("%s may not call itself %s.", addrName(r.client.ip), h.Domain),
			evidence("envelope", "HELO "+r.client.helo), evidence("DNS TXT "+h.Domain, h.Mechanism))
	}
}

// spfText is the result in a sentence.
func spfText(s filters.SPF, client string) string {
	switch s.Result {
	case resultPass:
		return fmt.Sprintf("%s may send for %s.", client, s.Domain)
	case resultFail:
		return fmt.Sprintf("%s says that %s may not send for it.", s.Domain, client)
	case resultSoftfail:
		return fmt.Sprintf("%s says that %s probably may not send for it.", s.Domain, client)
	case resultNeutral:
		return fmt.Sprintf("%s does not say whether %s may send for it.", s.Domain, client)
	case resultNone:
		if s.Domain == "" {
			return fmt.Sprintf("No SPF result: %s.", s.Reason)
		}
		return fmt.Sprintf("No SPF result for %s: %s.", s.Domain, s.Reason)
	case resultPermerror:
		return fmt.Sprintf("The SPF record of %s is in error: %s.", s.Domain, s.Reason)
	}
	return fmt.Sprintf("SPF for %s could not be checked now: %s.", s.Domain, s.Reason)
}

func (r *run) tellDKIM() {
	if len(r.sigs) == 0 {
		what := "no DKIM-Signature"
		if len(r.auth.DKIM) > 0 {
			what = r.auth.DKIM[0].Reason
			r.add("dkim.permerror", "Signatures were not looked for: "+what+".", evidence("header", what))
			return
		}
		r.add("dkim.none", "The message is not signed.", evidence("header", what))
		return
	}
	for i := range r.sigs {
		v := &r.sigs[i]
		who := fmt.Sprintf("d=%s s=%s a=%s b=%s", v.Domain, v.Selector, v.Algorithm, v.Signature)
		proof := at("header DKIM-Signature", v.span, who)
		text := fmt.Sprintf("Signature of %s: %s", domainOr(v.Domain), v.Result)
		if v.Reason != "" {
			text += ": " + v.Reason
		}
		r.add("dkim."+v.Result, text+".", proof)
		if v.Result == resultPass {
			r.tellWeak(v, proof)
		}
	}
	if r.skipped > 0 {
		r.add("dkim.limit", fmt.Sprintf("%d signatures were not looked at: only %d are.", r.skipped, maxSignatures),
			evidence("header", fmt.Sprintf("%d DKIM-Signature fields", r.skipped+maxSignatures)))
	}
}

// tellWeak states what a valid signature leaves open.
func (r *run) tellWeak(v *verified, proof filters.Evidence) {
	if len(v.open) > 0 {
		r.add("dkim.weak", fmt.Sprintf("The signature of %s leaves open: %s.", v.Domain, strings.Join(v.open, ", ")), proof)
	}
	if v.partial {
		r.add("dkim.length", fmt.Sprintf("The signature of %s uses l=, so others may append to the message.", v.Domain), proof)
	}
	if v.Bits != 0 && v.Bits < 2048 {
		r.add("dkim.short-key", fmt.Sprintf("The key of %s has %d bits; RFC 8301 asks for 2048.", v.Domain, v.Bits), proof)
	}
	if v.testing {
		r.add("dkim.testing", fmt.Sprintf("%s says that it is only testing DKIM (t=y).", v.Domain), proof)
	}
	if r.nobodyNamed(v) {
		r.add("dkim.recipient-not-named", fmt.Sprintf("None of the recipients stands in the To and Cc that %s signed.", v.Domain), proof, evidence("envelope", "RCPT TO:<"+r.m.Rcpts[0].String()+">"))
	}
	if v.replayed {
		r.add("dkim.replay", fmt.Sprintf("What %s signed once is being brought to many whom it does not name.", v.Domain), proof, evidence("envelope", "RCPT TO:<"+r.m.Rcpts[0].String()+">"))
	}
	if v.future {
		r.add("dkim.future", fmt.Sprintf("The signature of %s claims to be made later than now.", v.Domain), proof)
	}
}

// nobodyNamed reports whether a signature covers To, and no recipient stands in To or Cc: so it is with blind copies and
// mailing lists, and with a genuine message that somebody replays to strangers (D-22).
func (r *run) nobodyNamed(v *verified) bool {
	if len(r.m.Rcpts) == 0 || !slices.ContainsFunc(v.sig.signed, func(n string) bool { return strings.EqualFold(n, "to") }) {
		return false
	}
	rcpts := make(map[string]bool, len(r.m.Rcpts))
	for _, a := range r.m.Rcpts {
		rcpts[a.Canonical()] = true
	}
	for _, name := range []string{"To", "Cc"} {
		for _, b := range r.m.Addresses(name) {
			if rcpts[strings.ToLower(b.Address)] {
				return false
			}
		}
	}
	return true
}

func domainOr(d string) string {
	if d == "" {
		return "an unreadable domain"
	}
	return d
}

func (r *run) tellDMARC() {
	d := r.auth.DMARC
	proof := []filters.Evidence{r.fromEvidence()}
	if d.Domain != "" {
		proof = append(proof, evidence("DNS TXT _dmarc."+d.Domain, r.eval.record))
	}
	switch d.Result {
	case resultPass:
		r.add("dmarc.pass", fmt.Sprintf("%s is proven as the author's domain by %s.", d.From, strings.ToUpper(r.eval.align.by)), proof...)
	case resultNone:
		r.add("dmarc.none", fmt.Sprintf("%s publishes no DMARC policy.", d.From), proof...)
	case resultFail:
		if r.override != 0 {
			set := &r.chain.sets[r.override-1]
			r.add("dmarc.fail-overridden", fmt.Sprintf("DMARC fails for %s, but %s vouches for the message by ARC.", d.From, set.seal.domain),
				append(proof, evidence(fmt.Sprintf("header ARC-Authentication-Results i=%d", r.override), mail.Unfold(set.aar.value())))...)
			return
		}
		r.add("dmarc.fail", fmt.Sprintf("The message does not come from %s: %s.", d.From, d.Reason), proof...)
		if d.Disposition != resultNone {
			r.add("dmarc.fail-"+d.Disposition, fmt.Sprintf("%s asks to %s such mail.", d.Domain, d.Disposition), proof...)
		}
	default:
		r.add("dmarc."+d.Result, fmt.Sprintf("DMARC has no answer: %s.", d.Reason), proof...)
	}
}

func (r *run) tellARC() {
	a := r.auth.ARC
	if a.Result == resultNone {
		return
	}
	text := fmt.Sprintf("The ARC chain of %d sets: %s", a.Sets, a.Result)
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	r.add("arc."+a.Result, text+".", evidence("header ARC-Seal", fmt.Sprintf("%d sets, newest seal by %s", a.Sets, domainOr(a.Sealer))))
}

// fromEvidence quotes the From field.
func (r *run) fromEvidence() filters.Evidence {
	for _, f := range r.m.Fields("From") {
		return at("header From", f.Span, mail.Unfold(f.Value))
	}
	return evidence("header", "no From")
}

func (r *run) tellIPRev() {
	if r.iprev.result == "" {
		return
	}
	code, text := "iprev."+r.iprev.result, "The client's reverse name "+r.iprev.name+" leads back to it."
	switch r.iprev.result {
	case resultPermerror:
		code, text = "iprev.none", "The client has no reverse name."
	case resultFail:
		text = "The client's reverse name " + r.iprev.name + " does not lead back to it."
	case resultTemperror:
		text = "The client's reverse name could not be checked now: " + r.iprev.reason + "."
	}
	r.add(code, text, evidence("DNS PTR "+addrName(r.client.ip), r.iprev.name+r.iprev.reason))
}

// tellOwn states that somebody outside uses a domain of this site as author without proof (D-36). A trusted
// client is no proof: it may be shared (D-35).
func (r *run) tellOwn() {
	if r.auth.Domain != "" {
		return
	}
	for _, a := range r.m.Authors() {
		if r.f.own[a.Domain] {
			r.add("auth.own-domain-from-outside", fmt.Sprintf("The author claims to be from %s, which is ours, and nothing proves it.", a.Domain), r.fromEvidence())
			return
		}
	}
}
