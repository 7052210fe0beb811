package hook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
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

const plain = "From: Ann <ann@friend.example>\r\nTo: <bob@example.com>\r\nSubject: Lunch\r\n today\r\n\r\nAt one?\r\n"

const clean = `{"version":1,"findings":[]}`

func settings(url string) Config {
	return Config{URL: url, Send: "header", Codes: map[string]string{"data-loss": "It holds customer numbers.", "vip": "It is about a person whom the site protects."},
		Timeout: 5 * time.Second, Connections: 2, MaxBytes: 1 << 20}
}

func letter(t testing.TB, text string) *mail.Mail {
	t.Helper()
	from, err := mail.ParseAddress("ann@friend.example")
	if err != nil {
		t.Fatal(err)
	}
	to, err := mail.ParseAddress("bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	e := &mail.Envelope{ID: "ID1", Time: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC), Remote: netip.MustParseAddr("192.0.2.7"), RemoteName: "out.friend.example", Helo: "friend.example", From: from, Rcpts: []mail.Address{to},
		TLS: mail.TLS{Version: "TLS 1.3"}}
	return &mail.Mail{Envelope: e, Message: mail.Parse(mail.Memory(text))}
}

func build(t *testing.T, cfg Config) *Filter {
	t.Helper()
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func asked(t *testing.T, cfg Config, m *mail.Mail) (list []string, err error) {
	t.Helper()
	facts, err := build(t, cfg).Check(context.Background(), m)
	for _, f := range facts.Findings {
		line := f.Code + ": " + f.Text
		for _, p := range f.Proof {
			line += "; " + p.What
		}
		list = append(list, line)
	}
	return list, err
}

// told is what a service was given.
type told struct {
	document
	Message *string `json:"message"`
	auth    string
	length  int64
	size    int
}

// listener is a service that remembers what it was given.
func listener(t *testing.T) (url string, got *told) {
	t.Helper()
	got = &told{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*got = told{auth: r.Header.Get("Authorization"), length: r.ContentLength, size: len(b)}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.DisallowUnknownFields()
		if err := d.Decode(got); err != nil {
			t.Errorf("%v: %s", err, b)
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, clean)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func TestTheServiceIsToldWhatIsKnown(t *testing.T) {
	url, got := listener(t)
	before := filters.Report{
		Facts:    filters.Facts{Auth: &filters.Auth{Domain: "friend.example", By: "dkim"}, Attachments: []filters.Attachment{{Name: "a.pdf"}}, Findings: []filters.Finding{{Filter: "auth", Code: "dmarc.pass", Text: "x", Proof: []filters.Evidence{{Where: "y", What: "z"}}}}},
		Failures: []filters.Failure{{Filter: "dnsbl", Error: "timeout after 5s"}},
	}
	for _, send := range []string{"facts", "header", "message"} {
		cfg := settings(url)
		cfg.Send, cfg.Secret = send, conf.NewSecret("open sesame")
		if _, err := build(t, cfg).Follow(t.Context(), letter(t, plain), before); err != nil {
			t.Fatal(err)
		}
		if got.Version != 1 || got.Probe || got.ID != "ID1" || got.Envelope.Client != "192.0.2.7" || got.Envelope.MailFrom.String() != "ann@friend.example" || len(got.Envelope.Rcpt) != 1 || got.Envelope.TLS.Version != "TLS 1.3" ||
			got.Size != int64(len(plain)) || got.auth != "Bearer open sesame" || got.length != int64(got.size) {
			t.Errorf("%s: %+v", send, got)
		}
		if got.Auth.Domain != "friend.example" || got.Attachments[0].Name != "a.pdf" || got.Findings[0].Code != "dmarc.pass" || got.NotRun[0].Filter != "dnsbl" {
			t.Errorf("%s: what was found: %+v", send, got)
		}
		if header := len(got.Header) == 3 && got.Header[2] == (headerField{"Subject", "Lunch today"}); header != (send != "facts") {
			t.Errorf("%s: %+v", send, got.Header)
		}
		if (got.Message != nil) != (send == "message") {
			t.Fatalf("%s: message: %v", send, got.Message)
		}
		if got.Message != nil && *got.Message != base64.StdEncoding.EncodeToString([]byte(plain)) {
			t.Errorf("%s: %s", send, *got.Message)
		}
	}
}

func TestMessagesOfEverySizeArriveWhole(t *testing.T) {
	url, got := listener(t)
	cfg := settings(url)
	cfg.Send = "message"
	for _, size := range []int{0, 1, 2, 3, pieceSize - 1, pieceSize, pieceSize + 1, 300_000} {
		text := strings.Repeat("x", size)
		if _, err := asked(t, cfg, &mail.Mail{Message: mail.Parse(mail.Memory(text))}); err != nil {
			t.Fatal(err)
		}
		if b, err := base64.StdEncoding.DecodeString(*got.Message); err != nil || string(b) != text || got.length != int64(got.size) {
			t.Errorf("%d octets: %d, %v", size, len(b), err)
		}
	}
	cfg.MaxBytes = conf.Size(len(plain)) - 1
	list, err := asked(t, cfg, letter(t, plain))
	if err != nil || len(list) != 1 || !strings.HasPrefix(list[0], "hook.unscannable.limit") || got.Message != nil || !got.Omitted {
		t.Errorf("too large: %q, %v, %+v", list, err, got)
	}
}

func TestListsInADocumentAreBounded(t *testing.T) {
	url, got := listener(t)
	before := filters.Report{Facts: filters.Facts{URLs: make([]filters.URL, 2*maxListed), Attachments: make([]filters.Attachment, maxListed)}}
	if _, err := build(t, settings(url)).Follow(t.Context(), letter(t, strings.Repeat("X: y\r\n", 2*maxListed)+plain), before); err != nil {
		t.Fatal(err)
	}
	if len(got.URLs) != maxListed || len(got.Attachments) != maxListed || len(got.Header) != maxListed || !got.Cut {
		t.Errorf("%d URLs, %d attachments, %d fields, cut: %v", len(got.URLs), len(got.Attachments), len(got.Header), got.Cut)
	}
}

func TestWhatTheServiceFindsIsAFact(t *testing.T) {
	long := strings.Repeat("x", 5000)
	url := daemon.JSON(t, `{"version":1,"findings":[{"code":"data-loss","evidence":["12 numbers","column \u001b[31mB"]},{"code":"vip","text":"<b>`+long+`","evidence":["`+long+`"]},{"code":"vip"}]}`)
	got, err := asked(t, settings(url), letter(t, plain))
	if err != nil || len(got) != 3 {
		t.Fatalf("%q, %v", got, err)
	}
	for i, want := range []string{"hook.data-loss: It holds customer numbers.; 12 numbers; column ?[31mB", "hook.vip: <b>" + long[:maxText-3] + "; " + long[:maxProof], "hook.vip: It is about a person whom the site protects.; " + url} {
		if got[i] != want {
			t.Errorf("%q", got[i])
		}
	}
	if got, err := asked(t, settings(daemon.JSON(t, clean)), letter(t, plain)); err != nil || len(got) != 0 {
		t.Errorf("clean: %q, %v", got, err)
	}
}

// An answer that is not a proper answer is no opinion; what can be read of it counts all the same.
func TestAServiceThatFailsOrLiesIsNeverClean(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "cut off": clean[:10], "two": clean + clean, "a list": "[]", "no findings": `{"version":1}`, "null": `{"version":1,"findings":null}`, "no version": `{"findings":[]}`, "other version": `{"version":2,"findings":[]}`,
		"twice": `{"version":1,"findings":[{"code":"vip"}],"findings":[]}`, "other case": `{"version":1,"findings":[{"code":"vip"}],"Findings":[]}`, "unknown field": `{"version":1,"findings":[],"action":"accept"}`,
		"unknown field of a finding": `{"version":1,"findings":[{"code":"vip","weight":-100}]}`, "text": `{"version":1,"findings":"none"}`, "many": `{"version":1,"findings":[` + strings.Repeat(`{"code":"vip"},`, maxFindings) + `{"code":"vip"}]}`,
		"long": clean + strings.Repeat(" ", maxReply), "deep": strings.Repeat(`{"a":`, 1000), "a page": "<html>", "wrong type of a code": `{"version":1,"findings":[{"code":1}]}`,
	} {
		if got, err := asked(t, settings(daemon.JSON(t, text)), letter(t, plain)); err == nil || len(got) > 0 {
			t.Errorf("%s: taken for an answer: %q", name, got)
		}
	}
	got, err := asked(t, settings(daemon.JSON(t, `{"version":1,"findings":[{"code":"new\u001b"},{"code":"vip"},{"code":"dmarc.pass"}]}`)), letter(t, plain))
	if err == nil || len(got) != 1 || !strings.Contains(err.Error(), "does not declare") {
		t.Errorf("codes that nobody declared: %q, %v", got, err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"401": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusTemporaryRedirect)
		},
		"no type": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, clean) },
		"closed":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, clean)
		},
	} {
		s := httptest.NewServer(answer)
		if got, err := asked(t, settings(s.URL), letter(t, plain)); err == nil {
			t.Errorf("%s: taken for an answer: %q", name, got)
		}
		s.Close()
	}
}

