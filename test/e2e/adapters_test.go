package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/test/harness"
	"gatepost/test/harness/daemon"
)

// engine is a web service that answers as Rspamd does where it is asked as one, and as a hook elsewhere.
func engine(t *testing.T) (url string, told func() string) {
	t.Helper()
	heard := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/ping":
			io.WriteString(w, "pong")
		case r.URL.Path == "/checkv2":
			io.WriteString(w, `{"is_skipped":false,"score":20,"required_score":15,"action":"reject","symbols":{"OWN":{"score":20}}}`)
		case strings.Contains(string(b), `"probe":true`):
			io.WriteString(w, `{"version":1,"findings":[]}`)
		default:
			heard <- string(b)
			io.WriteString(w, `{"version":1,"findings":[{"code":"customer","evidence":["number 7"]}]}`)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() string { return <-heard }
}

// What engines of the site say is in the result, weighed by policy; what they would do is not done.
func TestEnginesOfTheSiteStateFactsAndDoNothing(t *testing.T) {
	url, told := engine(t)
	w := harness.Start(t, harness.Setup{
		Zone:   friend,
		Config: "filters: {rspamd: {address: '" + url + "'}, hook: {url: '" + url + "/hook', codes: {customer: 'It names a customer.'}}}",
		Policy: "version: 1\nweights: {rspamd.reject: 1}\nrules: [{name: customers, when: 'has(\"hook.customer\")', then: {add_header: {X-Customer: 'yes'}}}]\n",
	})
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("refused by what Rspamd would do: %q", reply)
	}
	got := string(w.Sink.Messages()[0].Data)
	if !strings.Contains(got, "\r\nX-Customer: yes\r\n") {
		t.Errorf("the rule on the hook's finding did not add its field:\n%s", got)
	}
	if heard := told(); !strings.Contains(heard, `"auth":{`) || !strings.Contains(heard, `"mail_from":"ann@friend.example"`) || !strings.Contains(heard, `"header":[`) {
		t.Errorf("the hook was told %s", heard)
	}
	out, code := w.Command("doctor", "--json")
	if !strings.Contains(out, `"rspamd `+url+`"`) || !strings.Contains(out, `"hook `+url+`/hook"`) {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestAnEngineThatCouldNotLookIsNeverClean(t *testing.T) {
	none := "unix:" + filepath.Join(daemon.Dir(t), "none")
	for name, c := range map[string]struct{ config, want string }{
		"milter": {"milter: {milters: {x: '" + none + "'}}", "451 4.7.1 "},
		"hook":   {"hook: {url: '" + none + "'}", "451 4.3.0 "},
		"rspamd": {"rspamd: {address: '" + none + "'}", "250 "},
		"spamd":  {"spamd: {address: '" + none + "'}", "250 "},
	} {
		w := harness.Start(t, harness.Setup{Zone: friend, Config: "filters: {" + c.config + "}", Policy: "version: 1\n"})
		if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, c.want) {
			t.Errorf("%s: %q", name, reply)
		}
		if c.want == "250 " {
			if got := string(w.Sink.Messages()[0].Data); !strings.Contains(got, "\r\nX-Gatepost-Not-Run: "+name+"\r\n") {
				t.Errorf("%s: the message does not say so:\n%s", name, got)
			}
		}
		found, _ := doctor(t, w)
		seen := false
		for _, x := range found.Checks {
			seen = seen || strings.HasPrefix(x.Name, name+" ") && x.State == "critical" && x.Hint != ""
		}
		if !seen {
			t.Errorf("%s: doctor does not say so: %+v", name, found.Checks)
		}
		harness.Eventually(t, name+" is in health", func() bool {
			_, body := w.Get("/readyz")
			return strings.Contains(body, name+" ")
		})
	}
}
