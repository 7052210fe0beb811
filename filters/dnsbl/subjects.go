package dnsbl

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatepost/filters/mail"
	"gatepost/rules/dnslists"
)

// A subject is one thing that lists are asked about.
type subject struct {
	kind dnslists.Subject
	name string // an address, a domain or a mailbox
	addr netip.Addr
}

// mailbox reports whether lists are asked about a hash of the name.
func (s subject) mailbox() bool { return s.kind == dnslists.Mailbox }

// label is what stands before a list's zone.
func (s subject) label(hash string) string {
	switch {
	case s.mailbox():
		return digest(hash, s.name)
	case s.addr.IsValid():
		return reversed(s.addr)
	}
	return s.name
}

// where is the place of the subject, for evidence.
func (s subject) where() string {
	switch s.kind {
	case dnslists.Client:
		return "envelope client"
	case dnslists.Helo:
		return "envelope HELO"
	case dnslists.Reverse:
		return "reverse name of the client"
	case dnslists.Sender:
		return "envelope MAIL FROM"
	case dnslists.Author:
		return "header From"
	case dnslists.Mailbox:
		return "address"
	}
	return "link"
}

// reversed writes an address as lists want it: octets or nibbles from the last to the first (RFC 5782 sections 2.1, 2.4).
func reversed(a netip.Addr) string {
	var b []byte
	if a.Is4() {
		o := a.As4()
		for i := 3; i >= 0; i-- {
			b = strconv.AppendUint(b, uint64(o[i]), 10)
			b = append(b, '.')
		}
		return string(b[:len(b)-1])
	}
	const digits = "0123456789abcdef"
	o := a.As16()
	for i := 15; i >= 0; i-- {
		b = append(b, digits[o[i]&15], '.', digits[o[i]>>4], '.')
	}
	return string(b[:len(b)-1])
}

// digest hashes a mailbox as a list wants it. The hashes only name; they protect nothing.
func digest(hash, mailbox string) string {
	switch b := []byte(mailbox); hash {
	case "md5":
		h := md5.Sum(b)
		return hex.EncodeToString(h[:])
	case "sha256":
		h := sha256.Sum256(b)
		return strings.ToLower(strings.TrimRight(base32.StdEncoding.EncodeToString(h[:]), "="))
	default:
		h := sha1.Sum(b)
		return hex.EncodeToString(h[:])
	}
}

// shared is the address space behind carriers' translators (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether strangers can have an address; lists know nothing of others, and are told of none.
func public(a netip.Addr) bool {
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// hereOnly are the names at the top under which nobody registers, so that no list can know them.
var hereOnly = []string{"local", "localhost", "localdomain", "internal", "intranet", "private", "lan", "home", "corp", "arpa", "onion", "invalid", "test"}

// domain is the registered domain of a name, empty if no list may be asked about it.
func (f *Filter) domain(name string) string {
	org := mail.OrganizationalDomain(name)
	if org == "" || f.own[org] || len(org) > 120 || slices.Contains(hereOnly, org[strings.LastIndexByte(org, '.')+1:]) {
		return ""
	}
	return org
}

// envelope is what is known before the content.
func (f *Filter) envelope(env *mail.Envelope) []subject {
	var out []subject
	if public(env.Remote) {
		out = append(out, subject{kind: dnslists.Client, name: env.Remote.String(), addr: env.Remote})
	}
	for _, d := range []struct {
		kind dnslists.Subject
		name string
	}{{dnslists.Helo, env.Helo}, {dnslists.Reverse, env.RemoteName}, {dnslists.Sender, env.From.Domain()}} {
		if name := f.domain(d.name); name != "" {
			out = append(out, subject{kind: d.kind, name: name})
		}
	}
	return f.mailbox(out, env.From.Canonical())
}

// mailbox adds an address if lists may be asked about its domain.
func (f *Filter) mailbox(list []subject, address string) []subject {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || f.domain(address[at+1:]) == "" {
		return list
	}
	s := subject{kind: dnslists.Mailbox, name: strings.ToLower(address)}
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// maxPeople bounds the authors and answer addresses that are asked about.
const maxPeople = 5

// subjects is all that lists may be asked about, and how many links' domains were left out.
func (f *Filter) subjects(m *mail.Mail) (out []subject, left int) {
	out = f.envelope(m.Envelope)
	authors, answers := m.Authors(), m.Addresses("Reply-To")
	for _, a := range authors[:min(len(authors), maxPeople)] {
		if d := f.domain(a.Domain); d != "" && !slices.Contains(out, subject{kind: dnslists.Author, name: d}) {
			out = append(out, subject{kind: dnslists.Author, name: d})
		}
	}
	for _, a := range append(slices.Clone(authors[:min(len(authors), maxPeople)]), answers[:min(len(answers), maxPeople)]...) {
		if at := strings.LastIndexByte(a.Address, '@'); at > 0 {
			out = f.mailbox(out, a.Address[:at]+"@"+a.Domain)
		}
	}
	if !f.asksAbout(dnslists.Link) {
		return out, 0
	}
	domains := f.linked(m.Message)
	if n := len(domains); n > f.cfg.MaxDomains { // a hundred good links before the bad one shall not hide it: half from each end
		half := f.cfg.MaxDomains / 2
		domains = append(domains[:half:half], domains[n-(f.cfg.MaxDomains-half):]...)
		left = n - f.cfg.MaxDomains
	}
	for _, d := range domains {
		out = append(out, subject{kind: dnslists.Link, name: d})
	}
	return out, left
}

// asksAbout reports whether any list is asked about a kind of subject.
func (f *Filter) asksAbout(kind dnslists.Subject) bool {
	return slices.ContainsFunc(f.lists, func(l List) bool { return slices.Contains(l.Asks, kind) })
}

// linked are the registered domains that links lead to, in order, each once.
func (f *Filter) linked(m *mail.Message) []string {
	var out []string
	seenHost, seen := map[string]bool{}, map[string]bool{}
	for _, l := range m.Links() {
		host := webHost(l.URL)
		if host == "" || seenHost[host] {
			continue
		}
		seenHost[host] = true
		if d := f.domain(host); d != "" && !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out
}

// webHost is the host of a link that a browser follows; empty for mailto: and the like.
func webHost(u string) string {
	scheme, rest, ok := strings.Cut(u, ":")
	if !ok || !slices.Contains([]string{"http", "https", "ftp"}, strings.ToLower(scheme)) {
		return ""
	}
	rest = strings.TrimLeft(rest, `/\`)
	if n := strings.IndexAny(rest, `/\?#`); n >= 0 {
		rest = rest[:n]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if n := strings.LastIndexByte(rest, ':'); n >= 0 && strings.IndexByte(rest[n:], ']') < 0 {
		rest = rest[:n]
	}
	return strings.ToLower(rest)
}
