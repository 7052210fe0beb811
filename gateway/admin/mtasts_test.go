package admin

import (
	"strings"
	"testing"
	"time"
)

// TestAnMTASTSPolicyIsServedWhereItIsSwitchedOn: to anybody, under any name, as RFC 8461 section 3.2 writes it.
func TestAnMTASTSPolicyIsServedWhereItIsSwitchedOn(t *testing.T) {
	m := MTASTS{Mode: "enforce", MX: []string{"mx.example.com", "*.example.net"}, MaxAge: 7 * 24 * time.Hour}
	want := "version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"
	if got := m.Policy(); got != want {
		t.Errorf("policy is %q", got)
	}
	before := m.ID()
	m.MaxAge = 24 * time.Hour
	if id := m.ID(); id == before || len(id) == 0 || len(id) > 32 || strings.Trim(id, "0123456789abcdef") != "" {
		t.Errorf("another policy has the id %q after %q", id, before)
	}
	if off := (&MTASTS{Mode: "off", MX: m.MX}); off.Policy() != "" {
		t.Error("a policy that is off is served")
	}
}
