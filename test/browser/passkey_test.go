package browser

import (
	"strings"
	"testing"
	"time"
)

// A person adds a passkey on the account page and logs in with it alone, in a browser with a device that checks who holds it.
func TestAPasskeyIsAddedAndOpensTheDoor(t *testing.T) { // O-09
	b := chromium(t)
	_, url := site(t)
	url = strings.Replace(url, "127.0.0.1", "localhost", 1) // passkeys are bound to names
	tab, err := b.Open(Look{Width: 1280, Height: 900, Language: "en"})
	must(t, err)
	must(t, tab.Do("WebAuthn.enable", map[string]any{}, nil))
	must(t, tab.Do("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{"protocol": "ctap2", "transport": "internal",
		"hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true}}, nil))
	until := func(what, js string) {
		t.Helper()
		for range 200 {
			var ok bool
			if tab.Eval(js, &ok) == nil && ok {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
		var text string
		tab.Eval("document.body.innerText", &text)
		t.Fatalf("%s did not come about\n%s", what, text)
	}
	enter(t, tab, url, "ada")
	must(t, tab.Go(url+"/account"))
	must(t, tab.Eval(`document.getElementById("keyname").value = "the desk"; document.querySelector("[data-passkey] button").click()`, nil))
	until("the key", `document.querySelector(".tokens") !== null && document.querySelector(".tokens").textContent.includes("the desk")`)
	must(t, tab.Submit(".logout"))
	must(t, tab.Go(url+"/login?next=/audit"))
	must(t, tab.Eval(`document.querySelector("[data-enter] button").click()`, nil))
	until("the login", `location.pathname === "/audit" && document.body !== null && document.body.textContent.includes("login with passkey")`)
	must(t, tab.Go(url+"/account"))
	must(t, tab.Eval(`document.querySelector(".tokens form button").click()`, nil))
	until("the removal", `document.readyState === "complete" && document.querySelector(".tokens form[action*=passkeys]") === null`)
}