func TestAServiceThatHangsIsGivenUpAfterItsTime(t *testing.T) {
	gate := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-gate }))
	t.Cleanup(func() { close(gate); s.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0") // its backlog takes connections, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	drip := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			io.WriteString(w, " ")
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}))
	t.Cleanup(drip.Close)
	for name, url := range map[string]string{"no answer": s.URL, "nobody reads": "http://" + l.Addr().String(), "drop by drop": drip.URL} {
		cfg := settings(url)
		cfg.Timeout, cfg.Send = 100*time.Millisecond, "message"
		if _, err := asked(t, cfg, letter(t, plain+strings.Repeat("x", 900_000))); err == nil || !strings.Contains(err.Error(), "timeout after 100ms") {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := settings(s.URL)
	cfg.Timeout = 100 * time.Millisecond
	if c := build(t, cfg).Conditions(t.Context())[0]; c.Err == nil || !c.Down || c.Hint == "" {
		t.Errorf("%+v", c)
	}
}

func TestAServiceThatIsNotThereIsAnErrorAndSoonNobodyWaitsForIt(t *testing.T) {
	f := build(t, settings("unix:"+filepath.Join(t.TempDir(), "none")))
	engine.Rests(t, f, func() *mail.Mail { return letter(t, plain) })
}

func TestConnectionsAreBoundedAndServeAgain(t *testing.T) {
	c := engine.NewCrowd(t, clean)
	c.Press(t, build(t, settings(c.URL)), func() *mail.Mail { return letter(t, plain) }, 2, 5)
}

func TestOnlyWhoIsVouchedForIsAsked(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, clean)
	}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	cfg := settings(s.URL)
	if got, err := asked(t, cfg, letter(t, plain)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("nobody vouches for it: %q, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.CA = conf.Path(file)
	if _, err := asked(t, cfg, letter(t, plain)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{file + "x", "hook_test.go"} {
		cfg.CA = conf.Path(bad)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s vouches for somebody", bad)
		}
	}
}

func TestAProbeIsAboutNoMessage(t *testing.T) {
	url, got := listener(t)
	if c := build(t, settings(url)).Conditions(t.Context())[0]; c.Err != nil || !got.Probe || got.ID != "" || got.Envelope != nil {
		t.Errorf("%+v, %+v", c, got)
	}
	if c := build(t, settings(daemon.JSON(t, `{"version":1,"findings":[{"code":"vip"}]}`))).Conditions(t.Context())[0]; c.Err == nil || !c.Down {
		t.Errorf("it finds something in nothing: %+v", c)
	}
}

func TestTheSectionIsChecked(t *testing.T) {
	for text, ok := range map[string]bool{
		"url: \"https://h.example/x\"\ncodes: {data-loss: \"It holds numbers.\"}": true, "url: \"http://127.0.0.1:80\"": true, "url: \"unix:/run/h\"": true, "url: \"http://h.example\"": false, "url: \"https://u:p@h\"": false,
		"codes: {Data: \"x\"}": false, "codes: {a.b: \"x\"}": false, "codes: {a: \"\"}": false, "send: all": false,
	} {
		var c Config
		if p := conf.Decode("f", []byte(text), &c); (len(p) == 0) != ok {
			t.Errorf("%q: %v", text, p)
		}
	}
	if f, err := New(Config{}); f != nil || err != nil {
		t.Error("a filter without a service")
	}
	if list := OwnCodes(settings("")); len(list) != 2 || list[0].Name != "hook.data-loss" || list[0].Meaning != "It holds customer numbers." {
		t.Errorf("%+v", list)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(clean))
	f.Add([]byte(`{"version":1,"findings":[{"code":"vip","text":"x","evidence":["y"]}]}`))
	hook := &Filter{cfg: settings("")}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxReply {
			return
		}
		if cost := harness.Allocated(func() { hook.readAnswer(b) }); cost > uint64(400*len(b)+256<<10) {
			t.Errorf("%d octets cost %d", len(b), cost)
		}
		list, err := hook.readAnswer(b)
		if err == nil && len(list) == 0 && !strings.Contains(strings.ToLower(string(b)), "findings") && !strings.Contains(string(b), `\u`) && !strings.Contains(string(b), "\u017f") {
			t.Errorf("%q is clean", b)
		}
		for _, x := range list {
			if _, ok := hook.cfg.Codes[strings.TrimPrefix(x.Code, "hook.")]; !ok || len(x.Text) > maxText || len(x.Proof) == 0 || len(x.Proof) > maxEvidence {
				t.Errorf("%+v", x)
			}
		}
	})
}

// The example of the README is the answer that the program reads.
func TestTheExamplesOfTheREADMEAreRead(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(b), "```json\n")
	if len(examples) != 3 {
		t.Fatalf("%d examples", len(examples)-1)
	}
	request, _, _ := strings.Cut(examples[1], "```")
	var d told
	if err := peer.Decode([]byte(request), &d, true); err != nil || d.Version != version {
		t.Errorf("the document: %v", err)
	}
	reply, _, _ := strings.Cut(examples[2], "```")
	list, err := (&Filter{cfg: settings("")}).readAnswer([]byte(reply))
	if err != nil || len(list) != 1 {
		t.Errorf("the answer: %v, %v", fmt.Sprint(list), err)
	}
}
