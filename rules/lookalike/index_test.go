package lookalike

import (
	"fmt"
	"testing"
)

func TestAnIndexFindsTheNameThatAWordResembles(t *testing.T) {
	x := table(t).NewIndex([]string{"gatepost", "acme", "northwind"})
	for word, want := range map[string]struct {
		name string
		how  How
	}{
		"gatepost": {"gatepost", Same}, "gatep0st": {"gatepost", Disguise}, "gаtepost": {"gatepost", Disguise}, "gatepots": {"gatepost", Slip}, "gatpost": {"gatepost", Slip},
		"gatepostt": {"gatepost", Slip}, "gateposd": {"gatepost", Slip}, "gatepost-invoices": {"gatepost", Part}, "mygatepost": {"gatepost", Part}, "northwind24": {"northwind", Part},
		"acme": {"acme", Same}, "acm": {"", Not}, "acne": {"", Not}, "gate": {"", Not}, "": {"", Not}, "example": {"", Not},
	} {
		if name, how := x.Find(word); name != want.name || how != want.how {
			t.Errorf("%s: %s %d, want %v", word, name, how, want)
		}
	}
	var none *Index
	if name, _ := none.Find("gatepost"); name != "" {
		t.Error("no index finds something")
	}
}

func BenchmarkFindAmong5000(b *testing.B) {
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("partner%dcompany", i*7919))
	}
	x := table(b).NewIndex(names)
	b.ReportAllocs()
	for b.Loop() {
		x.Find("newsletter-example")
	}
}
