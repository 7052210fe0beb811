package auth

import (
	"net/url"
	"strings"
)

// A dmarcRecord is a DMARC Policy Record (RFC 9989 section 4.7). Unknown tags are ignored, and so are the tags of RFC
// 7489 that are gone: pct, rf, ri.
type dmarcRecord struct {
	policy      string // p
	subdomains  string // sp; empty: p
	nonexistent string // np; empty: sp
	psd         byte   // y, n or u
	testing     bool   // t=y
	strictDKIM  bool
	strictSPF   bool
	rua         string
	text        string
}

// isDMARC reports whether a TXT record identifies itself as a DMARC Policy Record: v=DMARC1 stands first, and its
// value is case-sensitive.
func isDMARC(txt string) bool {
	first, _, _ := strings.Cut(txt, ";")
	name, value, ok := strings.Cut(first, "=")
	return ok && strings.EqualFold(strings.Trim(name, " \t"), "v") && strings.Trim(value, " \t") == "DMARC1"
}

// parseDMARC reads a record for which isDMARC holds. ok is false for a record that is to be ignored.
func parseDMARC(txt string) (rec dmarcRecord, ok bool) {
	if len(txt) > maxRecord {
		return rec, false
	}
	rec.psd, rec.text = 'u', txt
	valid, seen := true, 0
	_, rest, _ := strings.Cut(txt, ";")
	for spec := range strings.SplitSeq(rest, ";") {
		if seen++; seen > maxTags {
			break
		}
		name, value, ok := strings.Cut(spec, "=")
		if !ok {
			continue
		}
		name, value = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
		word := strings.ToLower(value)
		switch name {
		case "p", "sp", "np":
			if word != "none" && word != "quarantine" && word != "reject" {
				valid = false
				continue
			}
			rec.setPolicy(name, word)
		case "psd":
			if word == "y" || word == "n" {
				rec.psd = word[0]
			}
		case "t":
			rec.testing = word == "y"
		case "adkim":
			rec.strictDKIM = word == "s"
		case "aspf":
			rec.strictSPF = word == "s"
		case "rua":
			rec.rua = value
		}
	}
	// RFC 9989 section 4.10.1: what cannot be read counts as none if somebody asked for reports, else for nothing.
	if !valid {
		if !hasReportURI(rec.rua) {
			return rec, false
		}
		rec.policy, rec.subdomains, rec.nonexistent = resultNone, "", ""
	}
	if rec.policy == "" {
		rec.policy = resultNone
	}
	return rec, true
}

// setPolicy keeps the first of each.
func (r *dmarcRecord) setPolicy(name, word string) {
	for _, p := range []struct {
		name string
		to   *string
	}{{"p", &r.policy}, {"sp", &r.subdomains}, {"np", &r.nonexistent}} {
		if p.name == name && *p.to == "" {
			*p.to = word
		}
	}
}

// hasReportURI reports whether a rua= value holds a URI that could be one.
func hasReportURI(rua string) bool {
	for s := range strings.SplitSeq(rua, ",") {
		if u, err := url.Parse(strings.Trim(s, " \t")); err == nil && u.Scheme != "" && (u.Opaque != "" || u.Host != "") {
			return true
		}
	}
	return false
}

// relaxed is the disposition of a record in test mode: one step milder (RFC 9989 section 4.7, t).
func relaxed(policy string) string {
	if policy == "reject" {
		return "quarantine"
	}
	return resultNone
}
