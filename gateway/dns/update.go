package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// An Updater puts TXT records into a zone at its primary server by dynamic update (RFC 2136), signed with a key that
// both know (TSIG, RFC 8945). It is safe for concurrent use.
type Updater struct {
	Server    string        // HOST:PORT of the primary server; asked over TCP
	Zone      string        // absolute name of the zone, with or without trailing dot
	Key       string        // name of the key; empty: updates are not signed, and the server must know us otherwise
	Secret    string        // of the key, in base64
	Algorithm string        // of the key, such as hmac-sha256
	Settle    time.Duration // how long the other servers of the zone take to follow
}

// updateTTL is the life of a record that is put up for minutes.
const updateTTL = 60

// updateWait is how long a server is asked for a record that it has taken.
const updateWait = time.Minute

// Add puts a TXT record beside those of its name.
func (u *Updater) Add(ctx context.Context, name, text string) error {
	m := u.message()
	m.Insert([]mdns.RR{txtRecord(name, text)})
	return u.send(ctx, m, "add")
}

// Remove takes one TXT record away; it is no error if there is none.
func (u *Updater) Remove(ctx context.Context, name, text string) error {
	m := u.message()
	m.Remove([]mdns.RR{txtRecord(name, text)})
	return u.send(ctx, m, "remove")
}

// Wait returns once the server shows the record and the others had time to follow.
func (u *Updater) Wait(ctx context.Context, name, text string) error {
	ctx, cancel := context.WithTimeout(ctx, updateWait+u.Settle)
	defer cancel()
	q := new(mdns.Msg)
	q.SetQuestion(mdns.Fqdn(name), mdns.TypeTXT)
	c := mdns.Client{Net: "tcp"}
	for {
		answer, _, err := c.ExchangeContext(ctx, q, u.Server)
		if err == nil && slices.ContainsFunc(answer.Answer, func(rr mdns.RR) bool {
			t, ok := rr.(*mdns.TXT)
			return ok && strings.Join(t.Txt, "") == text
		}) {
			return pause(ctx, u.Settle)
		}
		if pause(ctx, time.Second) != nil {
			return fmt.Errorf("wait for the record of %s at %s: %w", name, u.Server, errors.Join(err, ctx.Err()))
		}
	}
}

// pause waits, or says why not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// message begins an update of the zone.
func (u *Updater) message() *mdns.Msg {
	m := new(mdns.Msg)
	m.SetUpdate(mdns.Fqdn(u.Zone))
	return m
}

// txtRecord is one TXT record. text is at most 255 octets.
func txtRecord(name, text string) mdns.RR {
	return &mdns.TXT{Hdr: mdns.RR_Header{Name: mdns.Fqdn(name), Rrtype: mdns.TypeTXT, Class: mdns.ClassINET, Ttl: updateTTL}, Txt: []string{text}}
}

// send signs an update and has the server carry it out.
func (u *Updater) send(ctx context.Context, m *mdns.Msg, verb string) error {
	c := mdns.Client{Net: "tcp"}
	if u.Key != "" {
		key := mdns.CanonicalName(u.Key)
		c.TsigSecret = map[string]string{key: u.Secret}
		m.SetTsig(key, mdns.Fqdn(u.Algorithm), 300, time.Now().Unix())
	}
	answer, _, err := c.ExchangeContext(ctx, m, u.Server)
	if err == nil && answer.Rcode != mdns.RcodeSuccess {
		err = fmt.Errorf("the server says %s", mdns.RcodeToString[answer.Rcode])
	}
	if err != nil {
		return fmt.Errorf("%s a TXT record in %s at %s: %w", verb, u.Zone, u.Server, err)
	}
	return nil
}
