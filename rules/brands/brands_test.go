package brands

import (
	"testing"

	"gatepost/rules/lookalike"
)

func table(t testing.TB) *Table {
	t.Helper()
	l, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Shipped(l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestANameMeansItsBrandAndAWordOnlyBesideServiceWords(t *testing.T) {
	b := table(t)
	for text, want := range map[string]string{
		"PayPal": "PayPal", "PayPaI Service": "PayPal", "РауРаl Security": "PayPal", "Bradesco Prime": "Bradesco", "Apple": "Apple", "Apple ID Support": "Apple",
		"Apple Pie Recipes": "", "Ap\u200bple ID": "Apple", "Anna Chase": "", "Chase Online": "Chase", "DHL Paket": "DHL", "Sam\u2019s Club": "Sam's Club", "Dear Sam's Club Customer": "Sam's Club",
		"Milestone Mastercard®": "Mastercard", "the orange county": "", "支付宝 客服": "支付宝", "Itaú": "Itau", "": "", "Booking.com": "Booking.com",
	} {
		got := ""
		if x := b.Named(text); x != nil {
			got = x.Name
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestABrandOwnsItsDomainsAndWhatIsBelow(t *testing.T) {
	b := table(t).Named("PayPal")
	for host, want := range map[string]bool{"paypal.com": true, "mail.paypal.com": true, "paypal.com.evil.example": false, "notpaypal.com": false, "": false} {
		if b.Owns(host) != want {
			t.Errorf("%s: want %v", host, want)
		}
	}
}

func TestALabelIsLikeABrandsOwn(t *testing.T) {
	b := table(t)
	for s, want := range map[string]Likeness{
		"paypal": Same, "paypa1": Disguise, "раураӏ": Disguise, "rnicrosoft": Disguise, "paypal-security": Part, "gobrbradescoacumulados": Part, "netflixx": Part, "netflx": Slip, "mcrosoft": Slip,
		"example": None, "apples": None, "apple": None, "orange": None, "abc": None, "dhl-tracking": None, "amazone": Part, "coinbase2": Part,
	} {
		if x, got := b.Like(s); got != want {
			t.Errorf("%s: %v %v, want %v", s, x, got, want)
		}
	}
}

func TestAContradictionIsAnError(t *testing.T) {
	l, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"firm A = a.example", "name A", "name A =", "name A = A.example", "name , = a.example", "name A = a.example a.example", "name A = a.example\nname a = b.example"} {
		if _, err := Parse(text, l); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// What tells words apart quickly must never part those that a slip makes of each other: each slip of each label is tried.
func TestASlipLeavesOneEndAsItIs(t *testing.T) {
	for _, list := range table(t).slips {
		for _, l := range list {
			for _, s := range slipsOf(l.text) {
				if lookalike.Near(s, l.text) && apart(endsOf(s), l.ends) {
					t.Errorf("%s and %s have no end in common", s, l.text)
				}
			}
		}
	}
}

// slipsOf are what a slip of a finger makes of a word.
func slipsOf(s string) (list []string) {
	for i := range len(s) {
		list = append(list, s[:i]+s[i+1:], s[:i]+"\x00"+s[i:], s[:i]+"\x00"+s[i+1:])
		if i+1 < len(s) {
			list = append(list, s[:i]+string(s[i+1])+string(s[i])+s[i+2:])
		}
	}
	return append(list, s+"\x00")
}

func TestALabelIsFoundWhereverItBegins(t *testing.T) {
	shop := table(t)
	for beginning, list := range shop.long {
		for _, l := range list {
			if !shop.begins.may(l.text) || beginning != l.text[:minLong] {
				t.Errorf("%s is passed over", l.text)
			}
		}
	}
}

func BenchmarkNamed(b *testing.B) {
	t := table(b)
	b.ReportAllocs()
	for b.Loop() {
		t.Named("Anna Muster via Somebody")
	}
}

func BenchmarkLike(b *testing.B) {
	t := table(b)
	b.ReportAllocs()
	for b.Loop() {
		t.Like("newsletter-example")
	}
}
