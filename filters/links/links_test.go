package links

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/danger"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
)

// memory is what a test remembers.
type memory struct {
	seen     map[string]bool
	partners *web.Kin
}

func (m memory) Linked(domain string) (bool, bool) { return m.seen[domain], m.seen != nil }
func (m memory) Partners() *web.Kin                { return m.partners }

// filter is the real one over the shipped data, for the site ours-office.com.
func filter(t testing.TB, m Memory) *Filter {
	t.Helper()
	look, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	b, err := brands.Shipped(look)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sites.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	d, err := danger.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{QR: true}, Knowledge{Sites: s, Brands: b, Look: look, Danger: d, Own: web.NewKin(look, []string{"ours-office.com"}), Memory: m})
}

// letter is a message with HTML from author@sender.com to reader@ours-office.com; extra are more header lines.
func letter(t testing.TB, extra, html string) *mail.Mail {
	t.Helper()
	rcpt, err := mail.ParseAddress("reader@ours-office.com")
	if err != nil {
		t.Fatal(err)
	}
	text := "From: Author <author@sender.com>\r\nTo: reader@ours-office.com\r\nSubject: x\r\n" + extra + "Content-Type: text/html; charset=utf-8\r\n\r\n" + html + "\r\n"
	return &mail.Mail{Envelope: &mail.Envelope{Time: time.Unix(1.8e9, 0), Rcpts: []mail.Address{rcpt}}, Message: mail.Parse(mail.Memory(text))}
}

