package kinds

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/catalog"
	"gatepost/filters/content"
	"gatepost/filters/mail"
	"gatepost/gateway/dns"
	"gatepost/policy"
	"gatepost/rules"
	"gatepost/rules/conf"
)

// untaught is a site with nothing configured and nothing learnt, which asks nobody but the name server.
type untaught struct{}

func (untaught) Decode(string, any) []conf.Problem { return nil }
func (untaught) Enabled(name string) bool {
	return slices.Contains([]string{"headers", "route", "auth", "attach", "links", "spoof", "bulk", "content"}, name)
}

// zone is all that the name server knows: the host that brings every letter, of which nobody vouches for anything.
const zone = "25.2.0.192.in-addr.arpa PTR mail.sender.example.\nmail.sender.example A 192.0.2.25\nsender.example A 192.0.2.25\nsender.example MX 10 mail.sender.example."

// A judge judges as a gateway would that was set up today.
type judge struct {
	chain  *filters.Chain
	policy *policy.Policy
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	names, err := dns.ServeZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { names.Close() })
	resolver, err := dns.New(dns.Config{Servers: []string{names.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	set, problems := rules.Load(nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	chain, problems := catalog.Build(untaught{}, catalog.Deps{Resolver: resolver, AuthServID: "mx.recipient.example", OurDomains: map[string]bool{"recipient.example": true}, Rules: set})
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	p, problems := policy.Parse("", nil, policy.Options{Weights: content.Weights(set)})
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	return &judge{chain, p}
}

// A verdict is what became of a letter.
type verdict struct {
	name   string
	held   bool
	score  float64
	reason string
}

func (j *judge) of(t *testing.T, l Letter) verdict {
	t.Helper()
	to, err := mail.ParseRecipient(rcpt)
	if err != nil {
		t.Fatal(err)
	}
	from, err := mail.ParseAddress("bounce@sender.example")
	if err != nil {
		t.Fatal(err)
	}
	env := &mail.Envelope{ID: l.Name, Time: l.Date.Add(20 * time.Second), Remote: netip.MustParseAddr("192.0.2.25"), RemoteName: "mail.sender.example", Helo: "mail.sender.example", From: from, Rcpts: []mail.Address{to}}
	var rep filters.Report
	m := &mail.Mail{Envelope: env, Message: mail.Parse(mail.Memory(l.Mail))}
	<-j.chain.Run(context.Background(), filters.AtEnvelope, m, &rep)
	<-j.chain.Run(context.Background(), filters.AtMessage, m, &rep)
	for _, f := range rep.Failures {
		t.Fatalf("%s: %s: %+v", l.Name, f.Filter, f)
	}
	d := j.policy.Decide(env, &rep)
	r := policy.NewResult(env, &rep, d)
	v := verdict{name: l.Name, held: r.Action != policy.Accept && r.Action != policy.Tag, score: float64(r.Score) / 1000}
	var why []string
	for _, f := range r.Findings {
		if f.Weight != 0 {
			why = append(why, fmt.Sprintf("%s %v", f.Code, f.Weight))
		}
	}
	v.reason = strings.Join(append(why, r.Decided...), ", ")
	return v
}

// judged are the verdicts on the letters of a file, the highest scores first.
func (j *judge) judged(t *testing.T, file string) (list []verdict, held int) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	letters, err := Read(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	names := map[string]bool{}
	for _, l := range letters {
		if names[l.Name] {
			t.Errorf("%s: two letters are named %s", file, l.Name)
		}
		names[l.Name] = true
		v := j.of(t, l)
		if list = append(list, v); v.held {
			held++
		}
	}
	sort.SliceStable(list, func(a, b int) bool { return list[a].score > list[b].score })
	return list, held
}

// known are wanted letters that are held although they should not be: what they say is what is held for good reasons elsewhere.
var known = map[string]string{
	"mens-magazine": "its contents are the words of those who sell pills",
	"scanner":       "it has an address of our domain and comes from outside; a scanner in the house is a relay of the house",
}

// Nothing is held that somebody wanted, in whatever language and of whatever year: newsletters that cry prices, notices of
// banks and parcels, talk about spam.
func TestWantedLettersAreNotHeld(t *testing.T) {
	j := newJudge(t)
	for _, file := range []string{"judged-wanted.txt", "open-wanted.txt", "later-wanted.txt", "blind-wanted.txt", "blind2-wanted.txt"} {
		list, held := j.judged(t, file)
		t.Logf("%s: %d of %d are held", file, held, len(list))
		for _, v := range list {
			if v.held && known[v.name] == "" {
				t.Errorf("%s: %s is held with %.1f points: %s", file, v.name, v.score, v.reason)
			}
		}
	}
}

// Of the letters that nobody wanted, most are held by a gateway that was taught nothing.
func TestUnwantedLettersAreHeldUntaught(t *testing.T) {
	j := newJudge(t)
	for file, least := range map[string]float64{"judged-unwanted.txt": 0.88, "open-unwanted.txt": 0.87, "later-unwanted.txt": 0.7, "blind-unwanted.txt": 0.8, "blind2-unwanted.txt": 0.66} {
		list, held := j.judged(t, file)
		share := float64(held) / float64(len(list))
		t.Logf("%s: %d of %d are held, %.1f %%", file, held, len(list), 100*share)
		if share < least {
			t.Errorf("%s: %.3f of the letters are held, less than %.3f", file, share, least)
		}
	}
}
