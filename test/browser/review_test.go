package browser

import (
	"strings"
	"testing"
	"time"
)

// A reviewer finds the spoofed message, reads why it is held, releases it, sees the next hop's words, and the audit
// shows who did it: with the pages' script and without.
func TestReviewByHand(t *testing.T) {
	b := chromium(t)
	for name, look := range map[string]Look{
		"desk":              {Width: 1280, Height: 900, Language: "en"},
		"phone, no scripts": {Width: 360, Height: 740, Phone: true, Language: "en", NoScript: true},
	} {
		t.Run(name, func(t *testing.T) {
			h, url := site(t)
			tab, err := b.Open(look)
			must(t, err)
			sees := func(want string) {
				t.Helper()
				var text string
				must(t, tab.Eval("document.body.textContent", &text))
				if !strings.Contains(text, want) {
					t.Errorf("the page does not say %q", want)
				}
			}
			enter(t, tab, url, "ada")
			must(t, tab.Go(url+"/quarantine?q=locked"))
			must(t, tab.Submit("a.open"))
			sees("asks that mail like this be refused")
			sees("policy.yaml:31")
			must(t, tab.Submit(".actions .primary"))
			sees("noreply@cheap-hosting.example")
			must(t, tab.Submit(".buttons button"))
			sees("250 2.0.0 Ok: queued as 4F2A9C1B")
			if len(h.Released) != 2 {
				t.Errorf("released %q", h.Released)
			}
			must(t, tab.Go(url+"/audit"))
			sees("0m9xspoofk")
			must(t, tab.Go(url+"/quarantine/0m9xspoofk"))
			sees("Released")
		})
	}
}

// N-01, N-03: hostile HTML runs no script, opens no dialogue and sends no request beyond our own host, in the frame and
// around it.
func TestHostileHTMLDoesNothingInABrowser(t *testing.T) {
	b := chromium(t)
	_, url := site(t)
	tab, err := b.Open(Look{Width: 1280, Height: 900, Language: "en"})
	must(t, err)
	enter(t, tab, url, "ada")
	for _, path := range []string{"/quarantine/0m9xhostik", "/quarantine/0m9xhostik?view=html", "/quarantine/0m9xspoofk?view=html", "/quarantine/0m9xhostik/html",
		"/quarantine", "/trace", "/trace/0m9xhostik", "/"} {
		must(t, tab.Go(url+path))
		time.Sleep(200 * time.Millisecond) // for what a frame might still begin; the frame itself runs no timers
	}
	for {
		select {
		case e := <-b.Events:
			params := string(e.Params)
			if e.Method == "Page.javascriptDialogOpening" {
				t.Error("a dialogue opened: ", params)
			}
			if e.Method == "Network.requestWillBeSent" && (strings.Contains(params, `"url":"http://track`) || strings.Contains(params, `"url":"https://`)) {
				t.Error("a request left: ", params)
			}
		default:
			return
		}
	}
}
