package dnsbl

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/dns"
	"gatepost/rules/conf"
)

// A site is a filter with a name server that answers real packets.
type site struct {
	*Filter
	server *dns.Server
	sentry *Sentry
	clock  time.Time
	lists  []List
}

// open starts a site; section is filters.dnsbl.
func open(t *testing.T, section, zone string) *site {
	t.Helper()
	s := &site{clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	var err error
	if s.server, err = dns.ServeZone(zone); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.server.Close() })
	s.sentry = NewSentry(func() time.Time { return s.clock })
	var cfg Config
	if problems := conf.Decode("gatepost.yaml", []byte(section), &cfg); len(problems) > 0 {
		t.Fatal(problems)
	}
	if s.Filter, err = New(cfg, s.resolver(t), s.sentry, map[string]bool{"own.example": true, "mx.site.example": true}); err != nil {
		t.Fatal(err)
	}
	s.lists = s.Filter.lists
	return s
}

// resolver is one that has nothing in its cache.
func (s *site) resolver(t *testing.T) *dns.Resolver {
	t.Helper()
	r, err := dns.New(dns.Config{Servers: []string{s.server.Addr()}, Timeout: conf.Duration(200 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	return r.Unlimited()
}

// forget gives the filter a resolver that remembers nothing and lets time pass.
func (s *site) forget(t *testing.T, passed time.Duration) {
	s.Filter.r = s.resolver(t)
	s.clock = s.clock.Add(passed)
}

const letter = "From: Ann <ann@friend.example>\r\nReply-To: <cash@fraud.example>\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n" +
	"<a href=\"https://www.bad.example/x\">a</a> <a href=\"http://img.good.example\">b</a> <a href=\"mailto:x@mailed.example\">c</a> <a href=\"http://10.0.0.1/\">d</a>" +
	" <a href=\"http://a.own.example\">e</a> <a href=\"https://user@deep.er.bad.example:8443\">f</a>\r\n"

// message is the letter with an envelope.
func message(t *testing.T, client, text string) *mail.Mail {
	t.Helper()
	from, err := mail.ParseAddress("bounce@news.sender.example")
	if err != nil {
		t.Fatal(err)
	}
	return &mail.Mail{
		Envelope: &mail.Envelope{Remote: netip.MustParseAddr(client), RemoteName: "mx.reverse.example", Helo: "mail.helo.example", From: from},
		Message:  mail.Parse(bytes.NewReader([]byte(text))),
	}
}

// check runs the filter and gives the codes with their first proof.
func (s *site) check(t *testing.T, m *mail.Mail) (map[string]filters.Finding, error) {
	t.Helper()
	facts, err := s.Check(context.Background(), m)
	out := map[string]filters.Finding{}
	for _, f := range facts.Findings {
		if len(f.Proof) == 0 || f.Proof[0].What == "" || f.Text == "" || len(f.Text) > 300 {
			t.Errorf("%s has no proof or no text: %+v", f.Code, f)
		}
		if _, twice := out[f.Code]; twice {
			t.Errorf("%s is stated twice", f.Code)
		}
		out[f.Code] = f
	}
	return out, err
}

// points is the zone of test points for an address list and a domain list.
const points = `
2.0.0.127.zen.spamhaus.org A 127.0.0.2
2.0.0.127.zen.spamhaus.org A 127.0.0.4
dbltest.com.dbl.spamhaus.org A 127.0.1.2
surbl-org-permanent-test-point.com.multi.surbl.org A 127.0.0.254
2.0.0.127.list.dnswl.org A 127.0.10.0
`

const both = "confirm: [spamhaus-zen, spamhaus-dbl]\n"

func TestNothingIsAskedBeforeTheAdministratorConfirms(t *testing.T) {
	s := open(t, "timeout: 2s\n", points)
	if found, err := s.check(t, message(t, "8.8.4.4", letter)); err != nil || len(found) > 0 {
		t.Errorf("%v %v", found, err)
	}
	if n := s.server.Total(); n != 0 {
		t.Errorf("%d questions", n)
	}
}

func TestListsAreAskedAboutTheClientItsNamesAndTheLinks(t *testing.T) {
	s := open(t, both, points+`
4.4.8.8.zen.spamhaus.org A 127.0.0.4
4.4.8.8.zen.spamhaus.org A 127.0.0.11
bad.example.dbl.spamhaus.org A 127.0.1.4
helo.example.dbl.spamhaus.org A 127.0.1.2
reverse.example.dbl.spamhaus.org A 127.0.1.2
sender.example.dbl.spamhaus.org A 127.0.1.5
friend.example.dbl.spamhaus.org A 127.0.1.103
`)
	found, err := s.check(t, message(t, "8.8.4.4", letter))
	if err != nil {
		t.Fatal(err)
	}
	for code, proofs := range map[string]int{
		"dnsbl.listed.spamhaus-zen": 1, "dnsbl.policy.spamhaus-zen": 1, "dnsbl.phish.spamhaus-dbl": 1, "dnsbl.listed.spamhaus-dbl": 2,
		"dnsbl.malware.spamhaus-dbl": 1, "dnsbl.abused.spamhaus-dbl": 1,
	} {
		if f, ok := found[code]; !ok || len(f.Proof) != proofs {
			t.Errorf("%s: %+v, want %d proofs", code, f, proofs)
		}
	}
	if len(found) != 6 {
		t.Errorf("%d findings: %v", len(found), found)
	}
	known := Codes()
	for code := range found {
		if !slices.ContainsFunc(known, func(c filters.Code) bool { return c.Name == code && c.Meaning != "" && c.Chinese != "" }) {
			t.Errorf("%s is not documented", code)
		}
	}
	for _, q := range s.server.Questions() {
		if strings.Contains(q, "mailed") || strings.Contains(q, "own.example") || strings.Contains(q, "10.0.0.1") || strings.Contains(q, "www.") || strings.Contains(q, "er.bad") {
			t.Errorf("asked %s", q)
		}
	}
}

func TestSixthVersionAddressesAreAskedByNibbles(t *testing.T) {
	s := open(t, "confirm: [spamhaus-zen]\n", points+
		"8.8.8.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.8.4.0.6.8.4.1.0.0.2.zen.spamhaus.org A 127.0.0.3\n")
	found, err := s.check(t, message(t, "2001:4860:4860::8888", letter))
	if _, ok := found["dnsbl.listed.spamhaus-zen"]; err != nil || !ok {
		t.Errorf("%v %v\n%v", found, err, s.server.Questions())
	}
}

func TestListsAreNotToldOfPrivateNetworksNorOfOurDomains(t *testing.T) {
	s := open(t, both, points)
	for _, client := range []string{"10.1.2.3", "192.168.0.1", "127.0.0.1", "169.254.1.1", "100.64.0.9", "fd00::1", "fe80::1", "::1"} {
		m := message(t, client, "From: a@own.example\r\n\r\nhttp://x.own.example/ http://site.example/ http://printer.local/ http://intra.corp/\r\n")
		m.Envelope.Helo, m.Envelope.RemoteName, m.Envelope.From = "[10.1.2.3]", "", mail.Address{}
		if _, err := s.check(t, m); err != nil {
			t.Errorf("%s: %v", client, err)
		}
	}
	if n := s.server.Total(); n != 0 {
		t.Errorf("asked %v", s.server.Questions())
	}
}

// Lists that are dead, hijacked, list the world or refuse us; none of them may count, and each is said to be not looked
// at (L-06).
func TestAListThatAnswersItsTestPointsWronglyIsMuted(t *testing.T) {
	for name, c := range map[string]struct{ zone, why string }{
		"dead":                {"x.example A 127.0.0.2", "it does not list its test point 127.0.0.2"},
		"lists the world":     {"*.zen.spamhaus.org A 127.0.0.2", "it lists 127.0.0.1"},
		"parked":              {"*.zen.spamhaus.org A 192.0.2.1", "somebody else answers for it (192.0.2.1)"},
		"refuses the world":   {"*.zen.spamhaus.org A 127.255.255.254", "our resolver may not ask (127.255.255.254)"},
		"says it cannot tell": {"2.0.0.127.zen.spamhaus.org SERVFAIL", "could not be asked"},
		"is silent":           {"2.0.0.127.zen.spamhaus.org TIMEOUT", "could not be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "confirm: [spamhaus-zen]\n", c.zone+"\n4.4.8.8.zen.spamhaus.org A 127.0.0.2\n")
			found, err := s.check(t, message(t, "8.8.4.4", letter))
			if len(found) > 0 || err == nil || !strings.Contains(err.Error(), "not looked: spamhaus-zen: muted") || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, %v; want %q", found, err, c.why)
			}
			if st := s.sentry.States(s.lists)[0]; st.Muted == "" || st.Since.IsZero() {
				t.Errorf("state %+v", st)
			}
			if n := s.server.Asked("4.4.8.8.zen.spamhaus.org A"); n != 0 {
				t.Errorf("a muted list was asked %d times", n)
			}
		})
	}
}

func TestAListThatBeginsToRefuseUsIsMutedAndComesBack(t *testing.T) { // L-06
	s := open(t, "confirm: [spamhaus-zen]\n", points+"4.4.8.8.zen.spamhaus.org A 127.0.0.2\n")
	if found, err := s.check(t, message(t, "8.8.4.4", letter)); err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	s.forget(t, time.Minute)
	s.server.Set(points + "4.4.8.8.zen.spamhaus.org A 127.255.255.254\n")
	found, err := s.check(t, message(t, "8.8.4.4", letter))
	if len(found) > 0 || err == nil || !strings.Contains(err.Error(), "may not ask") {
		t.Errorf("%v %v", found, err)
	}
	s.forget(t, time.Minute)
	s.server.Set(points + "4.4.8.8.zen.spamhaus.org A 127.0.0.2\n")
	if _, err := s.check(t, message(t, "8.8.4.4", letter)); err == nil {
		t.Error("a muted list counts again without a test")
	}
	s.forget(t, wrongFor)
	s.sentry.Test(context.Background(), s.Filter.r, s.lists)
	deadline := time.Now().Add(10 * time.Second)
	for s.sentry.States(s.lists)[0].Muted != "" && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond) // the test goes on beside
	}
	if found, err := s.check(t, message(t, "8.8.4.4", letter)); err != nil || len(found) != 1 {
		t.Errorf("after a good test: %v %v", found, err)
	}
}

