package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/test/harness"
)

// A lure is what robots send: the same to everybody, but for a number and a name.
const lure = "We have reviewed the open invoices of your company and found that three of them were paid twice in the last quarter. " +
	"Please send us the account to which the difference of %d euro shall be returned, and the name of the person who keeps your books. " +
	"Our clerks answer on every working day between nine and five, and the return takes about a week once the papers are signed."

// from sends a message as another client and returns its id.
func from(t *testing.T, w *harness.World, client, domain, body, want string) (id string) {
	t.Helper()
	d := as(t, w, client).Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@" + domain + ">\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
	d.Raw(harness.Wire(strings.Replace(strings.ReplaceAll(hello, "friend.example", domain), "1@"+domain, client+"-"+fmt.Sprint(len(body))+"@"+domain, 1)+"\n"+body+"\n") + ".\r\n")
	reply := d.Expect(want)
	d.Close()
	return reply[strings.LastIndexByte(reply, ' ')+1:]
}

// stated are the findings of the filter traffic about a message, with what proves them.
func stated(t *testing.T, w *harness.World, id string) map[string]string {
	t.Helper()
	out, code := w.Command("explain", "--json", id)
	var x struct {
		Findings []struct {
			Filter, Code string
			Proof        []struct{ What string }
		}
	}
	if err := json.Unmarshal([]byte(out), &x); err != nil || code != 0 {
		t.Fatalf("explain %s: exit %d, %v\n%s", id, code, err, out)
	}
	list := map[string]string{}
	for _, f := range x.Findings {
		if f.Filter == "traffic" {
			list[f.Code] = f.Proof[0].What
		}
	}
	return list
}

// robots sends the lure from many networks and wants the campaign to be told, from the tenth message on.
func robots(t *testing.T, w *harness.World) {
	t.Helper()
	for i := range 12 {
		got := stated(t, w, from(t, w, fmt.Sprintf("198.51.%d.7", 100+i%4), fmt.Sprintf("robot%d.example", i), fmt.Sprintf(lure, 1000*i), "250 2."))
		if _, told := got["traffic.repeated-strangers"]; told != (i >= 9) {
			t.Errorf("message %d: %v", i+1, got)
		}
		if i == 11 && !strings.Contains(got["traffic.repeated-strangers"], "12 messages within 6h with nearly this text, from 4 networks") {
			t.Errorf("proof: %v", got)
		}
	}
}

// refuse has a network's mail refused as spam until its name is bad, and looks at whose name that is.
func refuse(t *testing.T, w *harness.World) {
	t.Helper()
	const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
	for i := range 14 {
		from(t, w, fmt.Sprintf("203.0.113.%d", i+1), fmt.Sprintf("junk%d.example", i), gtube, "550 5.7.1")
	}
	harness.Eventually(t, "the network has a bad name", func() bool {
		got := stated(t, w, from(t, w, "203.0.113.200", "plain.example", "Good morning.", "250 2."))
		return strings.Contains(got["traffic.network-bad"], "203.0.113.0/24")
	})
	if got := stated(t, w, from(t, w, "192.0.2.200", "plain.example", "Good morning.", "250 2.")); len(got) > 0 {
		t.Errorf("another network: %v", got)
	}
}

func TestACampaignOfRobotsIsToldAndABadNetworkToo(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, TLS: behindProxy})
	robots(t, w)
	refuse(t, w)
	// A newsletter's author, whom SPF and DMARC prove, may write the same to everybody from wherever its records say.
	for i := range 12 {
		got := stated(t, w, from(t, w, fmt.Sprintf("127.0.%d.7", i), "friend.example", strings.ReplaceAll(fmt.Sprintf(lure, i), "the", "our own"), "250 2."))
		if _, told := got["traffic.repeated-strangers"]; told {
			t.Errorf("one proven author: %v", got)
		}
	}
}

// What the site saw is in Redis where one is shared, and a message is told to be judged without it where Redis is away.
func TestTrafficIsRememberedInRedisAndMissedWithoutIt(t *testing.T) { // M-01
	addr, kill := redis(t)
	w := harness.Start(t, harness.Setup{Zone: friend, TLS: behindProxy, Config: "state: {url: \"redis://" + addr + "\"}\n"})
	robots(t, w)
	refuse(t, w)
	kill()
	id := from(t, w, "198.51.100.7", "plain.example", fmt.Sprintf(lure, 7), "250 2.")
	if out, _ := w.Command("explain", "--json", id); !strings.Contains(out, `"not_run":[{"filter":"traffic"`) {
		t.Errorf("nothing tells that the memory cannot be asked: %s", out)
	}
}

// Two messages of a proven author that a reviewer teaches as spam give his domain a bad name. A scan of a file, even beside the gateway,
// knows nothing of it.
func TestWhatPeopleSayOfMailIsHeldAgainstItsSender(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited, Policy: strings.Replace(holding, "class: spam", "class: policy", 1)})
	r := enter(t, w)
	send := func(n string) map[string]string {
		t.Helper()
		reply := w.Send("ann@friend.example", "bob@example.com", holdMe(n))
		return stated(t, w, reply[strings.LastIndexByte(reply, ' ')+1:])
	}
	for _, n := range []string{"one", "two"} {
		if got := send(n); len(got) > 0 {
			t.Errorf("before anybody spoke: %v", got)
		}
		id := heldID.FindStringSubmatch(r.open("/quarantine?q=" + n))
		if id == nil {
			t.Fatal("it is not held")
		}
		r.submit("/quarantine/"+id[1], "/quarantine/"+id[1]+"/teach", url.Values{"as": {"spam"}})
	}
	harness.Eventually(t, "the domain has a bad name", func() bool { return strings.Contains(send("three")["traffic.domain-bad"], "friend.example") })
	file := filepath.Join(w.Dir, "letter.eml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(hello, "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := w.Command("scan", "--json", "--client-ip", "127.0.0.1", "--mail-from", "ann@friend.example", "--rcpt", "bob@example.com", file); !strings.Contains(out, `"dmarc.pass"`) || strings.Contains(out, `"traffic`) {
		t.Errorf("scan: %s", out)
	}
}
