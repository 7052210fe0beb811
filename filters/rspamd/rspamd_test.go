package rspamd

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
	"gatepost/rules/conf"
	"gatepost/test/harness"
	"gatepost/test/harness/daemon"
	"gatepost/test/harness/engine"
)

func settings(addresses ...string) Config {
	return Config{Address: addresses, Timeout: 5 * time.Second, Connections: 2, MaxBytes: 1 << 20, Hostname: "mx.example.com"}
}

// letter is a message from outside with a text of the test's.
func letter(t testing.TB, text string) *mail.Mail {
	t.Helper()
	address := func(s string) mail.Address {
		a, err := mail.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	e := &mail.Envelope{ID: "ID1", Remote: netip.MustParseAddr("192.0.2.7"), RemoteName: "out.friend.example", Helo: "friend.example", From: address("ann@friend.example"),
		Rcpts: []mail.Address{address("bob@example.com"), address("eve@example.com")}, TLS: mail.TLS{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256"}}
	return &mail.Mail{Envelope: e, Message: mail.Parse(mail.Memory(text))}
}

const plain = "From: Ann <ann@friend.example>\r\nTo: <bob@example.com>\r\nSubject: Lunch\r\n\r\nAt one?\r\n"

// asked is what the filter says of a message: codes with all their evidence.
func asked(t *testing.T, cfg Config, m *mail.Mail) (list []string, err error) {
	t.Helper()
	facts, err := New(cfg).Check(context.Background(), m)
	return engine.Told(facts), err
}

func reply(action string, score float64, symbols string) string {
	return fmt.Sprintf(`{"is_skipped":false,"score":%g,"required_score":15.0,"action":%q,"symbols":{%s},"messages":{},"time_real":0.3}`, score, action, symbols)
}

func TestTheMessageGoesToRspamdWithItsEnvelope(t *testing.T) {
	var got http.Header
	var body, path string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body, path = r.Header, string(b), r.Method+" "+r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, reply("no action", 0, ""))
	}))
	t.Cleanup(s.Close)
	cfg := settings(s.URL)
	cfg.Password, cfg.SettingsID = conf.NewSecret("open"), "gateway"
	if _, err := asked(t, cfg, letter(t, plain)); err != nil {
		t.Fatal(err)
	}
	if body != plain || path != "POST /checkv2" {
		t.Errorf("%s %q", path, body)
	}
	for name, want := range map[string]string{"Ip": "192.0.2.7", "Hostname": "out.friend.example", "Helo": "friend.example", "From": "<ann@friend.example>", "Password": "open", "Settings-Id": "gateway", "Queue-Id": "ID1",
		"Mta-Name": "mx.example.com", "Tls-Version": "TLS 1.3"} {
		if got.Get(name) != want {
			t.Errorf("%s: %q", name, got.Get(name))
		}
	}
	if r := got["Rcpt"]; !slices.Equal(r, []string{"<bob@example.com>", "<eve@example.com>"}) {
		t.Errorf("Rcpt: %q", r)
	}
	if _, err := asked(t, cfg, &mail.Mail{Message: mail.Parse(mail.Memory(plain))}); err != nil || got.Get("From") != "" {
		t.Errorf("without an envelope: %v, %q", err, got)
	}
}

func TestWhatRspamdWouldDoIsAFactAndNoAction(t *testing.T) {
	for action, want := range map[string]string{
		"no action": "rspamd.no-action", "greylist": "rspamd.greylist", "add header": "rspamd.add-header", "rewrite subject": "rspamd.rewrite-subject",
		"soft reject": "rspamd.soft-reject", "reject": "rspamd.reject", "quarantine": "rspamd.other-action", "rej\u202eect\r\n<b>": "rspamd.other-action",
	} {
		got, err := asked(t, settings(daemon.JSON(t, reply(action, 7.1, ""))), letter(t, plain))
		if err != nil || len(got) != 1 || !strings.HasPrefix(got[0], want+"; "+peer.ASCII(action, 80)+", score 7.10 of 15.00") {
			t.Errorf("%q: %q, %v", action, got, err)
		}
	}
}

