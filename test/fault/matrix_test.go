package fault

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatepost/filters/mail"
	"gatepost/gateway/db"
	"gatepost/gateway/disk"
	"gatepost/gateway/forward"
	"gatepost/gateway/quarantine"
	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
	"gatepost/test/oracle"
)

// A misdeed is what a next hop does wrong: in which step, and for which recipient if that matters.
type misdeed struct {
	step string
	rcpt string // only for this one
	act  badsink.Action
}

// everybody are the recipients of each message of the matrix.
var everybody = []string{"bob@example.com", "carol@example.com", "dave@example.com"}

// misdeeds are what may go wrong at one step.
func misdeeds(step string) map[string]misdeed {
	all := map[string]misdeed{}
	add := func(name string, act badsink.Action) { all[name] = misdeed{step: step, act: act} }
	add("closes", badsink.Action{Close: true})
	add("resets", badsink.Action{Reset: true})
	if step == badsink.Body {
		return all // nothing is said while content comes
	}
	add("421", badsink.Action{Reply: "421 4.3.2 going down", Close: true})
	add("421 and stays", badsink.Action{Reply: "421 4.3.2 going down"})
	add("450", badsink.Action{Reply: "450 4.2.0 later"})
	add("550", badsink.Action{Reply: "550 5.7.1 no"})
	add("554", badsink.Action{Reply: "554 5.5.0 no"})
	add("530", badsink.Action{Reply: "530 5.7.0 Must issue a STARTTLS command first"})
	add("no code", badsink.Action{Reply: "hello there"})
	add("a code of no use", badsink.Action{Reply: "299 what"})
	add("half a reply", badsink.Action{Reply: "25\r\n", Close: true})
	add("a changing code", badsink.Action{Reply: "250-x\r\n550 y"})
	add("5,000 lines", badsink.Action{Reply: strings.Repeat("250-x\r\n", 5000) + "250 y"})
	add("an endless line", badsink.Action{Reply: "250 " + strings.Repeat("x", 1<<20)})
	add("a NUL", badsink.Action{Reply: "250 \x00 2.0.0"})
	if step == badsink.Rcpt {
		for _, rcpt := range everybody[:2] {
			for name, reply := range map[string]string{"550": "550 5.1.1 unknown", "450": "450 4.2.1 greylisted", "resets": "", "421": "421 4.3.2 x"} {
				act := badsink.Action{Reply: reply, Reset: reply == ""}
				all[name+" for "+rcpt] = misdeed{step: step, rcpt: rcpt, act: act}
			}
		}
	}
	return all
}

// A bench is a gateway whose next hop can be told to misbehave.
type bench struct {
	*harness.World
	now    atomic.Pointer[misdeed]
	view   forward.HoldView
	kept   *quarantine.Store
	index  *db.DB
	more   string // of the configuration
	key    string // of the quarantine and of what is on hold
	inBDAT bool   // the next hop offers CHUNKING, and content goes so
	alien  bool   // clients are counted as strangers are
}

func newBench(t *testing.T, mode string, inBDAT bool) *bench {
	b := &bench{inBDAT: inBDAT}
	b.prepare(t, mode)
	b.Run()
	b.open(t)
	return b
}