// run checks a message; every finding must be documented and proven.
func run(t testing.TB, f *Filter, m *mail.Mail) filters.Facts {
	t.Helper()
	facts, err := f.Check(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range Codes() {
		known[c.Name] = true
	}
	for _, x := range facts.Findings {
		if !known[x.Code] || x.Text == "" || len(x.Proof) == 0 || len(x.Proof) > maxProofs || x.Proof[0].What == "" || x.Proof[0].Where == "" {
			t.Errorf("%s is not documented or not proven: %+v", x.Code, x)
		}
		for _, p := range x.Proof {
			if p.At != nil && (p.At[0] < 0 || p.At[0]+p.At[1] > m.Size()) {
				t.Errorf("%s is proven by what stands outside of the message: %v", x.Code, *p.At)
			}
		}
	}
	return facts
}

func codes(f filters.Facts) []string {
	var list []string
	for _, x := range f.Findings {
		list = append(list, x.Code)
	}
	return list
}

// a is a link.
func a(href, text string) string { return `<a href="` + href + `">` + text + `</a>` }

// home is a second link, to the author's own site, so that links.elsewhere is not stated.
const home = ` <a href="https://www.sender.com/">home</a>`

// Each code with a message that shows it, and one that comes near and must not.
func TestEachCodeIsStatedForItsReasonAndNotForOneThatComesNear(t *testing.T) {
	bulk := "List-Unsubscribe: <https://x.example.net/u>\r\n"
	for _, c := range []struct{ code, extra, shows, near string }{
		{"links.mismatch", "", a("https://evil.net/x", "www.supplier.org") + home, a("https://supplier.org/x", "www.supplier.org")},
		{"links.mismatch", "", a("https://evil.net/x", "https://supplier.org/login") + home, a("https://evil.net/x", "supplier.org has news") + home},
		{"links.mismatch", "", a("https://evil.net/x", "www.supplier.org") + home, a("https://eu.safelinks.protection.outlook.com/?url=https%3A%2F%2Fwww.supplier.org%2F", "www.supplier.org") + home},
		{"links.mismatch-brand", "", a("https://evil.net/x", "https://www.paypal.com/") + home, a("https://www.paypalobjects.com/x", "https://www.paypal.com/") + home},
		{"links.tracked", bulk, a("https://u1.ct.sendgrid.net/ls/click?upn=1", "www.sender.com") + home, a("https://www.sender.com/", "www.sender.com")},
		{"links.tracked", bulk, strings.Repeat(a("https://clicks.shop.net/1", "www.sender.com")+a("https://clicks.shop.net/2", "a")+a("https://clicks.shop.net/3", "b"), 1), home},
		{"links.lookalike", "", a("https://www.paypa1.com/", "x") + home, a("https://www.paypal.com/", "x") + home},
		{"links.lookalike", "", a("https://rnicrosoft.com/", "x") + home, a("https://microsoft.com/", "x") + home},
		{"links.lookalike-own", "", a("https://0urs-office.com/", "x") + home, a("https://www.ours-office.com/", "x") + home},
		{"links.lookalike-own", "", a("https://ours-office.com.evil.net/", "x") + home, a("https://ours.evil.net/", "x") + home},
		{"links.brand-name", "", a("https://paypal-security.net/", "x") + home, a("https://security.net/", "x") + home},
		{"links.brand-name", "", a("https://paypal.com.evil.net/", "x") + home, a("https://pay.evil.net/", "x") + home},
		{"links.homograph", "", a("https://раураӏ.com/", "x") + home, a("https://bücher.com/", "x") + home},
		{"links.userinfo", "", a("https://www.bank.com@evil.net/", "x") + home, a("https://evil.net/@user", "x") + home},
		{"links.bare-ip", "", a("https://203.0.113.9/", "x") + home, a("https://192.168.1.1/", "x") + home},
		{"links.obscured-ip", "", a("https://3405803785/", "x") + home, a("https://203.0.113.9/", "x") + home},
		{"links.obscured-ip", "", a("https://0xCB.0.0x71.011/", "x") + home, a("https://0xcb.evil.net/", "x") + home},
		{"links.disguised", "", a("https://ev%69l.net/", "x") + home, a("https://evil.net/%69", "x") + home},
		{"links.odd-port", "", a("https://evil.net:8081/", "x") + home, a("https://evil.net:8080/", "x") + home},
		{"links.shortener", "", a("https://bit.ly/x", "x") + home, a("https://bit.ly.org/x", "x") + home},
		{"links.redirector", "", a("https://www.google.com/url?q=https://evil.net/", "x") + home, a("https://www.google.com/search?q=evil.net", "x") + home},
		{"links.hosting", "", a("https://forms.gle/x", "x") + home, a("https://gle.net/x", "x") + home},
		{"links.bucket", "", a("https://storage.googleapis.com/b/x.html", "x") + home, a("https://googleapis.org/b", "x") + home},
		{"links.dynamic", "", a("https://x.duckdns.org/", "x") + home, a("https://duckduckgo.org/", "x") + home},
		{"links.cheap", "", a("https://offers.top/", "x") + home, a("https://top.org/", "x") + home},
		{"links.random", "", a("https://qmolyzpyxh.com/", "x") + home, a("https://freshrpms.net/", "x") + home},
		{"links.deep", "", a("https://a.b.c.d.e.f.evil.net/", "x") + home, a("https://a.b.evil.net/", "x") + home},
		{"links.image-host", "", `<img src="https://i.imgur.com/x.png">`, `<img src="https://img.sender.com/x.png">`},
		{"links.image-ip", "", `<img src="http://203.0.113.9/x.png">`, `<img src="http://img.sender.com/x.png">`},
		{"links.elsewhere", "", a("https://evil.net/1", "x") + a("https://evil.net/2", "y"), a("https://evil.net/1", "x") + home},
		{"links.foreign", "", a("https://evil.net/1", "x") + a("https://other.net/", "y"), a("https://sender.net/1", "x") + a("https://other.net/", "y")},
		{"links.foreign", "", a("https://evil.net/1", "x") + a("https://other.net/", "y"), a("https://evil.net/1", "https://evil.net/") + " www.other.net"},
		{"links.elsewhere", "", a("https://evil.net/1", "x"), a("https://evil.net/1", "x") + a("https://other.net/", "y")},
		{"links.away", "", "see https://evil.net/1 and www.other.net", "see https://evil.net/1 or www.sender.com"},
		{"links.away", "", a("https://evil.net/1", "x"), a("https://evil.net/1", "x") + home},
		{"links.elsewhere", "", a("https://xsender.net/1", "x"), a("https://sender-mail.net/1", "x")},
		{"links.away", "", a("https://senders.net/1", "x"), a("https://e-sender.net/1", "x")},
		{"links.away", "", a("https://evil.net/1", "x"), a("https://u1.ct.sendgrid.net/ls/click?upn=1", "x")},
		{"links.away", "", a("https://evil.net/1", "x"), a("https://a.net/", "x") + a("https://b.net/", "x") + a("https://c.net/", "x") + a("https://d.net/", "x") + a("https://e.net/", "x")},
		{"links.borrowed", "", `<img src="https://www.paypalobjects.com/logo.png">` + a("https://evil.net/", "x"), `<img src="https://www.paypalobjects.com/logo.png">` + a("https://www.paypal.com/", "x")},
		{"links.data", "", a("data:text/html,&lt;script>", "x"), `<img src="data:text/html,x">` + a("data:image/png;base64,AA", "x")},
		{"links.data", "", a("javascript:alert(1)", "x"), a("mailto:x@y.net", "x")},
		{"links.program", "", a("file://203.0.113.9/share/x", "x"), "see file://server/doc"},
		{"links.address-in-url", "", a("https://evil.net/?e=reader@ours-office.com", "x") + home, a("https://www.sender.com/?e=reader@ours-office.com", "x")},
		{"links.download", "", a("https://evil.net/setup.msi", "x") + home, a("https://evil.net/setup.html", "x") + home},
		{"links.never-seen", "", a("https://unseen.net/", "x") + home, a("https://known.net/", "x") + home},
		{"links.limit", "", many(maxListed + 1), many(maxListed)},
		{"links.unscannable.limit", "", hosts(1001), hosts(1000)},
		{"links.unscannable.limit", "", strings.Repeat(home, 5001), strings.Repeat(home, 5000)},
		{"links.unscannable.limit", "", strings.Repeat("<a><b>\n", 700_000), strings.Repeat("<wbr>\n", 400_000) + home},
		{"links.unscannable.limit", "", strings.Repeat("<!--[if mso]>x<![endif]-->", 10_001), strings.Repeat("<!--[if mso]>x<![endif]-->", 10_000)},
	} {
		var f *Filter
		if c.code == "links.never-seen" {
			f = filter(t, memory{seen: map[string]bool{"known.net": true, "sender.com": true}})
		} else {
			f = filter(t, nil)
		}
		if got := codes(run(t, f, letter(t, c.extra, c.shows))); !slices.Contains(got, c.code) {
			t.Errorf("%s is not stated for %.90s, but %v", c.code, c.shows, got)
		}
		if got := codes(run(t, f, letter(t, c.extra, c.near))); slices.Contains(got, c.code) {
			t.Errorf("%s is stated for %.90s, which only comes near", c.code, c.near)
		}
	}
}

// What a firm links to of its own is not elsewhere, whichever of its domains it writes from; answers and lists lead anywhere.
func TestAFirmsDomainsAreOneHome(t *testing.T) {
	f := filter(t, nil)
	text := "From: Microsoft <x@accountprotection.microsoft.com>\r\nTo: reader@ours-office.com\r\nSubject: x\r\n%sContent-Type: text/html\r\n\r\n" + a("https://%s/activity", "Review") + "\r\n"
	for _, c := range []struct {
		extra, host string
		away        bool
	}{{"", "account.live.com", false}, {"", "live.evil.net", true}, {"In-Reply-To: <1@ours-office.com>\r\n", "live.evil.net", false}, {"List-Id: <a.b.net>\r\n", "live.evil.net", false}} {
		got := codes(run(t, f, &mail.Mail{Envelope: &mail.Envelope{}, Message: mail.Parse(mail.Memory(fmt.Sprintf(text, c.extra, c.host)))}))
		if slices.Contains(got, "links.away") != c.away || !c.away && c.extra == "" && slices.Contains(got, "links.elsewhere") {
			t.Errorf("%s %s: %v", c.extra, c.host, got)
		}
	}
}

// many is so many different links to the author.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(a(fmt.Sprintf("https://www.sender.com/%d", i), "x"))
	}
	return b.String()
}

