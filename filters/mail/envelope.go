package mail

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// An Envelope is what is known of a message before its content: who speaks, what the client said, and when.
// One transaction owns it; filters and policy only read it.
type Envelope struct {
	ID   string    // ours, unique, sorts by time; see NewID
	Time time.Time // when MAIL was accepted: the clock by which the whole message is judged

	Listener   string     // address of the listener that took the connection
	Remote     netip.Addr // the client, unmapped (never an IPv4-mapped IPv6 address)
	RemoteName string     // reverse-DNS name that resolves back to Remote, lower case; empty if there is none
	Trusted    bool       // Remote is in trusted_networks
	Country    string     // two-letter code of the client's country, upper case; empty where nobody knows
	ASN        uint32     // number of the client's network; 0 where nobody knows
	Helo       string     // the name given in EHLO or HELO, printable ASCII
	ESMTP      bool       // EHLO rather than HELO
	TLS        TLS        // zero for a session in clear text

	From     Address   // reverse-path; the zero Address is the null reverse-path <>
	Rcpts    []Address // accepted recipients, in the order given
	SMTPUTF8 bool      // the SMTPUTF8 parameter was given (RFC 6531)
	Body8Bit bool      // BODY=8BITMIME was given (RFC 6152)
}

// TLS names the protection of a session as crypto/tls spells it, such as "TLS 1.3". The zero value is clear text.
type TLS struct {
	Version    string `json:"version,omitempty"`
	Cipher     string `json:"cipher,omitempty"`
	ServerName string `json:"server_name,omitempty"` // SNI
}

// On reports whether the session is protected.
func (t TLS) On() bool { return t.Version != "" }

// A Mail is one message with its envelope: all that a filter is given.
type Mail struct {
	*Envelope
	*Message
}

// Group is the address of a discussion group: one to which the message went, to which replies go, and which is neither the
// author's nor that of somebody who is to get this copy. False if there is none.
func (m *Mail) Group() (Mailbox, bool) {
	replies := m.Addresses("Reply-To")
	if len(replies) != 1 || replies[0].Domain == "" {
		return Mailbox{}, false
	}
	group := replies[0]
	same := func(address string) bool { return strings.EqualFold(address, group.Address) }
	if slices.ContainsFunc(m.Authors(), func(a Mailbox) bool { return same(a.Address) }) ||
		slices.ContainsFunc(m.Rcpts, func(a Address) bool { return same(a.String()) }) {
		return Mailbox{}, false
	}
	return group, slices.ContainsFunc(m.Addresses("To"), func(a Mailbox) bool { return same(a.Address) })
}
