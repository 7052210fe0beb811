package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// How many senders there are, and from how many addresses, of those that the senders' SPF names and of others, they write.
const (
	domains    = 20
	goodHosts  = 10
	otherHosts = 4
)

// A mixture says how much of the mail is not as it should be, in percent, and how long the longest letter is.
type mixture struct {
	unsigned  int // has no signature
	changed   int // was signed, and changed on its way
	elsewhere int // comes from a host that the sender's SPF does not name
	pitched   int // sells something
	longest   int // bytes
}

// usual is mail as a mail exchanger meets it: 12.7 KB on average. faultless is mail that nothing can be said against,
// whatever loopback address it comes from.
var (
	usual     = mixture{unsigned: 5, changed: 5, elsewhere: 10, pitched: 33, longest: 60000}
	faultless = mixture{longest: 8000}
)

// A sender is one domain with its keys.
type sender struct {
	name   string
	rsaKey *rsa.PrivateKey
	edKey  ed25519.PrivateKey
}

func domainOf(i int) string { return fmt.Sprintf("sender%02d.example", i) }

// writeLetters makes distinct letters, and the DNS that their senders publish. Three in four are small, text alone or text
// and HTML, most others are newsletters, and some enclose files; one in three advertises. They are signed by RSA, and every
// tenth by Ed25519 as well.
func writeLetters(count int, mix mixture) ([]letter, string, error) {
	senders := make([]sender, domains)
	for i := range senders {
		var err error
		s := sender{name: domainOf(i)}
		if s.rsaKey, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, "", err
		}
		if _, s.edKey, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, "", err
		}
		senders[i] = s
	}
	zone, err := publish(senders, mix)
	if err != nil {
		return nil, "", err
	}
	w := newWriter(1)
	letters := make([]letter, 0, count)
	for i := 0; len(letters) < count; i++ {
		l, err := w.letter(i, &senders[w.IntN(domains)], mix)
		if err != nil {
			return nil, "", err
		}
		if len(l.wire) <= mix.longest {
			letters = append(letters, l)
		}
	}
	return letters, zone, nil
}

// publish is the senders' DNS: SPF that includes others' twice over, keys, policies of all kinds, and names of hosts.
func publish(senders []sender, mix mixture) (string, error) {
	var zone strings.Builder
	hosts := "127.1.0.0/28"
	if mix.elsewhere == 0 {
		hosts = "127.0.0.0/8"
	}
	policies := []string{"none", "quarantine", "reject", "reject; adkim=s; aspf=s"}
	for i, s := range senders {
		der, err := x509.MarshalPKIXPublicKey(&s.rsaKey.PublicKey)
		if err != nil {
			return "", err
		}
		all := []string{"~all", "-all"}[i%2]
		fmt.Fprintf(&zone, "%[1]s MX 10 mail.%[1]s.\n%[1]s A %[2]s\nmail.%[1]s A %[2]s\n", s.name, goodHost(i%goodHosts))
		fmt.Fprintf(&zone, "%s TXT v=spf1 mx a include:_spf.carrier.example ip4:192.0.2.0/28 %s\n", s.name, all)
		fmt.Fprintf(&zone, "news.%s TXT v=spf1 include:_spf.carrier.example -all\n", s.name)
		fmt.Fprintf(&zone, "s1._domainkey.%s TXT v=DKIM1; k=rsa; p=%s\n", s.name, base64.StdEncoding.EncodeToString(der))
		fmt.Fprintf(&zone, "s2._domainkey.%s TXT v=DKIM1; k=ed25519; p=%s\n", s.name, base64.StdEncoding.EncodeToString(s.edKey.Public().(ed25519.PublicKey)))
		fmt.Fprintf(&zone, "_dmarc.%s TXT v=DMARC1; p=%s\n", s.name, policies[i%len(policies)])
	}
	zone.WriteString("_spf.carrier.example TXT v=spf1 include:_spf1.carrier.example include:_spf2.carrier.example -all\n")
	zone.WriteString("_spf1.carrier.example TXT v=spf1 ip4:198.51.100.0/28 -all\n_spf2.carrier.example TXT v=spf1 ip4:" + hosts + " -all\n")
	for i := range goodHosts {
		fmt.Fprintf(&zone, "%d.0.1.127.in-addr.arpa PTR mail.%s.\n", i+1, domainOf(i))
	}
	for i := range otherHosts {
		fmt.Fprintf(&zone, "%[1]d.0.2.127.in-addr.arpa PTR host%[1]d.other.example.\nhost%[1]d.other.example A %[2]s\n", i+1, otherHost(i))
	}
	return zone.String(), nil
}

func goodHost(i int) string  { return fmt.Sprintf("127.1.0.%d", i+1) }
func otherHost(i int) string { return fmt.Sprintf("127.2.0.%d", i+1) }

