package spoof

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
)

// crowd is what a test remembers of people.
type crowd struct {
	senders  map[string]*filters.Sender
	contacts map[string]bool
	ours     map[string][]string
	writers  map[string][]string
	partners *web.Kin
}

func (c crowd) Sender(address string) *filters.Sender {
	if s := c.senders[address]; s != nil {
		return s
	}
	return &filters.Sender{Remembered: c.senders != nil}
}
func (c crowd) Contact(address, rcpt string) bool { return c.contacts[address+" "+rcpt] }
func (c crowd) Ours(key string) []string          { return c.ours[key] }
func (c crowd) Writers(key string) []string       { return c.writers[key] }
func (c crowd) Partners() *web.Kin                { return c.partners }

// filter is the real one over the shipped data, for the site ours-office.com with one person to be protected.
func filter(t testing.TB, p People) *Filter {
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
	return New(Config{}, Knowledge{Sites: s, Brands: b, Look: look, Ours: map[string]bool{"ours-office.com": true}, Own: web.NewKin(look, []string{"ours-office.com"}),
		VIPs: []Person{{Name: "Erika Muster", Addresses: []string{"erika@ours-office.com", "erika@home.net"}}}, People: p})
}

// letter is a message with that header, to reader@ours-office.com.
func letter(t testing.TB, header, body string) *mail.Mail {
	t.Helper()
	rcpt, err := mail.ParseAddress("reader@ours-office.com")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(header+"To: reader@ours-office.com\nContent-Type: text/html; charset=utf-8\n\n"+body+"\n", "\n", "\r\n")
	return &mail.Mail{Envelope: &mail.Envelope{Time: time.Unix(1.8e9, 0), Rcpts: []mail.Address{rcpt}}, Message: mail.Parse(mail.Memory(text))}
}

