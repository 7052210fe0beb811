package smtp

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gatepost/filters/mail"
)

// corpus is a folder of the shared corpora beside the project's root.
func corpus(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(moduleRoot(t), "..", "shared", "corpora", name)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("corpus %s is missing", name)
		}
		t.Skipf("corpus %s is not here", name)
	}
	return dir
}

// Every sequence of the published smuggling tools, A-01 to A-08, followed by a second message that must not come.
func TestSmugglingCorpus(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(corpus(t, "smtp-smuggling"), "eod-sequences.json"))
	if err != nil {
		t.Fatal(err)
	}
	var tools map[string]json.RawMessage
	if err := json.Unmarshal(b, &tools); err != nil {
		t.Fatal(err)
	}
	sequences := map[string]string{}
	for tool, raw := range tools {
		var byName map[string]string
		if json.Unmarshal(raw, &byName) == nil {
			for name, s := range byName {
				sequences[tool+" "+name] = s
			}
			continue
		}
		var lists map[string][]string
		if err := json.Unmarshal(raw, &lists); err != nil {
			t.Fatal(err)
		}
		for name, list := range lists {
			for i, s := range list {
				sequences[fmt.Sprintf("%s %s %d", tool, name, i)] = s
			}
		}
	}
	if len(sequences) < 19 {
		t.Fatalf("only %d sequences", len(sequences))
	}
	const second = "MAIL FROM:<admin@client.example>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"
	for name, seq := range sequences {
		all := "Subject: a\r\n\r\nx" + seq + second + "\r\n.\r\n"
		for i := range len(all) {
			replies, got := perform(t, "EHLO c.example\r\n", "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", all[:i], all[i:])
			if last := replies[len(replies)-1]; len(got) != 0 || !strings.HasPrefix(last, "550 5.") {
				t.Fatalf("%s cut at %d: delivered %d, last reply %q", name, i, len(got), last)
			}
		}
	}
}

// The dialogues of another server's suite. Its codes are its own; ours must be of the same class, and where that
// suite has the session go on, so must ours. What it does with AUTH and with a broken header is not asked of this
// package.
func TestDialogueCorpus(t *testing.T) {
	dir := filepath.Join(corpus(t, "smtp-dialogs-chasquid"), "test", "t-12-minor_dialogs")
	files, err := filepath.Glob(filepath.Join(dir, "*.cmy"))
	if err != nil || len(files) < 16 {
		t.Fatalf("%d dialogues, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".cmy")
		if strings.HasPrefix(name, "auth_multi") || strings.HasPrefix(name, "auth_too") {
			continue // a login that the Internet is not offered
		}
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runDialogue(t, name, string(b))
			if want, err := os.ReadFile(file + ".verify"); err == nil {
				if len(got) != 1 || strings.TrimRight(got[0].body, "\r\n") != strings.TrimRight(strings.ReplaceAll(string(want), "\n", "\r\n"), "\r\n") {
					t.Errorf("delivered %+v", got)
				}
			}
		})
	}
}

// runDialogue plays one dialogue script against a server with that suite's limits.
func runDialogue(t *testing.T, name, text string) []delivery {
	o := open(t, &recorder{}, Config{Limits: over(Limits{MessageBytes: 1 << 20, CommandBytes: 1024})}, ListenerOptions{})
	var c *client
	for _, line := range strings.Split(text, "\n") {
		line, ok := strings.CutPrefix(line, "c ")
		if !ok {
			continue
		}
		op, arg, _ := strings.Cut(line, " ")
		switch op {
		case "tcp_connect", "tls_connect":
			c = o.dial(t)
		case "close":
			_ = c.nc.Close()
		case "->":
			c.send(arg + "\r\n")
		case "~>":
			c.send(pythonString(t, arg))
		case "<-", "<~", "<...":
			if got, want := c.reply(), dialogueClass(name, arg); got[0] != want {
				t.Errorf("got %q, want %q", got, arg)
			}
		}
	}
	return o.sent()
}

// dialogueClass is the class of reply that is wanted here for what the suite wants there.
func dialogueClass(name, want string) byte {
	if name == "bad_data" && strings.HasPrefix(want, "554 5.6.0") {
		return '2' // a header that is none is for the filters to judge
	}
	if _, err := mail.ParseAddress("a@xn---"); err == nil && strings.Contains(want, "IDNA") {
		return '2' // what a domain may be is decided by ParseAddress alone
	}
	return want[0]
}

// pythonString reads the few forms of string that the scripts send: 'text', and 'text' * n, added up.
func pythonString(t *testing.T, s string) string {
	t.Helper()
	inner, times := s, 1
	if strings.HasPrefix(s, "(") {
		end := strings.LastIndex(s, ")")
		inner = s[1:end]
		n, err := strconv.Atoi(strings.Trim(s[end+1:], " *"))
		if err != nil {
			t.Fatal(err)
		}
		times = n
	}
	var out strings.Builder
	for _, term := range strings.Split(inner, " + ") {
		lit, count, ok := strings.Cut(term, " * ")
		n := 1
		if ok {
			n, _ = strconv.Atoi(count)
		}
		text, err := strconv.Unquote(`"` + strings.Trim(lit, "'") + `"`)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(strings.Repeat(text, n))
	}
	return strings.Repeat(out.String(), times)
}