func TestAListThatDoesNotAnswerIsNotLookedAtNeverClean(t *testing.T) {
	s := open(t, both, points+"4.4.8.8.zen.spamhaus.org TIMEOUT\nbad.example.dbl.spamhaus.org A 127.0.1.4\n")
	found, err := s.check(t, message(t, "8.8.4.4", letter))
	if err == nil || !strings.Contains(err.Error(), "not looked: spamhaus-zen: no answer") || strings.Contains(err.Error(), "dbl") {
		t.Errorf("error %v", err)
	}
	if _, ok := found["dnsbl.phish.spamhaus-dbl"]; !ok {
		t.Errorf("what other lists said is lost: %v", found)
	}
	for range silentAfter - 1 {
		s.forget(t, time.Second)
		s.check(t, message(t, "8.8.4.4", letter))
	}
	if st := s.sentry.States(s.lists)[1]; !strings.Contains(st.Muted, "no answer") || st.Failed != silentAfter {
		t.Errorf("a list that stays silent holds up every message: %+v", st)
	}
}

func TestAnswersThatNobodyKnowsMeanNothing(t *testing.T) { // L-06
	s := open(t, "confirm: [spamhaus-zen]\n", points+"4.4.8.8.zen.spamhaus.org A 127.0.0.99\n")
	if found, err := s.check(t, message(t, "8.8.4.4", letter)); err != nil || len(found) > 0 {
		t.Errorf("%v %v", found, err)
	}
}