func TestTheStrongestSymbolsAreTheEvidence(t *testing.T) {
	symbols := `"A":{"score":0.5},"B":{"score":-3},"C":{"score":7},"D":{"score":0.1},"E":{"score":0.2},"F":{"score":0.3},"G":{"score":0.4},"Z":{"score":0},"\u001b[31m` + strings.Repeat("x", 200) + `":{"score":9}`
	got, err := asked(t, settings(daemon.JSON(t, reply("reject", 20, symbols))), letter(t, plain))
	if err != nil || len(got) != 1 {
		t.Fatalf("%q, %v", got, err)
	}
	want := "rspamd.reject; reject, score 20.00 of 15.00; ?[31m" + strings.Repeat("x", 75) + " +9.00; C +7.00; B -3.00; A +0.50; G +0.40; F +0.30"
	if got[0] != want {
		t.Errorf("%s", got[0])
	}
}

// A list that refuses Rspamd's questions would have said something, or nothing: nobody knows.
func TestWhereAListRefusedRspamdNobodyCallsItClean(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   string
		fails  bool
	}{
		"refused and nothing else": {reply("no action", 0, `"URIBL_BLOCKED":{"score":0}`), "", true},
		"refused and found":        {reply("add header", 7, `"RBL_SPAMHAUS_BLOCKED_OPENRESOLVER":{"score":0},"X":{"score":7}`), "rspamd.add-header", true},
		"a scanner that failed":    {reply("no action", 0, `"CLAM_VIRUS_FAIL":{"score":0}`), "", true},
		"nobody refused":           {reply("no action", 0, `"BLOCKED_SENDERS":{"score":0},"R_SPF_FAIL":{"score":1}`), "rspamd.no-action", false},
	} {
		f := New(settings(daemon.JSON(t, c.answer)))
		facts, err := f.Check(t.Context(), letter(t, plain))
		got := ""
		if len(facts.Findings) > 0 {
			got = facts.Findings[0].Code
		}
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if c.fails != (f.refused != "") {
			t.Errorf("%s: remembered %q", name, f.refused)
		}
	}
}

