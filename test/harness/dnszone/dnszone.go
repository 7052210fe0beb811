// Package dnszone gives a test a name server of its own.
//
// It is not a fake: questions and answers are real packets over UDP and TCP, and the answers come from gateway/dns.
package dnszone

import (
	"testing"

	"gatepost/gateway/dns"
)

// Start serves a zone, one record a line ("b.example TXT v=spf1 -all"; see dns.ServeZone for the special words), until
// the test ends. Use Addr of what it returns as the only entry of dns.servers.
func Start(t testing.TB, zone string) *dns.Server {
	t.Helper()
	s, err := dns.ServeZone(zone)
	if err != nil {
		t.Fatalf("start name server: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("stop name server: %v", err)
		}
	})
	return s
}
