package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/mmdb"
)

func TestCountriesAndNetworksDecideAndAreKeptForReplays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "where.mmdb")
	where := func(code string, asn uint32) {
		mmdb.Write(t, path+".new", time.Now(), map[string]mmdb.Record{"127.0.0.0/8": {"country": map[string]any{"iso_code": code}, "autonomous_system_number": asn}})
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	where("DE", 64496)
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited + fmt.Sprintf("geo: {databases: [%q]}\n", path), Policy: `version: 1
access:
  - deny: {country: [kp], reason: "nobody writes to us from there"}
  - deny: {asn: [AS64511], reason: "a network of spam"}
rules:
  - {name: from-de, when: 'envelope.country == "DE" && envelope.asn == 64496', then: quarantine, reason: "We look at these."}
`})
	reply := w.Send("ann@friend.example", "bob@example.com", hello)
	if !strings.HasPrefix(reply, "250") || w.Sink.Count() != 0 {
		t.Fatalf("the rule over country and network did not match: %q", reply)
	}
	id := reply[strings.LastIndexByte(reply, ' ')+1:]
	harness.Eventually(t, "the journal has it", func() bool {
		out, _ := w.Command("trace", id)
		return strings.Contains(out, " DE AS64496 ")
	})
	if out, code := w.Command("replay", "--policy", filepath.Join(w.Dir, "policy.yaml"), "--json"); code != 0 || !strings.Contains(out, `"judged":1,"unknown":0,"differences":[]`) {
		t.Errorf("replay: %s", out)
	}

	denied := func(why string, reloads int) {
		t.Helper()
		harness.Eventually(t, why, func() bool { return w.Logged(`"msg":"reloaded"`) == reloads })
		d := harness.Dial(t, w.SMTP)
		d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 554 5.7.1")
	}
	where("KP", 1) // the file is replaced as geoipupdate does it
	denied("a new file is read by itself, and the country is denied", 1)
	where("FR", 64511)
	denied("the network is denied", 2)
	if err := os.WriteFile(path, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "a broken file is refused", func() bool { return w.Logged("reload changed nothing") > 0 })
	denied("the last good file is in use", 2)
}