// An answer that is not a proper answer is no opinion.
func TestAnRspamdThatFailsOrLiesIsNeverClean(t *testing.T) {
	good := reply("no action", 0, "")
	for name, text := range map[string]string{
		"nothing": "", "cut off": good[:len(good)-10], "two": good + good, "a word": "pong", "a list": "[]", "no action": `{"score":0,"required_score":15}`, "no score": `{"action":"no action","required_score":15}`,
		"no limit": `{"action":"no action","score":0}`, "null": `{"action":"no action","score":null,"required_score":15}`, "text": `{"action":"no action","score":"0","required_score":15}`,
		"twice": `{"action":"reject","score":20,"required_score":15,"action":"no action"}`, "other case": `{"action":"reject","ACTION":"no action","score":0,"required_score":15}`, "endless": `{"action":"no action","score":1e999,"required_score":15}`,
		"huge": `{"action":"no action","score":1e300,"required_score":15}`, "error": `{"error":"overloaded","action":"no action","score":0,"required_score":15}`, "skipped": strings.Replace(good, "false", "true", 1),
		"symbols are a list": strings.Replace(good, "{}", "[]", 1), "long": good + strings.Repeat(" ", maxReply), "deep": `{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "," + good[1:],
	} {
		if got, err := asked(t, settings(daemon.JSON(t, text)), letter(t, plain)); err == nil {
			t.Errorf("%s: taken for an answer: %q", name, got)
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"403": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>"+good) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "10000")
			io.WriteString(w, good)
		},
		"packed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "\x1f\x8b")
		},
		"closed": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s := httptest.NewServer(answer)
		if got, err := asked(t, settings(s.URL), letter(t, plain)); err == nil {
			t.Errorf("%s: taken for an answer: %q", name, got)
		}
		s.Close()
	}
}

// silent takes connections and says nothing until the test ends.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) // the backlog takes the connections
	return "http://" + l.Addr().String()
}

func TestAnRspamdThatHangsIsGivenUpAfterItsTimeAndTheOtherAnswers(t *testing.T) {
	cfg := settings(silent(t))
	cfg.Timeout = 50 * time.Millisecond
	if _, err := asked(t, cfg, letter(t, plain)); err == nil || !strings.Contains(err.Error(), "timeout after 50ms") {
		t.Errorf("%v", err)
	}
	for _, c := range New(cfg).Conditions(t.Context()) {
		if c.Err == nil || !c.Down || c.Hint == "" {
			t.Errorf("%+v", c)
		}
	}
	cfg.Address, cfg.Timeout = append(cfg.Address, daemon.JSON(t, reply("reject", 20, ""))), 2*time.Second
	if got, err := asked(t, cfg, letter(t, plain)); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAnRspamdThatIsNotThereIsAnErrorAndSoonNobodyWaitsForIt(t *testing.T) {
	f := New(settings("unix:" + filepath.Join(t.TempDir(), "none")))
	engine.Rests(t, f, func() *mail.Mail { return letter(t, plain) })
}

func TestWhatIsTooLargeWasNotSeen(t *testing.T) {
	m := letter(t, plain)
	for beyond, want := range map[int64]string{0: "rspamd.no-action", 1: "rspamd.unscannable.limit"} {
		cfg := settings(daemon.JSON(t, reply("no action", 0, "")))
		cfg.MaxBytes = conf.Size(m.Source.Size() - beyond)
		if got, err := asked(t, cfg, m); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%d beyond: %q, %v", beyond, got, err)
		}
	}
}

func TestNoMoreMessagesThanConnectionsAreUnderWayAndConnectionsServeAgain(t *testing.T) {
	c := engine.NewCrowd(t, reply("no action", 0, ""))
	c.Press(t, New(settings(c.URL)), func() *mail.Mail { return letter(t, plain) }, 2, 5)
}

func TestConditionsTellWhoDoesNotAnswerRspamd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			io.WriteString(w, "pong\r\n")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, reply("no action", 0, `"URIBL_BLOCKED":{"score":0}`))
	}))
	t.Cleanup(s.Close)
	f := New(settings(s.URL))
	if c := f.Conditions(t.Context())[0]; c.Err != nil || c.Detail == "" || c.Name != "rspamd "+s.URL {
		t.Errorf("%+v", c)
	}
	f.Check(t.Context(), letter(t, plain))
	if c := f.Conditions(t.Context())[0]; c.Err == nil || c.Down || !strings.Contains(c.Err.Error(), "URIBL_BLOCKED") {
		t.Errorf("%+v", c)
	}
	f.now = func() time.Time { return time.Now().Add(2 * refusedFor) }
	if c := f.Conditions(t.Context())[0]; c.Err != nil {
		t.Errorf("long ago: %+v", c)
	}
	if c := New(settings(daemon.JSON(t, "no pong"))).Conditions(t.Context())[0]; c.Err == nil || !c.Down {
		t.Errorf("%+v", c)
	}
}

func TestNoAddressIsNoFilter(t *testing.T) {
	if New(Config{}) != nil {
		t.Error("a filter without an Rspamd")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(reply("reject", 20, `"A":{"score":1,"options":["x"]}`)))
	f.Add([]byte(reply("no action", 0, `"URIBL_BLOCKED":{"score":0}`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		if cost := harness.Allocated(func() { readAnswer(b) }); cost > uint64(400*len(b)+256<<10) {
			t.Errorf("%d octets cost %d", len(b), cost)
		}
		a, err := readAnswer(b)
		if err != nil {
			return
		}
		facts, err := (&Filter{now: time.Now}).judge("rspamd x", a)
		if err == nil && len(facts.Findings) != 1 {
			t.Errorf("%q says nothing", b)
		}
		for _, x := range facts.Findings {
			for _, p := range x.Proof {
				if len(p.What) > 200 || strings.ContainsFunc(p.What, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("shown as %q", p.What)
				}
			}
			if x.Code == "rspamd.no-action" && a.Action != "no action" {
				t.Errorf("%q is clean", a.Action)
			}
		}
	})
}

func TestEveryFindingIsDocumented(t *testing.T) {
	for _, action := range []string{"no action", "greylist", "add header", "rewrite subject", "soft reject", "reject", "x"} {
		if !slices.ContainsFunc(Codes(), func(c filters.Code) bool { return c.Name == codeOf(action) }) {
			t.Errorf("%s is not documented", codeOf(action))
		}
	}
}
