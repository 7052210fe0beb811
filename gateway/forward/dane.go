package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"gatepost/gateway/smtp"
)

// Anchors finds the TLSA records of a name such as "_25._tcp.mx.example.com", and tells whether somebody who can be trusted
// has validated the answer (DNSSEC).
type Anchors interface {
	TLSA(ctx context.Context, name string) (records []smtp.TLSA, authentic bool, err error)
}

// ErrInsecure is the cause when TLSA records were found that nobody has validated: anybody may have written them.
var ErrInsecure = errors.New("TLSA records are not validated: the domain is not signed, or the resolver does not check or may not be believed")

// tlsa is how the records about the next hop at address are found. The name is the one that the administrator wrote: a next
// hop is no MX, so no other name stands between (RFC 7672 section 2.2.3).
func (c *Config) tlsa(address string) (func(context.Context) ([]smtp.TLSA, error), error) {
	host, port, err := net.SplitHostPort(address)
	if _, bad := netip.ParseAddr(host); err != nil || bad == nil || strings.HasPrefix(address, "unix:") {
		return nil, fmt.Errorf("mode dane needs the name of a host, not %q", address)
	}
	if c.TLSA == nil {
		return nil, errors.New("mode dane needs a resolver")
	}
	name := "_" + port + "._tcp." + strings.TrimSuffix(host, ".")
	return func(ctx context.Context) ([]smtp.TLSA, error) {
		records, authentic, err := c.TLSA.TLSA(ctx, name)
		var missing *net.DNSError
		switch {
		case errors.As(err, &missing) && missing.IsNotFound:
			return nil, fmt.Errorf("%w at %s", smtp.ErrNoTLSA, name)
		case err != nil:
			return nil, fmt.Errorf("look up TLSA: %w", err)
		case !authentic:
			return nil, fmt.Errorf("%w (%s)", ErrInsecure, name)
		}
		return records, nil
	}, nil
}
