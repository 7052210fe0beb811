package smtp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A TLSA is one record of RFC 6698, as a next hop's domain publishes it about the certificate of one port.
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// The usages that count between mail servers (RFC 7672 section 3.1); those that lean on public authorities do not.
const (
	trustAnchor uint8 = 2 // DANE-TA: an authority of the next hop's own, which must be in its chain
	endEntity   uint8 = 3 // DANE-EE: the certificate of the next hop itself, or its key
)

// The causes of a StepError at TLSA and STARTTLS with DANE.
var (
	ErrNoTLSA = errors.New("there is no usable TLSA record")
	ErrDANE   = errors.New("next hop's certificate matches none of its TLSA records")
)

// usable are the records that can be held against a certificate (RFC 7672 section 3.1). For each usage and selector only the
// strongest digest that is published counts, so that a weaker one cannot stand in for it (RFC 7671 section 9).
func usable(all []TLSA) []TLSA {
	fits := func(r TLSA) bool {
		size := map[uint8]int{1: sha256.Size, 2: sha512.Size}[r.Matching]
		return (r.Usage == trustAnchor || r.Usage == endEntity) && r.Selector <= 1 && r.Matching <= 2 &&
			len(r.Data) > 0 && (size == 0 || len(r.Data) == size)
	}
	var out []TLSA
	for _, r := range all {
		outdone := r.Matching == 1 && slices.ContainsFunc(all, func(o TLSA) bool {
			return o.Usage == r.Usage && o.Selector == r.Selector && o.Matching == 2 && fits(o)
		})
		if fits(r) && !outdone {
			out = append(out, r)
		}
	}
	return out
}

// matches reports whether r is about cert.
func (r TLSA) matches(cert *x509.Certificate) bool {
	part := cert.Raw
	if r.Selector == 1 {
		part = cert.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case 1:
		sum := sha256.Sum256(part)
		part = sum[:]
	case 2:
		sum := sha512.Sum512(part)
		part = sum[:]
	}
	return bytes.Equal(part, r.Data)
}

// authentic checks a chain, the next hop's own certificate first, against usable records. With usage 3 neither names nor
// dates count (RFC 7672 section 3.1.1): the record says which key it is, and for how long. With usage 2 the chain must lead
// to a certificate in it that a record names, and the first must be for host and valid now (section 3.1.2).
func authentic(chain []*x509.Certificate, records []TLSA, host string, now time.Time) error {
	if len(chain) == 0 {
		return ErrDANE
	}
	anchors, between := x509.NewCertPool(), x509.NewCertPool()
	anchored := false
	for _, r := range records {
		if r.Usage == endEntity && r.matches(chain[0]) {
			return nil
		}
		for _, cert := range chain {
			if r.Usage == trustAnchor && r.matches(cert) {
				anchors.AddCert(cert)
				anchored = true
			}
		}
	}
	if !anchored {
		return ErrDANE
	}
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: anchors, Intermediates: between, DNSName: host, CurrentTime: now})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDANE, err)
	}
	return nil
}

// anchor asks for the TLSA records of the next hop, before anything is sent to it. Without a usable one there is no
// conversation: who asks for DANE does not want to go without.
func (c *Client) anchor(ctx context.Context) error {
	if c.opts.Security.Mode != DANE {
		return nil
	}
	if c.opts.Security.TLSA == nil {
		return ErrNoTLSA
	}
	all, err := c.opts.Security.TLSA(ctx)
	if err != nil {
		return err
	}
	if c.records = usable(all); len(c.records) == 0 {
		return fmt.Errorf("%w (%d published)", ErrNoTLSA, len(all))
	}
	return nil
}
