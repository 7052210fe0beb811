package e2e

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness"
)

// Somebody for whom mail is held is told by mail at the chosen hour, looks at it behind the link, and has it released:
// the digest and the message both arrive by way of the mail server.
func TestADigestArrivesAndItsLinkReleases(t *testing.T) { // O-01
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited, Policy: holding})
	w.Send("ann@friend.example", "bob@example.com", holdMe("one"))
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.Dir, "gatepost.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digest := "quarantine: {digest: {times: [\"" + time.Now().UTC().Format("15:04") + "\"], time_zone: UTC, to: everybody, auth: token}}\n"
	if err := os.WriteFile(path, append(text, digest...), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Run()
	harness.Eventually(t, "the digest", func() bool { return w.Sink.Count() == 1 })
	got := string(w.Sink.Messages()[0].Data)
	_, body, _ := strings.Cut(got, "base64\r\n\r\n")
	body, _, _ = strings.Cut(body, "\r\n--")
	plain, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
	if err != nil || !strings.Contains(string(plain), "hold me one") {
		t.Fatalf("%v\n%s", err, got)
	}
	link := regexp.MustCompile(`/d/\S+`).FindString(string(plain))
	for range 3 { // a scanner looks before the person does
		resp, err := http.Get("http://" + w.Admin + link)
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(page), "Nothing has happened yet") || w.Sink.Count() != 1 {
			t.Fatalf("%d, %d arrived\n%s", resp.StatusCode, w.Sink.Count(), page)
		}
	}
	resp, err := http.PostForm("http://"+w.Admin+link, url.Values{"act": {"release"}})
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(page), "250 2.0.0") || w.Sink.Count() != 2 {
		t.Errorf("%d arrived\n%s", w.Sink.Count(), page)
	}
}
