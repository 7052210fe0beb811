package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/webhook"
)

// second adds another reviewer than rev.
func (b *bench) second() *person {
	b.t.Helper()
	if _, err := b.people.Create(b.t.Context(), AccountSpec{Name: "bo", Roles: []Role{Reviewer}, Password: goodPassword}); err != nil {
		b.t.Fatal(err)
	}
	return b.as("bo")
}

// page is a page's HTML.
func (b *bench) page(p *person, path string) string {
	b.t.Helper()
	w := b.do(p, get, path, nil)
	if w.Code != 200 {
		b.t.Fatalf("%s: %d", path, w.Code)
	}
	return w.Body.String()
}

// actions are what was written down about one message, in order.
func (b *bench) actions(id string) string {
	var all []string
	for _, r := range b.house.records {
		if r.Kind == journal.Management && r.ID == id {
			all = append(all, r.Actor+" "+r.Action)
		}
	}
	return strings.Join(all, ", ")
}

func TestTwoReviewersDoNotWorkOnOneMessage(t *testing.T) {
	b := newBench(t)
	rev, bo := b.as("rev"), b.second()
	if w := b.do(rev, post, "/quarantine/m1/claim", url.Values{}); w.Code != 303 || w.Header().Get("Location") != "/quarantine/m1" {
		t.Fatal(w.Code)
	}
	for path, want := range map[string]string{"/quarantine/m1": "rev is working on this", "/quarantine": ">rev<"} {
		if !strings.Contains(b.page(bo, path), want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
	if s := b.page(bo, "/quarantine/m1"); strings.Contains(s, "/quarantine/m1/release") || !strings.Contains(s, "Take it over") {
		t.Error("the other reviewer is offered a release, and no taking over")
	}
	for _, path := range []string{"/quarantine/m1/release", "/quarantine/m1/delete"} {
		if w := b.do(bo, get, path, nil); w.Code != 409 {
			t.Errorf("GET %s: %d", path, w.Code)
		}
		if w := b.do(bo, post, path, url.Values{"rcpt": {"alice@example.com"}}); w.Code != 409 {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
	b.do(bo, post, "/quarantine/bulk", url.Values{"act": {"release"}, "id": {"m1"}, "sure": {"1"}})
	b.do(bo, post, "/quarantine/m1/claim", url.Values{})
	b.do(bo, post, "/quarantine/m1/unclaim", url.Values{})
	if len(b.house.released)+len(b.house.deleted) > 0 || !strings.Contains(b.page(bo, "/quarantine/m1"), "rev is working on this") {
		t.Error("a claim did not hold: ", b.house.released, b.house.deleted)
	}
	b.do(bo, post, "/quarantine/m1/claim", url.Values{"over": {"1"}})
	if s := b.page(rev, "/quarantine/m1"); !strings.Contains(s, "bo is working on this") {
		t.Error("it was not taken over")
	}
	if w := b.do(bo, post, "/quarantine/m1/release", url.Values{"rcpt": {"alice@example.com"}}); w.Code != 200 || len(b.house.released) != 1 {
		t.Errorf("the owner of the claim: %d", w.Code)
	}
	if s := b.page(rev, "/quarantine/m1"); strings.Contains(s, "is working on") {
		t.Error("the claim outlives the work")
	}
	if got, want := b.actions("m1"), "rev claimed, bo claim taken over, bo release"; got != want {
		t.Errorf("audit: %s", got)
	}
}

func TestAClaimLapsesAndIsGivenBack(t *testing.T) {
	b := newBench(t)
	rev, bo := b.as("rev"), b.second()
	b.do(rev, post, "/quarantine/m1/claim", url.Values{})
	if !strings.Contains(b.page(rev, "/quarantine/m1"), "You are working on this") {
		t.Error("the reviewer is not told")
	}
	b.now = b.now.Add(claimLife - time.Minute)
	if w := b.do(bo, get, "/quarantine/m1/release", nil); w.Code != 409 {
		t.Errorf("a minute before the end: %d", w.Code)
	}
	b.now = b.now.Add(2 * time.Minute)
	if w := b.do(bo, get, "/quarantine/m1/release", nil); w.Code != 200 {
		t.Errorf("after the end: %d", w.Code)
	}
	b.do(rev, post, "/quarantine/m2/claim", url.Values{})
	b.do(rev, post, "/quarantine/m2/unclaim", url.Values{})
	if w := b.do(bo, get, "/quarantine/m2/release", nil); w.Code != 200 {
		t.Errorf("given back: %d", w.Code)
	}
}

// Owners of mail are not reviewers: a claim is not theirs to make or to see, and does not keep them from their own copy (O-06).
func TestOwnersSeeNothingOfReviewersWork(t *testing.T) {
	b := newBench(t)
	rev, alice := b.as("rev"), b.as("alice")
	b.page(rev, "/quarantine/m1")
	b.do(rev, post, "/quarantine/m1/claim", url.Values{})
	for _, path := range []string{"/quarantine/m1", "/quarantine", "/quarantine/m1/release"} {
		if s := b.page(alice, path); strings.Contains(s, ">rev<") || strings.Contains(s, "rev is") || strings.Contains(s, "/claim") {
			t.Errorf("%s shows a reviewer's work", path)
		}
	}
	for _, path := range []string{"/quarantine/m1/claim", "/quarantine/m1/unclaim"} {
		if w := b.do(alice, post, path, url.Values{}); w.Code != 403 {
			t.Errorf("%s: %d", path, w.Code)
		}
		if w := b.do(alice, post, strings.Replace(path, "m1", "m2", 1), url.Values{}); w.Code != 404 {
			t.Errorf("%s of another's: %d", path, w.Code)
		}
	}
	if w := b.do(alice, post, "/quarantine/m1/release", url.Values{"rcpt": {"alice@example.com"}}); w.Code != 200 || len(b.house.released) != 1 {
		t.Errorf("own copy: %d", w.Code)
	}
}

func TestWhoLookedIsShownToTheOthers(t *testing.T) {
	b := newBench(t)
	rev, bo := b.as("rev"), b.second()
	if strings.Contains(b.page(rev, "/quarantine"), `class="seen"`) {
		t.Error("somebody has seen what nobody opened")
	}
	b.do(rev, http.MethodHead, "/quarantine/m2", nil)
	b.page(rev, "/quarantine/m1")
	if s := b.page(rev, "/quarantine/m1"); strings.Contains(s, "Also seen") {
		t.Error("one is told of oneself")
	}
	if s := b.page(bo, "/quarantine/m1"); !strings.Contains(s, "Also seen by rev") {
		t.Error("the other is not told")
	}
	if n := strings.Count(b.page(bo, "/quarantine"), `class="seen"`); n != 1 {
		t.Errorf("%d messages are marked", n)
	}
}

func TestClaimsByTheAPI(t *testing.T) {
	b := newBench(t)
	secret := func(name string) string {
		acc, _ := b.people.Account(t.Context(), name)
		s, _, err := b.people.issue(t.Context(), acc, token{Name: "x", Scopes: allRights(), Created: b.now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	b.second()
	rev, bo := secret("rev"), secret("bo")
	if w := b.call(rev, post, "/api/v1/quarantine/m1/claim", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"by":"rev"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var list struct {
		Entries []struct {
			ID    string
			Claim *claim
			Seen  []look
		}
	}
	if err := json.Unmarshal(b.call(bo, get, "/api/v1/quarantine", "").Body.Bytes(), &list); err != nil || len(list.Entries) != 5 {
		t.Fatal(err, list)
	}
	for _, e := range list.Entries {
		if (e.Claim != nil) != (e.ID == "m1") || e.Seen != nil {
			t.Errorf("%+v", e)
		}
	}
	for _, c := range []struct {
		token, method, body string
		want                int
	}{{bo, post, "", 409}, {bo, del, "", 409}, {bo, post, `{"take_over":true}`, 200}, {rev, del, "", 409}, {bo, del, "", 204}, {bo, del, "", 204}, {rev, post, "", 200}} {
		if w := b.call(c.token, c.method, "/api/v1/quarantine/m1/claim", c.body); w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.body, w.Code, c.want)
		}
	}
	if w := b.call(bo, post, "/api/v1/quarantine/m1/release", "{}"); w.Code != 409 || !strings.Contains(w.Body.String(), "error.claimed") {
		t.Errorf("release of another's: %d %s", w.Code, w.Body)
	}
}

// Of many who take a message at once one gets it.
func TestOneOfManyGetsTheClaim(t *testing.T) {
	shelf := &MemoryShelf{}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 20 {
		wg.Go(func() {
			ok, err := shelf.Swap(t.Context(), Document{Kind: kindClaim, Key: "m1", Owner: "m1", Body: []byte("{}")}, nil)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if ok {
				won++
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d got it", won)
	}
}

// The overview asks by itself: what is the same is not sent again, and asking keeps nobody logged in (O-09).
func TestTheOverviewAsksByItself(t *testing.T) {
	b := newBench(t)
	rev := b.as("rev")
	first := b.do(rev, get, "/", nil)
	tag := first.Header().Get("ETag")
	if tag == "" || !strings.Contains(first.Body.String(), "data-live") {
		t.Fatal("no tag, or nothing that is kept fresh")
	}
	again := func(tag string) int {
		return b.do(rev, get, "/", nil, func(r *http.Request) {
			r.Header.Set("If-None-Match", tag)
			r.Header.Set("Gatepost-Unattended", "1")
		}).Code
	}
	if code := again(tag); code != 304 {
		t.Errorf("the same: %d", code)
	}
	if code := again(`"other"`); code != 200 {
		t.Errorf("another: %d", code)
	}
	for range 4 {
		b.now = b.now.Add(10 * time.Minute)
		again(tag)
	}
	if w := b.do(rev, get, "/", nil); w.Code != 303 {
		t.Errorf("a session that only the page used lives after 40 minutes: %d", w.Code)
	}
	if w := b.do(b.as("rev"), get, "/quarantine", nil); w.Header().Get("ETag") != "" {
		t.Error("another page has a tag")
	}
}

func TestAfterOneMessageTheNextIsOffered(t *testing.T) {
	b := newBench(t)
	rev := b.as("rev")
	if s := b.page(rev, "/quarantine/m1"); !strings.Contains(s, `href="/quarantine/m2" rel="next"`) {
		t.Error("the page of m1 does not lead to m2")
	}
	w := b.do(rev, post, "/quarantine/m1/delete", url.Values{"rcpt": {"alice@example.com"}})
	if s := w.Body.String(); !strings.Contains(s, `<a class="button primary" href="/quarantine/m2">`) {
		t.Errorf("%d: the next message is not offered", w.Code)
	}
}

func TestDaysBoundTheList(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	day := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		f            filter
		since, until time.Time
	}{
		{filter{Since: "2026-11-20"}, day(20), time.Time{}},
		{filter{Since: "2026-11-20", Until: "2026-11-20"}, day(20), day(21)},
		{filter{Since: "2026-11-20", Days: "7"}, now.AddDate(0, 0, -7), time.Time{}},
		{filter{Since: "tomorrow", Until: "2026-13-01"}, time.Time{}, time.Time{}},
	} {
		if q := c.f.query(now); !q.Since.Equal(c.since) || !q.Until.Equal(c.until) {
			t.Errorf("%+v: %s to %s", c.f, q.Since, q.Until)
		}
	}
	if p := (filter{Since: "2026-11-20", State: "waiting"}).path("/quarantine", "before", "x"); !strings.Contains(p, "since=2026-11-20") {
		t.Error("the next page forgets the day: ", p)
	}
}

func TestWebhooksAreShownAndTried(t *testing.T) {
	b := newBench(t)
	if s := b.page(b.as("rev"), "/webhooks"); !strings.Contains(s, "hooks.example.com") || !strings.Contains(s, "1\u202f284") || strings.Contains(s, "/webhooks/test") {
		t.Error("a reviewer does not see how webhooks do, or is offered a test")
	}
	ada := b.as("ada")
	if w := b.do(ada, post, "/webhooks/test", url.Values{"name": {"hooks.example.com"}}); w.Code != 200 || strings.Join(b.rooms.Asked(), "") != "test hooks.example.com by ada" {
		t.Errorf("%d, %q", w.Code, b.rooms.Asked())
	}
	if w := b.do(ada, post, "/webhooks/test", url.Values{"name": {"http://127.0.0.1:6379/"}}); w.Code != 404 { // O-13: no address is taken from a person
		t.Errorf("an address: %d", w.Code)
	}
	var doc struct {
		Webhooks map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Properties map[string]struct{ Properties map[string]any }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.do(nil, get, "/api/v1/openapi.json", nil).Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, e := range append(webhook.Events(), webhook.Test) {
		if len(doc.Webhooks[string(e)]["post"].RequestBody.Content["application/json"].Schema.Properties["data"].Properties) == 0 {
			t.Errorf("%s is not described", e)
		}
	}
}

// What lists show of a reason comes from the index where it has one, and of one's own copy alone otherwise.
func TestListsNeedNoResult(t *testing.T) {
	rows := heldRows([]quarantine.Entry{{ID: "x", Reason: "The words are those of spam.", Code: "bayes.spam"}, {ID: "y"}})
	if rows[0].Reason != "The words are those of spam." || rows[0].Code != "bayes.spam" || rows[1].Reason != "" {
		t.Errorf("%+v", rows)
	}
}
