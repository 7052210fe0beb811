package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/admin"
	"gatepost/gateway/db"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/spool"
	"gatepost/policy"
)

// reviewLimits are what the pages promise at the 95th percentile, with 100,000 messages held.
const (
	listLimit    = 300 * time.Millisecond
	previewLimit = 200 * time.Millisecond
	pageRequests = 40
)

// review measures the review pages over n held messages: over HTTP, logged in, one request after the other.
func review(ctx context.Context, n int) error {
	dir := os.TempDir()
	if _, err := os.Stat("/dev/shm"); err == nil {
		dir = "/dev/shm" // filling is not what is measured
	}
	dir, err := os.MkdirTemp(dir, "gatepost-review-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := db.Open("sqlite:" + filepath.Join(dir, "gatepost.db"))
	if err != nil {
		return err
	}
	defer d.Close()
	sp, err := spool.New(spool.Config{Dir: filepath.Join(dir, "spool")})
	if err != nil {
		return err
	}
	q, err := quarantine.New(ctx, quarantine.Config{}, quarantine.Deps{Dir: filepath.Join(dir, "quarantine"), DB: d, Spool: sp})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "holding %d messages …\n", n)
	start := time.Now()
	if err := fillQuarantine(ctx, q, n, start); err != nil {
		return err
	}
	fmt.Printf("\nreview pages with %d held messages (put in %s), one request after the other\n\n", n, time.Since(start).Round(time.Second))
	visitor, base, stop, err := reviewer(ctx, q)
	if err != nil {
		return err
	}
	defer stop()
	return askPages(visitor, base, n)
}

