package web

import (
	"testing"

	"gatepost/rules/lookalike"
)

func TestAPoseIsFoundAndTheTrueDomainIsNone(t *testing.T) {
	look, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	k := NewKin(look, []string{"gatepost.com", "mail.northwind.co.uk"})
	for host, want := range map[string]struct {
		original string
		how      lookalike.How
	}{
		"gatepost.com": {}, "www.gatepost.com": {}, "northwind.co.uk": {}, "example.org": {}, "gatepost.net": {"gatepost.com", lookalike.Same},
		"mail.gatep0st.com": {"gatepost.com", lookalike.Disguise}, "gаtepost.com": {"gatepost.com", lookalike.Disguise}, "gatepots.com": {"gatepost.com", lookalike.Slip},
		"gatepost.com.evil.org": {"gatepost.com", lookalike.Part}, "login.northwind.co.uk.evil.org": {"northwind.co.uk", lookalike.Part}, "gatepost-pay.com": {"gatepost.com", lookalike.Part},
	} {
		target, _ := Parse("http://" + host + "/")
		if original, how := k.Pose(target.Host, target.Domain()); original != want.original || how != want.how {
			t.Errorf("%s: %s %d, want %v", host, original, how, want)
		}
	}
	var none *Kin
	if _, how := none.Pose("a.example.org", "example.org"); how != lookalike.Not || none.Has("example.org") {
		t.Error("nobody's kin knows something")
	}
}
