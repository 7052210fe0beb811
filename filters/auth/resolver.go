package auth

import (
	"context"
	"net"
	"net/netip"
)

// A Resolver answers questions about the DNS, in the shape of net.Resolver. Names in answers may end in a dot.
// Errors are bare *net.DNSError values: IsNotFound for an absence; anything else counts as temporary, so that an outage
// is never read as "there is no such record".
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	// Exists reports whether a name is in the DNS at all, with or without records (RFC 8020).
	Exists(ctx context.Context, name string) (bool, error)
}