// fillQuarantine puts n messages, some at once, for they share commits. Fifty have the same content, as campaigns have.
func fillQuarantine(ctx context.Context, q *quarantine.Store, n int, now time.Time) error {
	const putters = 16
	errs := make(chan error, putters)
	for p := range putters {
		go func() {
			var err error
			for i := p; i < n && err == nil; i += putters {
				if err = q.Put(ctx, heldEntry(i, now), bytes.NewReader(heldMessage(campaign(i)))); err != nil {
					err = fmt.Errorf("hold message %d: %w", i, err)
				}
			}
			errs <- err
		}()
	}
	var all []error
	for range putters {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// campaign is the message whose content the i-th has: its own, if it is a large one.
func campaign(i int) int {
	if i%1000 == 0 {
		return i
	}
	return i - i%50 + 1
}

// heldEntry is one held message: ten senders' worth of words, five thousand recipients, as many clients and rules as a busy
// site has, a rare word each.
func heldEntry(i int, now time.Time) *quarantine.Entry {
	because := []policy.Reason{{Code: "bayes.spam", Weight: 5200, At: "shipped", Text: "The words are those of spam."}, {Code: "dnsbl.listed", Weight: 4000, At: "policy.yaml:22", Text: "The client is on a block list."}, {Rule: fmt.Sprintf("site-rule-%d", i%500), At: "policy.yaml:58", Text: "A rule of the site."}}
	rcpt := fmt.Sprintf("user%d@example.com", i%5000)
	result, err := json.Marshal(map[string]any{"action": "quarantine", "class": "spam", "score": 9.2, "decided": []string{"bayes.spam"},
		"recipients": []policy.Verdict{{Address: rcpt, Action: policy.Quarantine, Because: because}},
		"findings":   []filters.Finding{{Filter: "bayes", Code: "bayes.spam", Text: "The words are those of spam.", Proof: []filters.Evidence{{Where: "body", What: "invoice"}}}}})
	if err != nil {
		panic(err) // ours: it marshals
	}
	return &quarantine.Entry{ID: fmt.Sprintf("0m%08d", i), Time: now.Add(-time.Duration(i) * time.Second), Class: []policy.Class{policy.Spam, policy.Phish, policy.ByRule}[i%3], Score: 9200,
		MailFrom: fmt.Sprintf("bounce@bulk%d.example", i%10), Author: fmt.Sprintf("offers@bulk%d.example", i%10), Name: "Best Offers", Subject: fmt.Sprintf("Unpaid invoice number %d for you", i),
		Client: fmt.Sprintf("198.51.%d.%d", i%40, i%251), Helo: "out.bulk.example", Rcpts: []quarantine.Recipient{{Address: rcpt}}, Result: result}
}

// heldMessage is a message with text and HTML; every thousandth is large.
func heldMessage(i int) []byte {
	lines := 20
	if i%1000 == 0 {
		lines = 20000 // some 2 MB
	}
	html := strings.Repeat(`<table><tr><td style="color:#b00">Dear customer</td><td><a href="https://track.example/c">pay</a> <img src="https://x.example/p.gif"></td></tr></table>`, lines)
	return fmt.Appendf(nil, "From: offers@bulk%d.example\r\nTo: user%d@example.com\r\nSubject: Unpaid invoice number %d for you\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n%s\r\n--b--\r\n",
		i%10, i%5000, i, strings.Repeat("Only today: everything must go. https://track.example/c?u=88213\r\n", lines), html)
}

// reviewer serves the pages and logs in.
func reviewer(ctx context.Context, q *quarantine.Store) (*http.Client, string, func(), error) {
	const password = "four quiet green gates"
	accounts := admin.NewAccounts(&admin.MemoryShelf{})
	if _, err := accounts.Create(ctx, admin.AccountSpec{Name: "ada", Roles: []admin.Role{admin.Admin}, Password: password}); err != nil {
		return nil, "", nil, err
	}
	handler, err := admin.New(admin.Defaults(), admin.Deps{Quarantine: q, Own: func(a ...string) admin.Quarantine { return q.For(a...) },
		Journal: noJournal{}, Accounts: accounts, Meter: admin.NewMeter(), Bodies: bodies{}})
	if err != nil {
		return nil, "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	srv := admin.Server(handler)
	go srv.Serve(l)
	jar, err := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	base := "http://" + l.Addr().String()
	if err == nil {
		var resp *http.Response
		if resp, err = client.PostForm(base+"/login", url.Values{"name": {"ada"}, "password": {password}, "next": {"/health"}}); err == nil {
			resp.Body.Close()
		}
	}
	return client, base, func() { srv.Close() }, err
}

// askPages prints a line for each kind of request, and fails if one breaks its promise.
func askPages(client *http.Client, base string, n int) error {
	fmt.Printf("%-52s %9s %9s %9s %9s %9s\n", "request", "p50 ms", "p95 ms", "limit ms", "CPU ms", "CPU p95")
	var broken []error
	for _, c := range []struct {
		name  string
		path  func(i int) string
		limit time.Duration
	}{
		{"list, newest page", func(int) string { return "/quarantine" }, listLimit},
		{"list, a page far back", func(i int) string { return fmt.Sprintf("/quarantine?before=0m%08d", n/2+i) }, listLimit},
		{"list, one class", func(int) string { return "/quarantine?class=phish" }, listLimit},
		{"list, released (none)", func(int) string { return "/quarantine?state=released" }, listLimit},
		{"list, one recipient", func(i int) string { return fmt.Sprintf("/quarantine?recipient=user%d@example.com", i*31) }, listLimit},
		{"list, the last day", func(int) string { return "/quarantine?days=1" }, listLimit},
		{"search, a common word", func(int) string { return "/quarantine?q=invoice" }, listLimit},
		{"search, a rare word", func(i int) string { return fmt.Sprintf("/quarantine?q=number+%d", (i*7919+13)%n) }, listLimit},
		{"search, a word that is nowhere", func(i int) string { return fmt.Sprintf("/quarantine?q=nowhere%d", i) }, listLimit},
		{"search, a reason and a sender", func(i int) string { return fmt.Sprintf("/quarantine?q=bayes.spam+bulk%d", i%10) }, listLimit},
		{"search, a common word, far back", func(i int) string { return fmt.Sprintf("/quarantine?q=invoice&before=0m%08d", n/2+i) }, listLimit},
		{"search, a common word in one class", func(int) string { return "/quarantine?q=invoice&class=phish" }, listLimit},
		{"search, two common words that never meet", func(i int) string { return fmt.Sprintf("/quarantine?q=bulk%d+bulk%d", i%10, (i+1)%10) }, listLimit},
		{"search, a recipient's address", func(i int) string { return fmt.Sprintf("/quarantine?q=user%d@example.com", i*31) }, listLimit},
		{"search, a sender's address", func(i int) string { return fmt.Sprintf("/quarantine?q=offers@bulk%d.example", i%10) }, listLimit},
		{"search, a client", func(i int) string { return fmt.Sprintf("/quarantine?q=198.51.%d.%d", i%40, i%251) }, listLimit},
		{"search, a rule", func(i int) string { return fmt.Sprintf("/quarantine?q=site-rule-%d", i*7%500) }, listLimit},
		{"search, one letter", func(int) string { return "/quarantine?q=o" }, listLimit},
		{"list, one day of the past", func(int) string {
			day := time.Now().UTC().Format(time.DateOnly)
			return "/quarantine?since=" + day + "&until=" + day
		}, listLimit},
		{"message page", func(i int) string { return fmt.Sprintf("/quarantine/0m%08d", i*37+1) }, previewLimit},
		{"preview of HTML", func(i int) string { return fmt.Sprintf("/quarantine/0m%08d/html", i*37+1) }, previewLimit},
		{"message page, 2 MB", func(i int) string { return fmt.Sprintf("/quarantine/0m%08d", (i%max(1, n/1000))*1000) }, previewLimit},
		{"preview of HTML, 2 MB", func(i int) string { return fmt.Sprintf("/quarantine/0m%08d/html", (i%max(1, n/1000))*1000) }, previewLimit},
	} {
		var took, cpu []time.Duration
		before := ownCPU()
		for i := range pageRequests {
			start, used := time.Now(), ownCPU()
			resp, err := client.Get(base + c.path(i))
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s: %w", c.path(i), resp.Status, err)
			}
			took, cpu = append(took, time.Since(start)), append(cpu, ownCPU()-used)
		}
		slices.Sort(took)
		slices.Sort(cpu)
		p50, p95 := took[len(took)/2], took[len(took)*95/100]
		fmt.Printf("%-52s %9.1f %9.1f %9.0f %9.1f %9.1f\n", c.name, ms(p50), ms(p95), ms(c.limit), ms((ownCPU()-before)/pageRequests), ms(cpu[len(cpu)*95/100]))
		if p95 > c.limit {
			broken = append(broken, fmt.Errorf("%s: %.1f ms at the 95th percentile, promised %.0f", c.name, ms(p95), ms(c.limit)))
		}
	}
	return errors.Join(broken...)
}

// ownCPU is the processor time that this process took, pages and asker together: what a busy machine does not blur.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// noJournal is a past in which nothing happened.
type noJournal struct{}

// Trace implements admin.Journal.
func (noJournal) Trace(context.Context, string, int) ([]journal.Record, error) { return nil, nil }

// Recent implements admin.Journal.
func (noJournal) Recent(context.Context, journal.Kind, time.Time, int) ([]journal.Record, error) {
	return nil, nil
}

// Append implements admin.Journal.
func (noJournal) Append(context.Context, *journal.Record) error { return nil }

// bodies reads messages as the gateway does.
type bodies struct{}

// Body implements admin.Bodies.
func (bodies) Body(src mail.Source, limit int) (admin.Body, error) {
	m := mail.Parse(src)
	text := m.Text()
	b := admin.Body{Text: text[:min(len(text), limit)], TextCut: len(text) > limit}
	for p := range m.Parts() {
		if p.Type == "text/html" && !p.Attachment() {
			html := p.View().Source
			b.HTML, b.HTMLCut = html[:min(len(html), limit)], len(html) > limit
			break
		}
	}
	return b, m.Err()
}