// run checks a message; every finding must be documented and proven.
func run(t testing.TB, f *Filter, m *mail.Mail) filters.Facts {
	t.Helper()
	facts, err := f.Check(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range facts.Findings {
		known := slices.ContainsFunc(Codes(), func(c filters.Code) bool { return c.Name == x.Code })
		if !known || x.Text == "" || len(x.Proof) == 0 || x.Proof[0].What == "" {
			t.Errorf("%s is not documented or not proven: %+v", x.Code, x)
		}
		if p := x.Proof[0]; p.At != nil && p.At[0]+p.At[1] > m.Size() {
			t.Errorf("%s is proven by what stands outside of the message: %v", x.Code, *p.At)
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

// from is a From field.
func from(name, address string) string { return "From: " + name + " <" + address + ">\n" }

// Each code with a message that shows it, and one that comes near and must not. D-17, D-18, D-32.
func TestEachCodeIsStatedForItsReasonAndNotForOneThatComesNear(t *testing.T) {
	look, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	people := crowd{
		senders:  map[string]*filters.Sender{"known@supplier.com": {Remembered: true, Messages: 9, FirstSeen: time.Unix(1.7e9, 0)}, "anna@gmail.com": {Remembered: true, Messages: 9}},
		ours:     map[string][]string{"anna schmidt": {"anna@ours-office.com"}},
		writers:  map[string][]string{"li wei": {"supplier.com"}},
		partners: web.NewKin(look, []string{"northwind.com"}),
	}
	link := `<a href="https://x.net/">x</a>`
	ann := from("Ann", "ann@sender.com")
	for _, c := range []struct{ code, shows, near, body string }{
		{"spoof.vip", from("Erika Muster", "ceo@gmail.com"), from("Erika Muster", "erika@home.net"), ""},
		{"spoof.vip", from(`"MUSTER, Erika (CEO)"`, "ceo@x.net"), from("Erika Mustermann", "ceo@x.net"), ""},
		{"spoof.vip", from("=?utf-8?q?Er=D1=96k=D0=B0_Muster?=", "ceo@x.net"), from("Erika", "ceo@x.net"), ""},
		{"spoof.person", from("Anna Schmidt", "anna.schmidt@x.net"), from("Anna Schmidt", "anna@gmail.com"), ""},
		{"spoof.person", from("Schmidt Anna", "a@x.net"), from("Anna Schmidt", "anna@ours-office.com"), ""},
		{"spoof.known-name", from("Wei Li", "wei@other.com"), from("Wei Li", "wei@mail.supplier.com"), ""},
		{"spoof.lookalike-own", from("x", "x@ours-0ffice.com"), from("x", "x@ours-office.com"), ""},
		{"spoof.lookalike-own", from("x", "x@ours-office.net"), from("x", "x@officeworld.net"), ""},
		{"spoof.lookalike-partner", from("x", "x@northw1nd.com"), from("x", "x@northwind.com"), ""},
		{"spoof.lookalike-brand", from("x", "x@paypa1.com"), from("x", "x@paypal.com"), ""},
		{"spoof.homograph", from("x", "x@раураӏ.com"), from("x", "x@bücher.com"), ""},
		{"spoof.brand", from("PayPal", "x@x.net"), from("PayPal", "service@paypal.com"), ""},
		{"spoof.brand", from("Apple ID", "x@x.net"), from("Apple Tree Nursery", "x@x.net"), ""},
		{"spoof.brand", from(`"Coinbase"`, "x@x.net"), from("Ann via Coinbase", "x@lists.net") + "List-Id: <x.lists.net>\n", ""},
		{"spoof.brand-address", from("x", "paypal.service@x.net"), from("x", "paypal.fan@gmail.com"), ""},
		{"spoof.brand-address", from("x", "x@bradesco-pontos.net"), from("x", "x@points.net"), ""},
		{"spoof.brand-subject", ann + "Subject: Your PayPal account\n", ann + "Subject: Re: Your PayPal account\nIn-Reply-To: <x@y>\n", link},
		{"spoof.brand-subject", ann + "Subject: Netflix\n", ann + "Subject: Nets and flicks\n", link},
		{"spoof.name-address", from(`"ceo@ours-office.com"`, "x@x.net"), from(`"ceo@ours-office.com"`, "ceo@ours-office.com"), ""},
		{"spoof.name-address", from(`"service@paypal.com"`, "x@x.net"), from(`"ann@elsewhere.net"`, "x@x.net"), ""},
		{"spoof.name-disguised", from("=?utf-8?q?Ad=D0=BCin?=", "x@x.net"), from("=?utf-8?b?0JzQvtGB0LrQstCw?=", "x@x.net"), ""},
		{"spoof.name-adorned", from("=?utf-8?b?8J+agCBXaW4=?=", "x@x.net"), from("=?utf-8?q?B=C3=BCro?=", "x@x.net"), ""},
		{"spoof.name-adorned", from("_", "x@x.net"), from("Ann_Smith", "x@x.net"), ""},
		{"spoof.self", from("x", "reader@ours-office.com"), from("x", "writer@ours-office.com"), ""},
		{"spoof.reply-to", ann + "Reply-To: x@other.net\n", ann + "Reply-To: x@mail.sender.com\n", ""},
		{"spoof.reply-to", ann + "Reply-To: x@other.net\n", ann + "Reply-To: x@other.net\nList-Id: <l.sender.com>\n", ""},
		{"spoof.reply-to-freemail", ann + "Reply-To: x@gmail.com\n", from("Ann", "x@gmail.com") + "Reply-To: x@gmail.com\n", ""},
		{"spoof.money", from("x", "x@gmail.com"), from("x", "x@sender.com"), "Dear friend, I have $ 4 million for you. The fund is confidential; send your bank account."},
		{"spoof.money", ann + "Reply-To: x@gmail.com\n", ann, "My late client, a barrister, left 2,500,000 USD; you are the beneficiary."},
		{"spoof.thread", ann + "Subject: Re: invoice\n", ann + "Subject: Re: invoice\nReferences: <x@y>\n", ""},
		{"spoof.thread", ann + "Subject: =?utf-8?b?5Zue5aSN77ya5Y+R56Wo?=\n", ann + "Subject: Regarding invoices\n", ""},
		{"spoof.recipient-in-subject", ann + "Subject: reader@ours-office.com, your mailbox\n", ann + "Subject: other@ours-office.com\n", ""},
		{"spoof.recipient-in-name", from(`"reader@ours-office.com mailbox"`, "x@x.net"), from(`"Reader"`, "x@x.net"), ""},
		{"spoof.random", from("x", "x@3i04bit0zm.com"), from("x", "x@3com.com"), ""},
		{"spoof.cheap", from("x", "x@offers.top"), from("x", "x@top.com"), ""},
		{"spoof.no-such-domain", from("x", "x@localhost.localdomain"), from("x", "x@sender.com"), ""},
		{"spoof.free-mail", from("x", "x@gmail.com"), from("x", "x@sender.com"), ""},
		{"spoof.first-contact", from("x", "new@supplier.com"), from("x", "known@supplier.com"), ""},
		{"spoof.known-sender", from("x", "known@supplier.com"), from("x", "new@supplier.com"), ""},
	} {
		f := filter(t, people)
		if got := codes(run(t, f, letter(t, c.shows, c.body))); !slices.Contains(got, c.code) {
			t.Errorf("%s is not stated for %q, but %v", c.code, c.shows, got)
		}
		if got := codes(run(t, f, letter(t, c.near, c.body))); slices.Contains(got, c.code) {
			t.Errorf("%s is stated for %q, which only comes near", c.code, c.near)
		}
	}
}

func TestASiteThatRemembersNobodyCallsNobodyAStranger(t *testing.T) {
	for _, p := range []People{nil, crowd{}} {
		f := run(t, filter(t, p), letter(t, from("Anna Schmidt", "x@x.net"), ""))
		if got := codes(f); slices.Contains(got, "spoof.first-contact") || slices.Contains(got, "spoof.person") || f.Sender == nil || f.Sender.Remembered {
			t.Errorf("%v %+v", got, f.Sender)
		}
	}
}

func TestFirstContactIsWithTheRecipientsOfThisMessage(t *testing.T) {
	p := crowd{senders: map[string]*filters.Sender{"known@supplier.com": {Remembered: true, Messages: 9}}, contacts: map[string]bool{"known@supplier.com reader@ours-office.com": true}}
	if s := run(t, filter(t, p), letter(t, from("x", "known@supplier.com"), "")).Sender; s.FirstContact || s.Messages != 9 {
		t.Errorf("%+v", s)
	}
	p.contacts = nil
	if s := run(t, filter(t, p), letter(t, from("x", "known@supplier.com"), "")).Sender; !s.FirstContact {
		t.Errorf("%+v", s)
	}
}

func TestTheKeyOfANameIsTheSameHoweverItIsWritten(t *testing.T) {
	look, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Anna Schmidt": "anna schmidt", "SCHMIDT, Anna": "anna schmidt", "Dr. Anna Schmidt (CEO)": "anna schmidt", "Ａnna Schmіdt": "anna schmidt", "Anna-Lena Schmidt": "anna-lena schmidt",
		"Anna": "", "Info": "", "": "", "王小明": "王小明", "王": "", "A B": "", "one two three four five six": "", strings.Repeat("x ", 500): "",
	} {
		if got := Key(look, name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestAMessageWithoutAnAuthorIsNoTrouble(t *testing.T) {
	for _, h := range []string{"", "From: \n", "From: <>\n", "From: x\n", "From: \"\xff\xfe\" <@>\n", "From: a@b@c@d <e@f\n"} {
		run(t, filter(t, crowd{}), letter(t, h+"Reply-To: x@gmail.com\nSubject: Re: x\n", "$"))
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

func FuzzCheck(f *testing.F) {
	f.Add("Anna Schmidt", "x@x.net", "Re: PayPal", "y@gmail.com")
	f.Add("=?utf-8?q?=00?=", "@", "", "<>")
	f.Add("a@b <c@d>", "\xff@\u202e.com", "reader@ours-office.com", "a,b,c")
	filter := filter(f, crowd{})
	f.Fuzz(func(t *testing.T, name, address, subject, reply string) {
		m := letter(t, "From: "+name+" <"+address+">\nSubject: "+subject+"\nReply-To: "+reply+"\n", "x")
		facts, err := filter.Check(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		if len(facts.Findings) > len(Codes()) {
			t.Errorf("%d findings", len(facts.Findings))
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	f, m := filter(b, crowd{}), letter(b, from("Anna Schmidt", "anna.schmidt@newsletter.example.net")+"Subject: Your order of Monday\n", strings.Repeat("<p>Some words that nobody reads. ", 200))
	m.Text()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Check(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
