package smtp

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

// A Protection is how a connection to a next hop is protected.
type Protection string

// The modes, weakest first. None ever continues in a weaker one: what it asks for and does not get is an error before
// any envelope or content is sent.
const (
	Unprotected   Protection = "off"
	Opportunistic Protection = "opportunistic" // STARTTLS where it is offered, no matter with which certificate
	Encrypted     Protection = "required"      // STARTTLS, no matter with which certificate
	Verified      Protection = "verify"        // STARTTLS, and the certificate is trusted and for the hop's name
	Pinned        Protection = "pin"           // STARTTLS, and the certificate's key is one of Pins
	DANE          Protection = "dane"          // STARTTLS, and the certificate is what TLSA records say (RFC 7672)
)

// demands reports whether a session in clear text is out of the question.
func (m Protection) demands() bool { return m != "" && m != Unprotected && m != Opportunistic }

// Security is how a connection is protected. The zero value is clear text.
type Security struct {
	Mode Protection
	// Config may hold roots, a client certificate or a server name; nil will do. What decides over the checking of
	// certificates comes from Mode alone.
	Config *tls.Config
	Pins   [][sha256.Size]byte // SHA-256 of the SubjectPublicKeyInfo of the leaf; for Pinned
	// TLSA, for DANE, finds the records about the next hop's port. An answer that is not authentic is an error.
	TLSA func(ctx context.Context) ([]TLSA, error)
}

// The causes of a StepError at STARTTLS, besides those of crypto/tls.
var (
	ErrNoStartTLS = errors.New("next hop does not offer STARTTLS")
	ErrPin        = errors.New("key of the next hop's certificate is not pinned")
	ErrInjected   = errors.New("next hop's reply to STARTTLS came with more plaintext")
)

// secure protects the session as Security asks, and says EHLO again: nothing learnt in clear text survives.
func (c *Client) secure() error {
	mode := c.opts.Security.Mode
	if mode == "" || mode == Unprotected || mode == Opportunistic && !c.ext.StartTLS {
		return nil
	}
	if !c.ext.StartTLS {
		return c.fail("STARTTLS", ErrNoStartTLS)
	}
	r, err := c.exchange("STARTTLS", c.opts.Deadlines.Hello, "STARTTLS", nil)
	if err != nil {
		if errors.Is(err, ErrOutOfStep) { // NO STARTTLS, CVE-2011-0411: response injection
			return c.fail("STARTTLS", ErrInjected)
		}
		return err
	}
	if r.Code != 220 {
		return &StepError{"STARTTLS", r}
	}
	if err := c.arm(c.opts.Deadlines.Hello); err != nil {
		return c.fail("STARTTLS", err)
	}
	protected := tls.Client(c.raw, c.opts.Security.config(c.opts.Address, c.records))
	if err := protected.HandshakeContext(c.ctx); err != nil {
		return c.fail("STARTTLS", err)
	}
	state := protected.ConnectionState()
	c.tls = &state
	c.over(protected)
	return c.hello()
}

func (s Security) config(address string, records []TLSA) *tls.Config {
	conf := &tls.Config{}
	if s.Config != nil {
		conf = s.Config.Clone()
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	conf.DynamicRecordSizingDisabled = true                                                   // content comes in bulk, never byte by byte
	if (conf.ServerName == "" || s.Mode == DANE) && !strings.HasPrefix(address, unixPrefix) { // RFC 7672 section 8.1: DANE names the host
		if host, _, err := net.SplitHostPort(address); err == nil {
			conf.ServerName = strings.TrimSuffix(host, ".")
		}
	}
	conf.InsecureSkipVerify = s.Mode != Verified
	if s.Mode == DANE {
		host := conf.ServerName
		conf.VerifyConnection = func(state tls.ConnectionState) error {
			return authentic(state.PeerCertificates, records, host, time.Now())
		}
	}
	if s.Mode == Pinned {
		// VerifyConnection runs for resumed sessions too; VerifyPeerCertificate does not.
		conf.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return ErrPin
			}
			if !slices.Contains(s.Pins, sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)) {
				return ErrPin
			}
			return nil
		}
	}
	return conf
}