// hosts is a link to each of so many sites.
func hosts(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(a(fmt.Sprintf("https://www%d.sender.com/", i), "x"))
	}
	return b.String()
}

// H-10: what stands behind a bound was not looked at, and is never taken for clean.
func TestALinkBehindABoundIsNotTakenForNone(t *testing.T) {
	evil := a("http://203.0.113.9/login", "https://www.paypal.com/signin")
	for what, html := range map[string]string{
		"tokens":   strings.Repeat("<wbr>\n", 100_001) + evil,
		"octets":   "<!--" + strings.Repeat(strings.Repeat("x", 70)+"\n", 60_000) + "-->" + evil,
		"links":    many(5000) + evil,
		"hosts":    hosts(1000) + evil,
		"comments": strings.Repeat("<!--[if mso]><![endif]-->", 10_000) + "<!--[if mso]>" + evil + "<![endif]-->",
	} {
		got := codes(run(t, filter(t, nil), letter(t, "", html)))
		if !slices.Contains(got, "links.bare-ip") && !slices.Contains(got, "links.unscannable.limit") {
			t.Errorf("%s: nobody saw the link, and nobody says so: %v", what, got)
		}
	}
}

func TestALinkThatResemblesAPartnerIsToldAndThePartnerIsNot(t *testing.T) {
	look, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	f := filter(t, memory{partners: web.NewKin(look, []string{"northwind.com"})})
	for html, want := range map[string]bool{a("https://www.northw1nd.com/", "x"): true, a("https://northwimd.com/", "x"): true, a("https://northwind.com/", "x"): false, a("https://northstar.com/", "x"): false} {
		if got := slices.Contains(codes(run(t, f, letter(t, "", html+home))), "links.lookalike-own"); got != want {
			t.Errorf("%s: %v", html, got)
		}
	}
}

