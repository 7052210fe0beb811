package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/rules/conf"

	"gatepost/test/harness"
)

func TestAddressesAreChecked(t *testing.T) {
	for text, ok := range map[string]bool{"unix:/run/c": true, "/run/c": true, "127.0.0.1:3310": true, "tcp:[::1]:3310": true, "clamd": false, "unix:c": false, ":3310": false, "": false} {
		if _, _, err := Place(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"http://h:1/x/": "http://h:1/x", "https://h": "https://h", "unix:/run/r": "http://localhost", "http://127.0.0.1:1": "http://127.0.0.1:1", "ftp://h": "", "h:1": "",
		"http://": "", "http://:1": "", "http://u:p@h": "", "http://h/#f": "", "https://h/?key=x": "", "http://h/ x": "", "unix:r": "", "": "",
	} {
		s, err := ParseURL(text)
		if (err == nil) != (want != "") || s.URL != want {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
	for text, local := range map[string]bool{"http://127.0.0.9:1": true, "http://[::1]:1": true, "http://localhost": true, "unix:/r": true, "http://10.0.0.1": false, "https://h": false} {
		if s, _ := ParseURL(text); s.Local != local {
			t.Errorf("%q: local %v", text, s.Local)
		}
	}
}

func TestADocumentWritesOneAddressOrAList(t *testing.T) {
	var c struct {
		A Addresses `yaml:"a"`
		U URLs      `yaml:"u"`
	}
	if p := conf.Decode("f", []byte("a: h:1\nu: [\"http://h\", \"unix:/r\"]\n"), &c); len(p) > 0 || len(c.A) != 1 || len(c.U) != 2 {
		t.Errorf("%v, %+v", p, c)
	}
	if p := conf.Decode("f", []byte("a: [h, {x: y}]\nu: ftp://h\n"), &c); len(p) != 3 {
		t.Errorf("%v", p)
	}
}

func TestNobodyWaitsForAPeerThatFailedSeveralTimes(t *testing.T) {
	p := New("x", "unix", filepath.Join(t.TempDir(), "none"), 1)
	for range RestAfter {
		leave, err := p.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = p.Dial(t.Context())
		p.Note(t.Context(), err)
		leave()
	}
	if _, err := p.Enter(t.Context()); !errors.Is(err, ErrResting) {
		t.Errorf("%v", err)
	}
	p.Awake()
	if _, err := p.Enter(t.Context()); err != nil {
		t.Errorf("%v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range RestAfter {
		p.Note(gone, errors.New("the message was given up"))
	}
	ctx, cancel := Within(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := p.Enter(ctx); err == nil || !strings.Contains(err.Error(), "timeout after 1ms") {
		t.Errorf("the one place is taken: %v", err)
	}
}

func TestTheSecondPeerIsAskedWhereTheFirstCouldNotLook(t *testing.T) {
	peers := []*Peer{New("a", "unix", "/none", 1), New("b", "unix", "/none", 1)}
	found := filters.Facts{Findings: []filters.Finding{{Code: "x"}}}
	for name, c := range map[string]struct {
		first, second error
		facts         filters.Facts
		asked         int
		ok            bool
	}{
		"the first answers":           {nil, nil, filters.Facts{}, 1, true},
		"the second answers":          {errors.New("down"), nil, filters.Facts{}, 2, true},
		"nobody answers":              {errors.New("down"), errors.New("down"), filters.Facts{}, 2, false},
		"found and then not answered": {errors.New("down"), nil, found, 1, false},
	} {
		asked := 0
		facts, err := First(t.Context(), peers, time.Minute, func(ctx context.Context, i int) (filters.Facts, error) {
			asked++
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > 30*time.Second {
				t.Errorf("%s: a peer may take %v", name, time.Until(end))
			}
			return c.facts, []error{c.first, c.second}[i]
		})
		if asked != c.asked || (err == nil) != c.ok || len(facts.Findings) != len(c.facts.Findings) {
			t.Errorf("%s: asked %d, %v, %v", name, asked, facts, err)
		}
	}
}

// answers is a site that answers everything so.
func answers(t *testing.T, answer http.HandlerFunc) (Site, *http.Client) {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	site, err := ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return site, Client(site, 1, nil)
}

func TestAnAnswerIsReadWithinBounds(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		kind   string
		body   string
		ok     bool
	}{
		"proper": {200, "application/json; charset=utf-8", "{}", true}, "at the bound": {200, "application/json", strings.Repeat(" ", 100), true}, "longer": {200, "application/json", strings.Repeat(" ", 101), false},
		"a page": {200, "text/html", "{}", false}, "no type": {200, "", "{}", false}, "an error": {500, "application/json", "{}", false}, "elsewhere": {302, "application/json", "{}", false}, "nothing": {204, "application/json", "", false},
	} {
		site, client := answers(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{c.kind}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
			if r.URL.Path == "/elsewhere" {
				t.Errorf("%s: it was followed", name)
			}
		})
		r, _ := http.NewRequestWithContext(t.Context(), "POST", site.URL, nil)
		if b, err := Reply(client, r, 100); (err == nil) != c.ok || c.ok && string(b) != c.body {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	site, client := answers(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeader)) })
	r, _ := http.NewRequestWithContext(t.Context(), "GET", site.URL, nil)
	if _, err := Reply(client, r, 100); err == nil {
		t.Error("a header without bound")
	}
}

// O-13
func TestAddressesOfTheWireAloneAreNotAsked(t *testing.T) {
	for _, s := range []string{"http://169.254.169.254/latest/meta-data", "http://[fe80::1]:80", "http://[::ffff:169.254.169.254]", "http://224.0.0.1"} {
		site, err := ParseURL(s)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", site.URL, nil)
		if _, err := Reply(Client(site, 1, nil), r, 100); err == nil || !strings.Contains(err.Error(), "is not an address that is asked") {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestASocketIsASite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `"`+r.URL.Path+`"`)
	})}
	all.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); all.Wait() })
	site, _ := ParseURL("unix:" + path)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", site.URL+"/ping", nil)
	if b, err := Reply(Client(site, 1, nil), r, 100); err != nil || string(b) != `"/ping"` {
		t.Errorf("%q, %v", b, err)
	}
}