func TestListsOfBitsKeysAndMailboxes(t *testing.T) {
	t.Setenv("LIST_KEY", "Secret0Key")
	s := open(t, `confirm: [surbl, msbl-ebl, spamhaus-zen, dnswl]
keys: {spamhaus-zen: "${LIST_KEY}"}
lists:
  site: {zone: bl.site.example, asks: [client]}
`, points+`
2.0.0.127.secret0key.zen.dq.spamhaus.net A 127.0.0.2
4.4.8.8.secret0key.zen.dq.spamhaus.net A 127.0.0.2
bad.example.multi.surbl.org A 127.0.0.72
2.0.0.127.bl.site.example A 127.0.0.2
4.4.8.8.bl.site.example A 127.0.0.2
4.4.8.8.list.dnswl.org A 127.0.5.2
`+fmt.Sprintf("%s.ebl.msbl.org A 127.0.0.2\n", digest("sha1", "cash@fraud.example")))
	found, err := s.check(t, message(t, "8.8.4.4", letter))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"dnsbl.listed.spamhaus-zen", "dnsbl.phish.surbl", "dnsbl.listed.surbl", "dnsbl.listed.msbl-ebl", "dnsbl.listed.site", "dnsbl.allowed.dnswl"} {
		if _, ok := found[code]; !ok {
			t.Errorf("%s is missing in %v", code, found)
		}
	}
	if text := strings.ToLower(fmt.Sprint(found)); strings.Contains(text, "secret0key") {
		t.Errorf("the key is told: %s", text)
	}
	var own []string
	for _, c := range OwnCodes(s.cfg) {
		own = append(own, c.Name)
	}
	if !slices.Equal(own, []string{"dnsbl.listed.site"}) {
		t.Errorf("own codes %v", own)
	}
}

