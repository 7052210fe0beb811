package main

import (
	"context"
	"encoding/hex"

	"gatepost/gateway/dns"
	"gatepost/gateway/smtp"
)

// anchors finds what next hops publish about their certificates. It is a forward.Anchors.
type anchors struct{ resolver *dns.Resolver }

// TLSA implements forward.Anchors.
func (a anchors) TLSA(ctx context.Context, name string) ([]smtp.TLSA, bool, error) {
	list, authentic, err := a.resolver.LookupTLSA(ctx, name)
	if err != nil {
		return nil, authentic, err
	}
	records := make([]smtp.TLSA, len(list))
	for i, r := range list {
		records[i] = smtp.TLSA{Usage: r.Usage, Selector: r.Selector, Matching: r.Matching}
		if records[i].Data, err = hex.DecodeString(r.Data); err != nil {
			records[i].Data = nil // which fits nothing
		}
	}
	return records, authentic, nil
}
