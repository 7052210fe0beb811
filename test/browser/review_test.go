package browser

import (
	"strings"
	"testing"
	"time"

	"gatepost/gateway/journal"
	"gatepost/policy"
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
		"/quarantine", "/trace", "/trace/0m9xhostik", "/", "/webhooks", "/health", "/audit", "/known", "/waiting", "/tls", "/hold", "/lists", "/quarantine/0m9xhostik/release"} {
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

// The overview shows what is new by itself and keeps still while somebody reads in it; a page that nobody uses does not
// keep its person logged in, and nothing is read aloud for it.
func TestTheOverviewKeepsItselfFresh(t *testing.T) {
	b := chromium(t)
	h, url := site(t)
	tab, err := b.Open(Look{Width: 1280, Height: 900, Language: "en"})
	must(t, err)
	must(t, tab.Do("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": fastClock}, nil))
	enter(t, tab, url, "ada")
	must(t, tab.Go(url+"/"))
	figure := func() (text string) {
		must(t, tab.Eval(`document.querySelector(".tile.delivered .figure").textContent + " " + document.querySelector(".pill").className`, &text))
		return text
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 400 {
			if ok() {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
		t.Fatalf("%s did not come about: %s", what, figure())
	}
	was := figure()
	must(t, tab.Eval(`window.same = document.querySelector("main"); document.querySelector("#figures").open = true`, nil))
	for range 3 {
		h.Meter.Observe(&journal.Record{Kind: journal.Message, Time: time.Now(), Reply: policy.Reply{Code: 250}})
	}
	h.Mend()
	until("a new figure", func() bool { return figure() != was })
	if !strings.HasSuffix(figure(), "well") {
		t.Errorf("health is not fresh: %s", figure())
	}
	var kept bool
	must(t, tab.Eval(`document.querySelector("#figures").open && window.same === document.querySelector("main") && !document.querySelector(".strip") && !document.querySelector("[aria-live], [role=status], [role=alert]")`, &kept))
	if !kept {
		t.Error("the page was loaded again, what was open is shut, or something is read aloud")
	}
	must(t, tab.Eval(`document.querySelector("#figures summary").focus()`, nil))
	was = figure()
	h.Meter.Observe(&journal.Record{Kind: journal.Message, Time: time.Now(), Reply: policy.Reply{Code: 250}})
	time.Sleep(300 * time.Millisecond) // many times as long as it takes to ask
	if figure() != was {
		t.Error("the page changes under a reader's hands")
	}
	must(t, tab.Eval(`document.activeElement.blur()`, nil))
	until("what had to wait", func() bool { return figure() != was })
}

// What the overview shows is said to be old once the gateway does not answer or the person is logged out, and is fresh again
// after that without a word.
func TestAnOverviewThatIsNotFreshSaysSo(t *testing.T) {
	b := chromium(t)
	h, url := site(t)
	tab, err := b.Open(Look{Width: 360, Height: 740, Phone: true, Language: "zh-CN"})
	must(t, err)
	must(t, tab.Do("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": fastClock}, nil))
	enter(t, tab, url, "ada")
	must(t, tab.Go(url+"/"))
	note := func() (text string) {
		must(t, tab.Eval(`document.querySelector(".stale") ? document.querySelector(".stale").textContent : ""`, &text))
		return text
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 400 {
			if ok() {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
		t.Fatalf("%s did not come about: %q", what, note())
	}
	offline := func(is bool) {
		must(t, tab.Do("Network.emulateNetworkConditions", map[string]any{"offline": is, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}, nil))
	}
	offline(true)
	until("a word that it is old", func() bool { return strings.Contains(note(), "网关没有响应") && !strings.Contains(note(), "{") })
	offline(false)
	until("a fresh page", func() bool { return note() == "" })
	must(t, h.Accounts.SetPassword(t.Context(), "ada", password+"2", false)) // ends the session
	until("a word that the person is logged out", func() bool { return strings.Contains(note(), "您已退出登录") })
	must(t, tab.Submit(".stale a"))
	var at string
	must(t, tab.Eval(`location.pathname`, &at))
	if at != "/login" {
		t.Errorf("the way to log in leads to %s", at)
	}
}

// N-11: the end of an address, which tells whose it is, is seen in the list on every screen, however long the address and the
// name before it are.
func TestTheEndOfAnAddressIsSeenInTheList(t *testing.T) {
	b := chromium(t)
	h, url := site(t)
	l := long
	l.id, l.age, l.author = "0m9xendsck", time.Minute, "security@yourbank.example.login-session-0123456789-0123456789-0123456789-0123456789.evil-host.example"
	h.put(l)
	h.newest()
	for _, width := range []int{320, 360, 768, 1440} {
		tab, err := b.Open(Look{Width: width, Height: 800, Phone: width < 700, Language: "en"})
		must(t, err)
		enter(t, tab, url, "ada")
		must(t, tab.Go(url+"/quarantine"))
		var got struct {
			Text   string
			Hidden float64
		}
		must(t, tab.Eval(`(() => { const a = document.querySelector("[href$=\"0m9xendsck\"] .addr"), r = document.createRange(), row = a.closest(".open").getBoundingClientRect();
			r.setStart(a.firstChild, a.firstChild.length - 1); r.setEnd(a.firstChild, a.firstChild.length);
			return {Text: a.textContent, Hidden: Math.max(r.getBoundingClientRect().right - row.right, r.getBoundingClientRect().right - a.getBoundingClientRect().right, r.getBoundingClientRect().bottom - row.bottom)} })()`, &got))
		if !strings.HasSuffix(got.Text, ".evil-host.example") || got.Hidden > 1 {
			t.Errorf("at %d px: %+v", width, got)
		}
	}
}

// A form that is pressed twice is sent once: the second answer would be that nothing is left to do, and the first, what the
// mail server said, would never be seen.
func TestAFormIsSentOnce(t *testing.T) {
	b := chromium(t)
	h, url := site(t)
	tab, err := b.Open(Look{Width: 1280, Height: 900, Language: "en"})
	must(t, err)
	enter(t, tab, url, "ada")
	must(t, tab.Go(url+"/quarantine/0m9xspoofk/release"))
	h.Pause = 500 * time.Millisecond
	must(t, tab.Eval(`{ const b = document.querySelector(".buttons button"); setTimeout(() => b.click(), 150); b.click(); }`, nil))
	var text string
	for range 200 {
		if tab.Eval(`document.querySelector("h1").textContent + document.body.textContent`, &text) == nil && !strings.Contains(text, "Look once more") {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	if len(h.Released) != 2 || !strings.HasPrefix(text, "Released") || !strings.Contains(text, "queued as 4F2A9C1B") {
		t.Errorf("released %q\n%s", h.Released, text)
	}
}

// What somebody wrote into a draft of the policy is not lost with the session, with scripts or without.
func TestADraftOutlivesTheSession(t *testing.T) {
	b := chromium(t)
	h, url := site(t)
	tab, err := b.Open(Look{Width: 360, Height: 740, Phone: true, Language: "en", NoScript: true})
	must(t, err)
	enter(t, tab, url, "ada")
	must(t, tab.Go(url+"/policy/draft"))
	must(t, tab.Eval(`document.getElementById("text").value = "# an hour of work </textarea>\n"`, nil))
	must(t, h.Accounts.SetPassword(t.Context(), "ada", password, false)) // ends the session
	must(t, tab.Submit(".buttons button"))
	var got struct {
		Text, Login string
		Wide        bool
	}
	must(t, tab.Eval(`({Text: document.querySelector("textarea").value, Login: document.querySelector(".buttons .primary").getAttribute("href"), Wide: document.documentElement.scrollWidth > innerWidth})`, &got))
	if got.Text != "# an hour of work </textarea>\n" || got.Login != "/login?next=%2Fpolicy%2Fdraft" || got.Wide {
		t.Errorf("%+v", got)
	}
}

// What was said of a draft is taken back when a later text cannot be checked.
func TestAnUncheckedDraftIsNotCalledGood(t *testing.T) {
	b := chromium(t)
	h, url := site(t)
	tab, err := b.Open(Look{Width: 1280, Height: 900, Language: "en"})
	must(t, err)
	enter(t, tab, url, "ada")
	must(t, tab.Go(url+"/policy/draft"))
	verdict := func(want string) {
		t.Helper()
		var text string
		for range 200 {
			must(t, tab.Eval(`document.querySelector("[data-verdict]").textContent`, &text))
			if strings.Contains(text, want) {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
		t.Fatalf("the verdict is %q, want %q", text, want)
	}
	write := `{ const e = document.getElementById("text"); e.value += "# more\n"; e.dispatchEvent(new Event("input")); }`
	must(t, tab.Eval(write, nil))
	verdict("No problems.")
	must(t, h.Accounts.SetPassword(t.Context(), "ada", password, false)) // ends the session
	must(t, tab.Eval(write, nil))
	verdict("could not be checked just now")
}

// A filter that the keyboard passes over options in waits for Enter; one that was chosen with a finger is looked up at once.
func TestTheKeyboardMayPassOverOptions(t *testing.T) {
	b := chromium(t)
	_, url := site(t)
	tab, err := b.Open(Look{Width: 1280, Height: 900, Language: "en"})
	must(t, err)
	enter(t, tab, url, "ada")
	must(t, tab.Go(url+"/quarantine"))
	at := func() (search string) {
		must(t, tab.Eval(`location.search`, &search))
		return search
	}
	must(t, tab.Eval(`document.getElementById("class").focus()`, nil))
	for range 2 {
		for _, k := range []string{"keyDown", "keyUp"} {
			must(t, tab.Do("Input.dispatchKeyEvent", map[string]any{"type": k, "key": "ArrowDown", "code": "ArrowDown", "windowsVirtualKeyCode": 40}, nil))
		}
		must(t, tab.Eval(`document.getElementById("class").dispatchEvent(new Event("change", {bubbles: true}))`, nil)) // as where the options are not in a window of their own
	}
	time.Sleep(300 * time.Millisecond) // for a page that should not come
	if at() != "" {
		t.Errorf("the keyboard led to %s", at())
	}
	must(t, tab.Eval(`{ const e = document.getElementById("class"); e.value = "spam"; e.dispatchEvent(new PointerEvent("pointerdown", {bubbles: true})); e.dispatchEvent(new Event("change", {bubbles: true})); }`, nil))
	for range 200 {
		if time.Sleep(25 * time.Millisecond); strings.Contains(at(), "class=spam") {
			return
		}
	}
	t.Errorf("a choice is not looked up: %s", at())
}

// fastClock makes the page's seconds a hundredth as long.
const fastClock = `{ const later = window.setTimeout; window.setTimeout = (f, ms, ...more) => later(f, ms / 100, ...more); }`
