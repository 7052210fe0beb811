package browser

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/filters/catalog"
	"gatepost/gateway/admin"
)

const password = "correct-horse-battery"

// site serves the pages over a house and returns its address.
func site(t *testing.T) (*House, string) {
	t.Helper()
	h := NewHouse(time.Now().UTC())
	accounts := admin.NewAccounts(&admin.MemoryShelf{})
	for _, spec := range []admin.AccountSpec{
		{Name: "ada", Roles: []admin.Role{admin.Admin}, Password: password},
		{Name: "bo", Roles: []admin.Role{admin.Reviewer}, Password: password},
		{Name: "alice", Roles: []admin.Role{admin.User}, Addresses: []string{"alice@example.com"}, Password: password},
	} {
		if _, err := accounts.Create(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	h.Accounts = accounts
	h.Meter = admin.NewMeter()
	h.Day(h.Meter)
	r := h.Rooms
	handler, err := admin.New(admin.Defaults(), admin.Deps{Quarantine: h, Own: h.Own, Releaser: h, Deleter: h, Journal: h, Accounts: accounts,
		Rescanner: r, Policies: r, Changer: r, Entries: r, Testwright: r, Teacher: r, Waiters: r, Holds: r, TLS: r, Known: r, Hooks: r, Codes: catalog.Codes(),
		Meter: h.Meter, Bodies: h, Health: h.Health})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.Config = admin.Server(handler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Listener = admin.Limit(l, 200, 20)
	srv.Start()
	t.Cleanup(srv.Close)
	return h, srv.URL
}

// chromium starts the browser, or skips the test by name where there is none.
func chromium(t *testing.T) *Browser {
	t.Helper()
	if _, err := os.Stat(Program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no %s: CI needs it (Debian package chromium)", Program)
		}
		t.Skipf("no %s: install the Debian package chromium to run %s", Program, t.Name())
	}
	b, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// enter logs in through the form.
func enter(t *testing.T, tab *Tab, url, name string) {
	t.Helper()
	must(t, tab.Go(url+"/login"))
	must(t, tab.Eval(fmt.Sprintf(`document.getElementById("name").value=%q; document.getElementById("password").value=%q`, name, password), nil))
	must(t, tab.Submit(".login button"))
}

// tooSmall lists what a finger is to hit and is lower than 44 px, but for links within text, which WCAG 2.5.8 excepts.
const tooSmall = `[...document.querySelectorAll("button, .button, a.quiet, select, summary, input:not([type=hidden]), .nav a, .subnav a, .tabs a, .crumb a, .brand")].map(e => [e, e.matches("[type=checkbox], [type=radio]") ? e.closest("label") : e]).filter(([e, box]) => box && e.offsetParent !== null && box.getBoundingClientRect().height < 43.5).map(([e, box]) => e.outerHTML.slice(0, 120) + " " + box.getBoundingClientRect().height)`

// claim has another reviewer take a message, and look at two.
func claim(t *testing.T, b *Browser, url string) {
	t.Helper()
	tab, err := b.Open(Look{Width: 1280, Height: 900, Language: "en"})
	must(t, err)
	enter(t, tab, url, "bo")
	must(t, tab.Go(url+"/quarantine/0m9xspoofk"))
	must(t, tab.Go(url+"/quarantine/0m9xmacrok"))
	must(t, tab.Submit(".more form button"))
}

// TestEveryPageLooksRight takes pictures of every page at phone and desk size, light and dark, in both languages, into
// the directory that GATEPOST_SCREENSHOTS names, and fails where a page is wider than the screen.
func TestEveryPageLooksRight(t *testing.T) {
	b := chromium(t)
	_, url := site(t)
	dir := os.Getenv("GATEPOST_SCREENSHOTS")
	for i, l := range []struct {
		name string
		look Look
	}{
		{"desk-light-en", Look{Width: 1280, Height: 900, Language: "en"}},
		{"desk-dark-zh", Look{Width: 1280, Height: 900, Dark: true, Language: "zh-CN"}},
		{"phone-light-zh", Look{Width: 360, Height: 740, Phone: true, Language: "zh-CN"}},
		{"phone-dark-en", Look{Width: 360, Height: 740, Phone: true, Dark: true, Language: "en"}},
		{"narrow-light-en", Look{Width: 320, Height: 640, Phone: true, Language: "en", NoScript: true}},
		{"zoom-light-en", Look{Width: 640, Height: 450, Language: "en"}}, // a desk at 200 %
	} {
		t.Run(l.name, func(t *testing.T) {
			tab, err := b.Open(l.look)
			must(t, err)
			shoot := func(page string) {
				var wide int
				must(t, tab.Eval(fmt.Sprintf("document.documentElement.scrollWidth - %d", l.look.Width), &wide))
				if wide > 0 {
					t.Errorf("%s is %d px wider than the screen", page, wide)
				}
				if l.look.Phone {
					var small []string
					must(t, tab.Eval(tooSmall, &small))
					for _, s := range small {
						t.Errorf("%s: too small for a finger: %s", page, s)
					}
				}
				if dir == "" {
					return
				}
				png, err := tab.Picture(!l.look.Phone)
				must(t, err)
				must(t, os.WriteFile(filepath.Join(dir, page+"-"+l.name+".png"), png, 0o644))
			}
			must(t, tab.Go(url+"/login"))
			shoot("login")
			claim(t, b, url)
			enter(t, tab, url, "ada")
			for _, p := range pages() {
				must(t, tab.Go(url+p[1]))
				shoot(p[0])
			}
			must(t, tab.Go(fmt.Sprintf("%s/quarantine/0m9x%04dk/release", url, i)))
			must(t, tab.Submit(".buttons button"))
			shoot("done")
		})
	}
}

// The head of the pages is one line and fits on every width between a phone's and a wide desk's, in both languages, also for
// somebody whose name is long.
func TestTheHeadFitsEveryWidth(t *testing.T) {
	b := chromium(t)
	h, url := site(t)
	const name = "someone.with.a.rather.long.name@department.example.com"
	_, err := h.Accounts.Create(t.Context(), admin.AccountSpec{Name: name, Roles: []admin.Role{admin.Admin}, Password: password})
	must(t, err)
	for _, lang := range []string{"en", "zh-CN"} {
		tab, err := b.Open(Look{Width: 1280, Height: 900, Language: lang})
		must(t, err)
		enter(t, tab, url, name)
		for _, page := range []string{"/tls", "/lists"} {
			must(t, tab.Go(url+page))
			for _, width := range []int{320, 360, 600, 704, 706, 768, 832, 834, 900, 960, 1024, 1056, 1150, 1154, 1280, 1920} {
				must(t, tab.Do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil))
				var got struct{ Head, Label, Over float64 }
				must(t, tab.Eval(`({Head: document.querySelector(".top").getBoundingClientRect().height, Over: document.documentElement.scrollWidth - innerWidth,
					Label: Math.max(...[...document.querySelectorAll(".nav a span, .lang button, .pill, .who")].map(e => e.getBoundingClientRect().height))})`, &got))
				if got.Head > 64 || got.Label > 46 || got.Over > 0 {
					t.Errorf("%s in %s at %d px: the head is %v px high, a label %v, and the page %v px too wide", page, lang, width, got.Head, got.Label, got.Over)
				}
			}
		}
	}
}

// On paper a message is dark on white whatever the screen is, without what only a screen can do.
func TestPaperIsWhite(t *testing.T) {
	b := chromium(t)
	_, url := site(t)
	tab, err := b.Open(Look{Width: 1280, Height: 900, Dark: true, Language: "en"})
	must(t, err)
	enter(t, tab, url, "ada")
	must(t, tab.Go(url+"/quarantine/0m9xspoofk"))
	must(t, tab.Do("Emulation.setEmulatedMedia", map[string]any{"media": "print", "features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}}, nil))
	var got struct {
		Ink, Scheme string
		Buttons     int
	}
	must(t, tab.Eval(`({Ink: getComputedStyle(document.querySelector("h1")).color, Scheme: getComputedStyle(document.documentElement).colorScheme,
		Buttons: [...document.querySelectorAll("button, .button, .nav, form")].filter(e => e.checkVisibility() && e.getBoundingClientRect().height > 0).length})`, &got))
	if got.Ink != "rgb(29, 35, 32)" || got.Scheme != "light" || got.Buttons != 0 {
		t.Errorf("%+v", got)
	}
}

// A message of a hundred attachments, four hundred recipients and words without end fits on every screen, and what is to be
// pressed stays near its top.
func TestAMessageOfExtremesFits(t *testing.T) {
	b := chromium(t)
	h, url := site(t)
	l := extreme()
	h.put(l)
	dir := os.Getenv("GATEPOST_SCREENSHOTS")
	for name, look := range map[string]Look{
		"phone":  {Width: 360, Height: 740, Phone: true, Language: "zh-CN"},
		"tablet": {Width: 768, Height: 1024, Dark: true, Language: "en"},
		"desk":   {Width: 1440, Height: 900, Language: "en"},
	} {
		tab, err := b.Open(look)
		must(t, err)
		enter(t, tab, url, "ada")
		for _, page := range []string{"", "/release", "/delete", "/sender?verb=allow", "/sender?verb=deny", "/test"} {
			must(t, tab.Go(url+"/quarantine/"+l.id+page))
			var got struct {
				Over, High int
				Wide       []string
			}
			must(t, tab.Eval(`({Over: document.documentElement.scrollWidth - innerWidth, High: document.documentElement.scrollHeight,
				Wide: [...document.querySelectorAll("main *")].filter(e => !e.closest(".scroll, pre, svg, .sr") && e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 150))})`, &got))
			if got.Over > 0 || len(got.Wide) > 0 {
				t.Errorf("%s on a %s is %d px too wide: %q", page, name, got.Over, got.Wide)
			}
			if most := map[string]int{"": 70000, "/release": 4000, "/delete": 4000}[page]; most > 0 && got.High > most {
				t.Errorf("%s on a %s is %d px high", page, name, got.High)
			}
			var small []string
			if look.Phone {
				must(t, tab.Eval(tooSmall, &small))
			}
			var top float64
			must(t, tab.Eval(`document.querySelector(".primary, .danger, main").getBoundingClientRect().top`, &top))
			if len(small) > 0 || page == "" && top > float64(look.Height) {
				t.Errorf("%s on a %s: too small for a finger: %q; the first thing to press is at %v px", page, name, small, top)
			}
			if dir != "" {
				png, err := tab.Picture(false)
				must(t, err)
				must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("extreme-%s-%s.png", name, strings.NewReplacer("/", "", "?", "-", "=", "-").Replace(page))), png, 0o644))
			}
		}
	}
}
