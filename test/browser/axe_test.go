package browser

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// axeFile is where npm ci puts axe-core; test/setup.sh runs it.
const axeFile = "node_modules/axe-core/axe.min.js"

// axe reads axe-core, or skips the test by name where it is not installed.
func axe(t *testing.T) string {
	t.Helper()
	src, err := os.ReadFile(axeFile)
	if err == nil {
		return string(src)
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("no %s: CI needs it (npm ci in test/browser)", axeFile)
	}
	t.Skipf("no %s: run npm ci in test/browser to run %s", axeFile, t.Name())
	return ""
}

// pages are all pages that can be looked at, by name and path.
func pages() [][2]string {
	return [][2]string{{"overview", "/"}, {"quarantine", "/quarantine"}, {"message", "/quarantine/0m9xspoofk"}, {"html", "/quarantine/0m9xspoofk?view=html"},
		{"hostile", "/quarantine/0m9xhostik"}, {"long", "/quarantine/0m9xlongxk"}, {"arabic", "/quarantine/0m9xarabik"}, {"macro", "/quarantine/0m9xmacrok"},
		{"release", "/quarantine/0m9xspoofk/release"}, {"malware", "/quarantine/0m9xeicark/release"}, {"delete", "/quarantine/0m9xmacrok/delete"},
		{"sender", "/quarantine/0m9xspoofk/sender?verb=allow"}, {"deny", "/quarantine/0m9xspoofk/sender?verb=deny"}, {"test", "/quarantine/0m9xspoofk/test"},
		{"trace", "/trace"}, {"record", "/trace/0m9xspoofk"}, {"waiting", "/waiting"}, {"hold", "/hold"}, {"tls", "/tls"}, {"webhooks", "/webhooks"}, {"dates", "/quarantine?since=2026-01-01"},
		{"policy", "/policy"}, {"draft", "/policy/draft"}, {"kept", "/policy/kept/k1"}, {"lists", "/lists"}, {"known", "/known"},
		{"people", "/people"}, {"person", "/people/alice"}, {"account", "/account"}, {"audit", "/audit"},
		{"health", "/health"}, {"missing", "/nothing"}, {"empty", "/quarantine?q=nosuchthing"}}
}

// No page has a barrier that axe-core finds by the rules of WCAG 2.2 A and AA, at phone and desk size, light and dark.
func TestNoPageHasABarrier(t *testing.T) {
	src := axe(t)
	b := chromium(t)
	h, url := site(t)
	h.put(extreme())
	for i, l := range []struct {
		name string
		look Look
	}{
		{"desk, light, English", Look{Width: 1280, Height: 900, Language: "en"}},
		{"phone, dark, Chinese", Look{Width: 360, Height: 740, Phone: true, Dark: true, Language: "zh-CN"}},
	} {
		t.Run(l.name, func(t *testing.T) {
			tab, err := b.Open(l.look)
			must(t, err)
			look := func(page string) {
				t.Helper()
				must(t, tab.Eval("scrollTo(0, 0);"+src+";0", nil)) // what the head covers now is not covered for good
				var found []struct {
					ID, Help string
					Nodes    []struct {
						HTML           string
						FailureSummary string
					}
				}
				must(t, tab.Eval(`axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}).then(r => r.violations.map(v => ({ID: v.id, Help: v.help, Nodes: v.nodes.slice(0, 3).map(n => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`, &found))
				for _, f := range found {
					for _, n := range f.Nodes {
						t.Errorf("%s: %s (%s)\n%.300s\n%s", page, f.Help, f.ID, n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", " "))
					}
				}
			}
			must(t, tab.Go(url+"/login"))
			look("login")
			claim(t, b, url)
			enter(t, tab, url, "ada")
			for _, p := range pages() {
				must(t, tab.Go(url+p[1]))
				look(p[0])
			}
			must(t, tab.Go(fmt.Sprintf("%s/quarantine/0m9x%04dk/release", url, i)))
			must(t, tab.Submit(".buttons button"))
			look("after a release")
			must(t, tab.Go(url+"/policy/draft"))
			must(t, tab.Eval(fmt.Sprintf(`document.getElementById("text").value = %q`, "version: 1\nruls: []\n"), nil))
			must(t, tab.Submit(".buttons button"))
			look("a draft with problems")
			for _, p := range [][2]string{{"/people/alice", ".danger"}, {"/lists", ".entry-card form button"}, {"/known", ".entries form button"}, {"/hold", ".entries .quiet"}} {
				must(t, tab.Go(url+p[0]))
				must(t, tab.Submit(p[1]))
				look("what is asked before a removal at " + p[0])
			}
			for _, p := range []string{"", "/release", "/sender?verb=deny"} {
				must(t, tab.Go(url+"/quarantine/"+extreme().id+p))
				look("a message of extremes" + p)
			}
		})
	}
}
