package fault

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

// A call is one system call that has returned, or for a write one that has begun.
type call struct{ name, file, to, text string }

var (
	callLine    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumedLine = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
	callFile    = regexp.MustCompile(`^\d+<([^>]*)>`)
	callNames   = regexp.MustCompile(`"([^"]*)"[^"]*"([^"]*)"`)
	callText    = regexp.MustCompile(`^\d+<[^>]*>, "((?:[^"\\]|\\.)*)"`)
)

// calls reads what strace wrote, in the order that counts: a write to a client when it begins, everything else when it is
// done.
func calls(t *testing.T, file string) []call {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []call
	begun := map[string]call{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if m := resumedLine.FindStringSubmatch(line); m != nil {
			if c := begun[m[1]]; c.name == m[2] && strings.HasSuffix(line, "= 0") {
				list = append(list, c)
			}
			continue
		}
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		c := call{name: m[2]}
		if f := callFile.FindStringSubmatch(m[3]); f != nil {
			c.file = f[1]
		}
		if n := callNames.FindStringSubmatch(m[3]); n != nil && strings.HasPrefix(c.name, "rename") {
			c.file, c.to = filepath.Base(n[1]), filepath.Base(n[2])
		}
		if x := callText.FindStringSubmatch(m[3]); x != nil {
			c.text = x[1]
		}
		if strings.HasSuffix(line, "<unfinished ...>") && c.name != "write" {
			begun[m[1]] = c
			continue
		}
		list = append(list, c)
	}
	return list
}

// after is the place behind the first call from a place on that ok says yes to; -1 if there is none.
func after(list []call, from int, ok func(call) bool) int {
	for i := max(from, 0); i < len(list) && from >= 0; i++ {
		if ok(list[i]) {
			return i + 1
		}
	}
	return -1
}

// TestEverythingIsOnDiskBeforeThe250 watches the system calls of a real gateway.
func TestEverythingIsOnDiskBeforeThe250(t *testing.T) { // P-01
	synced := func(part string) func(call) bool {
		return func(c call) bool {
			return (c.name == "fsync" || c.name == "fdatasync") && strings.Contains(c.file, part)
		}
	}
	renamed := func(suffix string) func(call) bool {
		return func(c call) bool { return strings.HasPrefix(c.name, "rename") && strings.HasSuffix(c.to, suffix) }
	}
	dirSynced := func(dir string) func(call) bool {
		return func(c call) bool { return c.name == "fsync" && regexp.MustCompile(dir+"$").MatchString(c.file) }
	}
	type step struct {
		what string
		ok   func(call) bool
	}
	for mode, steps := range map[string][]step{
		"hold": {
			{"sync of the message", synced(".part")}, {"rename", renamed(".mail")}, {"sync of the directory", dirSynced("/hold")},
			{"sync of the journal", synced(".jsonl")},
		},
		"defer": { // the message goes to the quarantine
			{"sync of the content", synced(".tmp")}, {"its rename", renamed(".zst")},
			{"sync of the record", synced(".tmp")}, {"its rename", renamed(".json")}, {"sync of the directory", dirSynced("/quarantine/[0-9a-f][0-9a-f]")},
			{"sync of the index", synced("gatepost.db")}, {"sync of the journal", synced(".jsonl")},
		},
	} {
		t.Run(mode, func(t *testing.T) {
			b := &bench{}
			b.prepare(t, mode)
			trace := filepath.Join(t.TempDir(), "calls")
			b.Wrap = []string{"strace", "-D", "-f", "-y", "-s", "200", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,write", "-o", trace}
			text := letter("1@friend.example")
			if mode == "hold" {
				b.now.Store(&misdeed{step: badsink.Connect, act: badsink.Action{Reset: true}})
			} else {
				text += `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + "TEST-FILE!$H+H*\n"
			}
			b.Run()
			if reply := b.say(t, text); !strings.HasPrefix(reply, "250 ") {
				t.Fatalf("reply %q", reply)
			}
			if err := b.Stop(); err != nil {
				t.Errorf("ended with %v", err)
			}
			harness.Eventually(t, "the trace is whole", func() bool {
				b, _ := os.ReadFile(trace)
				return strings.Contains(string(b), "+++ exited with 0 +++")
			})
			list := calls(t, trace)
			data := after(list, 0, func(c call) bool { return strings.Contains(c.text, "354 ") })
			yes := after(list, data, func(c call) bool { return c.name == "write" && strings.HasPrefix(c.text, "250 2.0.0 Accepted") })
			if data < 0 || yes < 0 {
				t.Fatalf("no 354 or no 250 in %d calls", len(list))
			}
			at := data
			for _, s := range steps {
				if at = after(list[:yes], at, s.ok); at < 0 {
					t.Fatalf("no %s, in order, before the 250:\n%v", s.what, list[data:yes])
				}
			}
		})
	}
}