func TestADocumentThatTwoReadersTakeForTwoThingsIsRefused(t *testing.T) {
	type doc struct {
		Action string `json:"action"`
		List   []struct {
			A int `json:"a"`
		} `json:"list"`
	}
	for text, ok := range map[string]bool{
		`{"action":"x","list":[{"a":1},{"a":2}]}`: true, `{"action":"x","action":"y"}`: false, `{"action":"x","Action":"y"}`: false, `{"list":[{"a":1,"a":2}]}`: false, `{"action":"x"}{}`: false,
		`{"action":"x"} x`: false, ``: false, `{"action"`: false, `{"action":"x","other":1}`: false, `[1]`: false, "{\"li\u017ft\":[],\"list\":[]}": false, ` {"action":"action"} `: true,
		strings.Repeat("[", 1000): false, `{"list":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`: false,
	} {
		var d doc
		if err := Decode([]byte(text), &d, true); (err == nil) != ok {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	var d doc
	if err := Decode([]byte(`{"action":"x","other":1}`), &d, false); err != nil {
		t.Error(err)
	}
}

func TestWhatAProgramWroteIsShownAsPlainText(t *testing.T) {
	for text, want := range map[string]string{"plain": "plain", "<b>\r\n\x1b[31m\u202e": "<b>???[31m?", "\xff": "?", strings.Repeat("ab", 100): strings.Repeat("ab", 40), strings.Repeat("\u00e9", 1000): strings.Repeat("?", 80), "": ""} {
		if got := ASCII(text, 80); got != want {
			t.Errorf("%.20q: %q", text, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c"}],"d":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		var v any
		if cost := harness.Allocated(func() { Decode(b, &v, false) }); cost > uint64(400*len(b)+256<<10) {
			t.Errorf("%d octets cost %d", len(b), cost)
		}
	})
}