func TestAFloodOfLinksIsBoundedAndHidesNoBadOneAtEitherEnd(t *testing.T) {
	s := open(t, "confirm: [spamhaus-dbl]\nmax_domains: 10\n", points+"first.example.dbl.spamhaus.org A 127.0.1.2\nlast.example.dbl.spamhaus.org A 127.0.1.4\n")
	var b strings.Builder
	b.WriteString("From: a@friend.example\r\n\r\nhttp://first.example/\r\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "http://n%d.example/\r\n", i)
	}
	b.WriteString("http://last.example/\r\n")
	found, err := s.check(t, message(t, "8.8.4.4", b.String()))
	if err == nil || !strings.Contains(err.Error(), "names more than are asked about") {
		t.Errorf("error %v", err)
	}
	if len(found) == 0 || found["dnsbl.listed.spamhaus-dbl"].Code == "" {
		t.Errorf("found %v", found)
	}
	if n := s.server.Total(); n > 10+2+5 {
		t.Errorf("%d questions", n)
	}
}

func TestWarmingAsksBeforeTheContentComes(t *testing.T) {
	s := open(t, "confirm: [spamhaus-zen]\n", points)
	m := message(t, "8.8.4.4", letter)
	s.Warm(context.Background(), m.Envelope)
	n := s.server.Total()
	if _, err := s.check(t, m); err != nil || s.server.Total() != n || n < 3 {
		t.Errorf("%v: %d questions before, %d after", err, n, s.server.Total())
	}
}

func TestASectionWithSlipsIsRefusedWithTheirPlaces(t *testing.T) {
	for section, want := range map[string]string{
		"confirm: [spamhaus-zne]":                                  `gatepost.yaml:1:11: confirm: there is no list "spamhaus-zne"; a list of your own goes under lists (did you mean "spamhaus-zen"?)`,
		"confirm: [spamcop]\nkeys: {spamcop: abc}":                 `list "spamcop" has no keys`,
		"keys: {nobody: abc}":                                      `there is no list "nobody"`,
		"keys: {spamhaus-zen: a.b}":                                "cannot be part of a domain name",
		"lists: {spamcop: {zone: bl.example.net, asks: [client]}}": "is the name of a known list",
		"lists: {a.b: {zone: bl.example.net, asks: [client]}}":     "other characters",
		"timeout: 1h":                           "too much",
		"lists: {mine: {zone: bl.example.net}}": `missing key "asks"`,
	} {
		var c Config
		problems := conf.Decode("gatepost.yaml", []byte(section), &c)
		if len(problems) == 0 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%q: %v, want %q", section, problems, want)
		}
	}
}

func TestALookTellsWhatEveryListSays(t *testing.T) {
	s := open(t, "confirm: [spamhaus-zen, spamhaus-dbl, spamcop]\n", points+"4.4.8.8.zen.spamhaus.org A 127.0.0.10\nbad.example.dbl.spamhaus.org A 127.0.1.2\n")
	found, err := s.sentry.Look(context.Background(), s.Filter.r, s.lists, "8.8.4.4")
	if err != nil || len(found) != 2 || found[0].List != "spamcop" || found[0].Error == "" || !strings.Contains(strings.Join(found[1].Says, ""), "policy: PBL") {
		t.Errorf("%+v %v", found, err)
	}
	found, err = s.sentry.Look(context.Background(), s.Filter.r, s.lists, "www.bad.example")
	if err != nil || len(found) != 1 || !strings.Contains(strings.Join(found[0].Says, ""), "a domain of spam") {
		t.Errorf("%+v %v", found, err)
	}
	if _, err = s.sentry.Look(context.Background(), s.Filter.r, s.lists, "com"); err == nil {
		t.Error("com was asked about")
	}
}

func BenchmarkCheckWithAnswersAtHand(b *testing.B) {
	server, err := dns.ServeZone(points)
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	r, err := dns.New(dns.Config{Servers: []string{server.Addr()}})
	if err != nil {
		b.Fatal(err)
	}
	f, err := New(Config{Confirm: []string{"spamhaus-zen", "spamhaus-dbl", "dnswl"}, Timeout: time.Second, MaxDomains: 20}, r.Unlimited(), NewSentry(time.Now), nil)
	if err != nil {
		b.Fatal(err)
	}
	m := &mail.Mail{Envelope: &mail.Envelope{Remote: netip.MustParseAddr("8.8.4.4"), Helo: "mail.helo.example"}, Message: mail.Parse(bytes.NewReader([]byte(letter)))}
	if _, err := f.Check(context.Background(), m); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Check(context.Background(), m)
	}
}
