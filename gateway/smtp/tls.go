package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"gatepost/filters/mail"
)

// alpnSMTP is the one protocol name that a client may ask for. A client that offers others alone is speaking another
// protocol and is refused; a client without ALPN is ordinary (ALPACA, RFC 7301 section 3.2).
const alpnSMTP = "smtp"

// modernSuites are the TLS 1.2 suites that are offered unless the Config names its own: ECDHE with AEAD alone
// (RFC 9325 section 4.2).
var modernSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// A tlsKeeper makes the provider's Config fit for one listener: once per Config, not once per handshake, so that
// session tickets work, and once per listener, so that no ticket of one listener is worth anything at another.
type tlsKeeper struct {
	provider func() *tls.Config

	mu     sync.Mutex
	source *tls.Config // what the provider returned when fit was made
	fit    *tls.Config
}

// newTLSKeeper keeps what provider returns.
func newTLSKeeper(provider func() *tls.Config) *tlsKeeper { return &tlsKeeper{provider: provider} }

// config is the Config for the next handshake, or nil if there is none now.
func (k *tlsKeeper) config() *tls.Config {
	src := k.provider()
	if src == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if src != k.source {
		k.source, k.fit = src, fitTLS(src)
	}
	return k.fit
}

// fitTLS returns a copy of src that is strict where SMTP must be.
func fitTLS(src *tls.Config) *tls.Config {
	c := src.Clone()
	c.NextProtos = []string{alpnSMTP}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12) // RFC 8996
	if c.CipherSuites == nil {
		c.CipherSuites = append([]uint16(nil), modernSuites...)
	}
	return c
}

// handshake protects the connection from here on. If it fails nothing more may be written: no reply in clear text
// follows a handshake, and no command in clear text either.
func (c *conn) handshake(cfg *tls.Config) error {
	c.mute = true
	pace := c.srv.pace()
	tc := tls.Server(c.nc, cfg)
	ctx, cancel := context.WithTimeout(c.ctx, pace.Handshake)
	defer cancel()
	// The handshake needs a deep stack once. On a goroutine of its own it does not leave that stack to the session.
	done := make(chan error)
	go func() { done <- tc.HandshakeContext(ctx) }()
	if err := <-done; err != nil {
		e, cause := handshakeFailure(err)
		c.srv.count(e)
		if c.sess != nil {
			c.sess.Refused(c.ctx, "STARTTLS", replyHandshake(cause))
		}
		return err
	}
	c.srv.count(EventTLS)
	st := tc.ConnectionState()
	c.tls = mail.TLS{
		Version:    tls.VersionName(st.Version),
		Cipher:     tls.CipherSuiteName(st.CipherSuite),
		ServerName: mail.Printable(st.ServerName, 255),
	}
	c.rw, c.mute = tc, false
	c.in.reset(tc)
	return nil
}

// handshakeFailure says in words why a handshake failed, and how it is counted. The words are ours: an error of
// crypto/tls may hold what the client sent.
func handshakeFailure(err error) (Event, string) {
	text := err.Error()
	var alert tls.AlertError
	var notTLS tls.RecordHeaderError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return EventTLSFailed, "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return EventTLSFailed, "client left"
	case errors.As(err, &notTLS):
		return EventTLSFailed, "client did not speak TLS"
	case strings.Contains(text, "unsupported versions"):
		return EventTLSTooOld, "client offers no version as new as TLS 1.2"
	case strings.Contains(text, "unsupported application protocols"):
		return EventTLSALPN, "client asks for another protocol than smtp"
	case strings.Contains(text, "no cipher suite supported"):
		return EventTLSFailed, "no cipher suite in common"
	case errors.As(err, &alert), strings.Contains(text, "remote error: "):
		return EventTLSFailed, "client refused our certificate or parameters"
	}
	return EventTLSFailed, "malformed or unacceptable handshake"
}