func TestFactsNameEachLinkOnceInItsOneSpelling(t *testing.T) {
	f := run(t, filter(t, nil), letter(t, "", a("HTTP://Shop.Example.co.uk:80/a#1", "Shop")+a("http://shop.example.co.uk/a#2", "again")+
		a("https://www.google.com/url?q=http://evil.net/", "x")+` <img src="cid:x">`+a("mailto:a@b.net", "write")))
	want := []filters.URL{
		{URL: "http://shop.example.co.uk/a", Host: "shop.example.co.uk", Domain: "example.co.uk", Text: "Shop"},
		{URL: "https://www.google.com/url?q=http://evil.net/", Host: "www.google.com", Domain: "google.com", Text: "x"},
		{URL: "http://evil.net/", Host: "evil.net", Domain: "evil.net"},
	}
	if !slices.Equal(f.URLs, want) {
		t.Errorf("%+v", f.URLs)
	}
	if f := run(t, filter(t, nil), letter(t, "", "no links")); f.URLs == nil || len(f.URLs) != 0 {
		t.Errorf("a message without links: %v", f.URLs)
	}
}

func TestProofPointsAtTheLink(t *testing.T) {
	m := letter(t, "", a("https://203.0.113.9/x", "here")+home)
	f := run(t, filter(t, nil), m).Findings[0]
	at := f.Proof[0].At
	if got := string(m.Bytes(mail.Span{Start: at[0], End: at[0] + at[1]})); got != "https://203.0.113.9/x" {
		t.Errorf("%q", got)
	}
}

func TestHostsForListsComeWithThoseToClickFirst(t *testing.T) {
	m := letter(t, "", `<img src="https://img.net/x.png"><img src="http://www.w3.org/x">`+a("https://bit.ly/x?u=http%3A%2F%2Fevil.net", "x")+a("http://localhost/", "x")+a("http://203.0.113.9/", "x"))
	if got := Hosts(m.Message, filter(t, nil).Sites); !slices.Equal(got, []string{"bit.ly", "evil.net", "203.0.113.9", "img.net"}) {
		t.Errorf("%v", got)
	}
}

// H-09: a hundred thousand links cost what the bound allows.
func TestManyLinksEnd(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, `<a href="http://h%d.evil.net/?u=http://x.net/?u=http://y.net">x</a>`, i)
	}
	m := letter(t, "", b.String())
	facts := run(t, filter(t, nil), m)
	if len(facts.URLs) > maxListed || len(facts.Findings) > len(Codes()) {
		t.Errorf("%d URLs, %d findings", len(facts.URLs), len(facts.Findings))
	}
}

func TestCodesAreDocumentedInBothLanguagesOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Codes() {
		if c.Meaning == "" || c.Chinese == "" || seen[c.Name] {
			t.Errorf("%s is documented badly or twice", c.Name)
		}
		seen[c.Name] = true
	}
}

func BenchmarkCheck(b *testing.B) {
	var h strings.Builder
	for i := range 20 {
		h.WriteString(a(fmt.Sprintf("https://click.newsletter-example.com/track?u=%d&t=x", i), "Read more") + `<img src="https://cdn.example.net/a.png">`)
	}
	f, m := filter(b, nil), letter(b, "", h.String())
	m.Links()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Check(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