// prepare does all but starting the gateway.
func (b *bench) prepare(t *testing.T, mode string) {
	trusted := "trusted_networks: [127.0.0.0/8]\n"
	if b.alien {
		trusted = ""
	}
	if b.key != "" {
		trusted += "quarantine: {key: " + b.key + "}\n"
	}
	domain, extensions := "    when_down: "+mode+"\n", []string(nil)
	if b.inBDAT {
		domain += "    downstream_chunking: true\n"
		extensions = []string{"PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "CHUNKING"}
	}
	b.World = harness.Prepare(t, harness.Setup{
		Zone: oracle.Zone, Domain: domain, Config: trusted + b.more,
		Script: badsink.Script{Extensions: extensions, On: func(e badsink.Event) *badsink.Action {
			if m := b.now.Load(); m != nil && m.step == e.Step && (m.rcpt == "" || m.rcpt == e.Rcpt) {
				act := m.act
				return &act
			}
			return nil
		}},
	})
}

// open looks into what the gateway keeps.
func (b *bench) open(t *testing.T) {
	t.Helper()
	data := filepath.Join(b.Dir, "data")
	keys, err := disk.ParseKeys(b.key)
	if err != nil {
		t.Fatal(err)
	}
	b.view = forward.ViewHold(filepath.Join(data, "hold"), keys)
	if b.index, err = db.Open("sqlite:" + filepath.Join(data, "gatepost.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.index.Close() })
	if b.kept, err = quarantine.New(t.Context(), quarantine.Config{}, quarantine.Deps{Dir: filepath.Join(data, "quarantine"), DB: b.index, Keys: keys}); err != nil {
		t.Fatal(err)
	}
}

// cured waits until the gateway trusts its next hop again.
func (b *bench) cured(t *testing.T) {
	t.Helper()
	b.now.Store(nil)
	harness.Eventually(t, "the next hop is up again", func() bool {
		_, body := b.Get("/readyz")
		return !strings.Contains(body, `"next hop`)
	})
}

// whereabouts says where the copies of a message are: a list of places for each recipient.
func (b *bench) whereabouts(t *testing.T, id string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, m := range b.Sink.Messages() {
		if strings.Contains(string(m.Data), "Message-ID: <"+id+">") {
			for _, r := range m.Rcpts {
				found[r] = append(found[r], "delivered")
			}
		}
	}
	for _, h := range b.held(t) {
		_, src, c, err := b.view.Show(h.ID)
		if err != nil {
			continue // it was delivered this moment
		}
		if mail.Parse(src).Subject() == "Letter "+id {
			for _, r := range h.Rcpts {
				found[r.String()] = append(found[r.String()], "held")
			}
		}
		c.Close()
	}
	list, err := b.kept.List(t.Context(), quarantine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range list {
		if q.Subject == "Letter "+id {
			for _, r := range q.Rcpts {
				found[r.Address] = append(found[r.Address], "quarantined")
			}
		}
	}
	return found
}

// held is what is on hold.
func (b *bench) held(t *testing.T) []forward.Held {
	t.Helper()
	list, damaged, err := b.view.List()
	if err != nil || len(damaged) > 0 {
		t.Fatalf("%v, damaged: %v", err, damaged)
	}
	return list
}

// letter is a message with an id.
func letter(id string) string {
	return "From: Ann <ann@friend.example>\nTo: <bob@example.com>\nSubject: Letter " + id + "\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <" + id + ">\n\nGood morning.\n"
}

// offer sends a message to everybody and returns the reply to the end of data.
func (b *bench) offer(t *testing.T, text string) string {
	d := harness.Dial(t, b.SMTP)
	defer d.Close()
	d.Talk("S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250")
	for _, r := range everybody {
		d.Talk("C: RCPT TO:<" + r + ">\nS: 250")
	}
	d.Talk("C: DATA\nS: 354")
	d.Raw(harness.Wire(text) + ".\r\n")
	return d.Reply()
}

// TestWhateverTheNextHopDoesEachRecipientHasOneFate is the matrix of every misbehaviour at every step in both modes of
// custody, with content by DATA and by BDAT: when the client has its reply, and again when the next hop is well, each
// recipient's copy is refused, delivered, held or quarantined, and only one of them.
func TestWhateverTheNextHopDoesEachRecipientHasOneFate(t *testing.T) { // P-02, P-04, P-05, P-14, R-03, R-05 to, J-05, J-06
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	var all sync.WaitGroup // not t.Parallel: these mostly wait, and few processors are no reason to wait longer
	defer all.Wait()
	for _, mode := range []string{"defer", "hold"} {
		for _, step := range []string{badsink.Connect, badsink.Ehlo, badsink.Mail, badsink.Rcpt, badsink.Data, badsink.Body, badsink.Dot} {
			all.Go(func() { t.Run(mode+" "+step, func(t *testing.T) { runMatrix(t, mode, step, false) }) })
		}
		for _, step := range []string{badsink.Rcpt, badsink.Body, badsink.Chunk, badsink.Dot} {
			all.Go(func() { t.Run(mode+" "+step+" in chunks", func(t *testing.T) { runMatrix(t, mode, step, true) }) })
		}
	}
}

// runMatrix goes through every misdeed at one step.
func runMatrix(t *testing.T, mode, step string, inBDAT bool) {
	b := newBench(t, mode, inBDAT)
	counts := map[string]int{}
	for n, name := range slices.Sorted(maps.Keys(misdeeds(step))) {
		m := misdeeds(step)[name]
		id := fmt.Sprintf("%s-%s-%d@friend.example", mode, strings.ToLower(step), n)
		b.now.Store(&m)
		b.Sink.Drop() // so that the first steps are taken again
		text := letter(id)
		if step == badsink.Chunk {
			text += strings.Repeat("A line of text, and so many of them that one chunk does not hold them.\n", 4500)
		}
		reply := b.offer(t, text)
		fates := b.whereabouts(t, id)
		for _, r := range everybody {
			fate := oneFate(t, fmt.Sprintf("%s at %s, reply %q, %s", name, step, reply, r), reply, step, fates[r])
			counts[fate]++
		}
		b.cured(t)
		if mode == "hold" {
			b.drain(t)
		}
		for r, list := range b.whereabouts(t, id) {
			if len(list) != 1 || list[0] == "held" {
				t.Errorf("%s at %s, reply %q: in the end %s is %v", name, step, reply, r, list)
			}
		}
	}
	t.Log(counts)
	for _, line := range b.Sink.Lines() {
		if strings.Contains(line, " MAIL FROM:") && !strings.Contains(line, " MAIL FROM:<ann@friend.example>") {
			t.Errorf("the gateway wrote mail of its own: %s", line)
		}
	}
}

// oneFate is the one fate that a copy has after the reply.
func oneFate(t *testing.T, what, reply, step string, found []string) string {
	t.Helper()
	if strings.HasPrefix(reply, "250 ") {
		if len(found) != 1 {
			t.Errorf("%s: %v", what, found)
			return "wrong"
		}
		return found[0]
	}
	if !strings.HasPrefix(reply, "4") && !strings.HasPrefix(reply, "5") {
		t.Errorf("%s: no reply", what)
	}
	// A reply to the end of data that never came, or cannot be read, leaves open whether the next hop has the message; only
	// then may it have what the client was told to send again.
	if len(found) > 0 && !(step == badsink.Dot && len(found) == 1 && found[0] == "delivered" && reply[0] == '4') {
		t.Errorf("%s: refused, and all the same %v", what, found)
	}
	return "refused"
}

// drain has everything on hold tried until nothing is left.
func (b *bench) drain(t *testing.T) {
	t.Helper()
	harness.Eventually(t, "nothing is on hold", func() bool {
		if len(b.held(t)) == 0 {
			return true
		}
		b.Command("hold", "retry", "--all")
		return false
	})
}
