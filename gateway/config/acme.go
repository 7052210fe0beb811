package config

import (
	"encoding/base64"
	"net"
	"net/url"
	"slices"
	"strings"

	"gatepost/rules/conf"
)

// acme looks at tls.acme and reports whether an authority is to give the certificates.
func (r *review) acme(at conf.Node) bool {
	a := &r.c.TLS.ACME
	if at.Kind() != conf.Mapping {
		return false
	}
	if !a.Agree {
		r.problem(at, "say agree: true once you have read the terms of %s; nothing is asked of it before", a.Directory)
	}
	if len(r.c.TLS.Certificates) > 0 {
		r.problem(at, "tls.certificates names certificates already; keep one of the two")
	}
	if !slices.ContainsFunc(r.c.Listeners, func(l Listener) bool { return l.TLS != "off" }) {
		r.problem(at, "no listener shows certificates: all have tls: off")
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		r.problem(at.Key("directory"), "expected an https URL, found %q", a.Directory)
	}
	if a.Roots != "" {
		r.readable(at.Key("roots"), string(a.Roots))
	}
	r.acmeNames(at)
	for i, k := range a.Keys {
		if k != "ecdsa" && k != "rsa" || slices.Contains(a.Keys[:i], k) {
			r.problem(at.Key("keys"), "expected ecdsa, rsa or both, found %s", strings.Join(a.Keys, ", "))
			break
		}
	}
	if len(a.Keys) == 0 {
		r.problem(at.Key("keys"), "expected ecdsa, rsa or both, found neither")
	}
	if a.Challenge == "dns" {
		r.acmeRecords(at.Key("dns"), &a.DNS)
		return true
	}
	if a.Listen != "" {
		if _, port, err := net.SplitHostPort(a.Listen); err != nil || port == "" || port == "0" {
			r.problem(at.Key("listen"), "expected HOST:PORT, found %q", a.Listen)
		}
	}
	if at.Key("dns").Kind() == conf.Mapping {
		r.problem(at.Key("dns"), "is for challenge: dns, and this is challenge: %s", a.Challenge)
	}
	return true
}

// acmeNames brings the names into the one form, and puts the hostname where there are none.
func (r *review) acmeNames(at conf.Node) {
	a := &r.c.TLS.ACME
	if len(a.Names) == 0 && r.c.Hostname != "" {
		a.Names = []string{r.c.Hostname}
	}
	for i, n := range a.Names {
		name, err := canonical(n)
		if err != nil || strings.HasPrefix(n, "*.") && a.Challenge != "dns" {
			r.problem(at.Key("names"), "%q is not a host name that challenge: %s can prove", n, a.Challenge)
			continue
		}
		a.Names[i] = name
	}
	if r.c.Hostname != "" && !slices.Contains(a.Names, strings.ToLower(r.c.Hostname)) {
		r.note(at.Key("names"), "none of them is %s, the hostname: senders that verify will not accept it", r.c.Hostname)
	}
}

// acmeRecords looks at where TXT records are put.
func (r *review) acmeRecords(at conf.Node, d *ACMERecords) {
	if _, _, err := net.SplitHostPort(d.Server); err != nil {
		r.problem(at, "challenge: dns needs server: HOST:PORT, the primary server of the zone")
	}
	if _, err := canonical(d.Zone); err != nil || d.Zone == "" {
		r.problem(at, "challenge: dns needs zone: the zone that holds the names")
	}
	if (d.Key == "") != (d.Secret.Reveal() == "") {
		r.problem(at, "key and secret go together")
	}
	if _, err := base64.StdEncoding.DecodeString(d.Secret.Reveal()); err != nil {
		r.problem(at.Key("secret"), "is not base64")
	}
}