// letter makes one letter.
func (w *writer) letter(i int, s *sender, mix mixture) (letter, error) {
	body, contentType := w.body(i, w.IntN(100) < mix.pitched)
	user, to := w.word(), []string{"alice", "bob", "carol", "dave", "erin"}[w.IntN(5)]+"@example.com"
	var m strings.Builder
	fmt.Fprintf(&m, "Received: from mail.%[1]s (mail.%[1]s [127.1.0.1]) by relay%[2]d.%[1]s (Postfix) with ESMTPS id %08[3]X\r\n\tfor <%[4]s>; Mon, 23 Nov 2026 08:59:%02[5]d +0000\r\n", s.name, w.IntN(9), w.Uint32(), to, i%60)
	fmt.Fprintf(&m, "From: \"%s\" <%s@%s>\r\nTo: %s\r\nSubject: %s\r\n", w.title(2), user, s.name, to, w.title(3+w.IntN(6)))
	fmt.Fprintf(&m, "Date: Mon, 23 Nov 2026 09:00:%02d +0000\r\nMessage-ID: <%d.%d@%s>\r\nMIME-Version: 1.0\r\n", i%60, 1795000000+i, w.IntN(1e9), s.name)
	fmt.Fprintf(&m, "X-Mailer: LoadMailer 1.%d\r\nList-Unsubscribe: <https://%s/u/%d>\r\nContent-Type: %s\r\n", w.IntN(9), s.name, w.IntN(1e9), contentType)
	if !strings.HasPrefix(contentType, "multipart/") {
		m.WriteString("Content-Transfer-Encoding: 7bit\r\n")
	}
	raw := []byte(m.String() + "\r\n" + body)
	fate := w.IntN(100)
	if fate >= mix.unsigned {
		var err error
		if raw, err = signed(raw, s.name, "s1", s.rsaKey); err == nil && i%10 == 0 {
			raw, err = signed(raw, s.name, "s2", s.edKey)
		}
		if err != nil {
			return letter{}, err
		}
	}
	if fate >= 100-mix.changed {
		raw = append(raw, "A footer that a mailing list added\r\n"...)
	}
	l := letter{from: user + "@" + s.name, to: to, helo: "mail." + s.name, ip: goodHost(w.IntN(goodHosts)), wire: stuffed(raw)}
	if w.IntN(5) == 0 {
		l.from = fmt.Sprintf("bounce+%d@news.%s", i, s.name)
	}
	if w.IntN(100) < mix.elsewhere {
		at := w.IntN(otherHosts)
		l.ip, l.helo = otherHost(at), fmt.Sprintf("host%d.other.example", at+1)
	}
	return l, nil
}

// body makes the content of a letter, that of a seller where pitch is set, and says what it is. Shapes and sizes are those that mail exchangers see; what comes out
// too long is not sent.
func (w *writer) body(i int, pitch bool) (body, contentType string) {
	boundary := fmt.Sprintf("=_b%032x", i)
	mixed := "multipart/mixed;\r\n\tboundary=\"" + boundary + "\""
	switch x := w.Float64(); {
	case x < 0.75:
		size := min(14000, max(1500, int(math.Exp(8.5+0.55*w.NormFloat64()))))
		if w.IntN(100) < 45 {
			return w.prose(size, pitch), "text/plain; charset=us-ascii"
		}
		return w.alternative(boundary, size, pitch), "multipart/alternative;\r\n\tboundary=\"" + boundary + "\""
	case x < 0.97:
		return w.alternative(boundary, 8000+w.IntN(40000), pitch), "multipart/alternative;\r\n\tboundary=\"" + boundary + "\""
	}
	inner := fmt.Sprintf("=_c%032x", i)
	e := w.enclosure(14000 + w.IntN(28000))
	body = fmt.Sprintf("--%s\r\nContent-Type: multipart/alternative;\r\n\tboundary=\"%s\"\r\n\r\n%s", boundary, inner, w.alternative(inner, 4000, pitch))
	body += fmt.Sprintf("--%[1]s\r\nContent-Type: %[2]s; name=\"file.%[3]s\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"file.%[3]s\"\r\n\r\n%[4]s--%[1]s--\r\n", boundary, e.mediaType, e.extension, lines(e.content))
	return body, mixed
}

// signed puts a signature before a letter.
func signed(raw []byte, domain, selector string, key crypto.Signer) ([]byte, error) {
	var b bytes.Buffer
	err := dkim.Sign(&b, bytes.NewReader(raw), &dkim.SignOptions{
		Domain: domain, Selector: selector, Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"},
	})
	return b.Bytes(), err
}

// stuffed is a letter as it goes over the wire, with its end.
func stuffed(raw []byte) []byte {
	b := bytes.ReplaceAll(raw, []byte("\r\n."), []byte("\r\n.."))
	return append(b, ".\r\n"...)
}

func sortedKeys(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }
