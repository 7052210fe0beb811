package yara

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/attach"
	"gatepost/filters/mail"
	"gatepost/rules/conf"
	"gatepost/test/harness"
)

// The rules of these tests. The EICAR file's text is put together when the rule runs, so that no scanner takes this file for it.
const testRules = `
rule Eicar : testfile {
  meta:
    description = "the \"test\" file, [whole]"
    author = "A. Tester"
    reference = "https://eicar.example/"
  strings: $a = "EICAR-STANDARD-ANTIVIRUS" $b = "TEST-FILE!$H+H*"
  condition: all of them
}
rule Lure { meta: severity = "low" strings: $a = "open the enclosed" nocase condition: $a }
rule Scored { meta: score = 50 strings: $a = "fifty points" condition: $a }
rule Slight : suspicious { strings: $a = "tagged words" condition: $a }
rule Marked : info { strings: $a = "marked words" condition: $a }
rule Quiet { strings: $a = "quiet words" condition: $a }
private rule Hidden { strings: $a = "hidden" condition: $a }
rule Subject { strings: $a = /^Subject: winner/ condition: filesize < 1MB and $a }
`

const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + `TEST-FILE!$H+H*`

// settings are those of a site with these texts as its files of rules.
func settings(t testing.TB, rules ...string) Config {
	t.Helper()
	dir := t.TempDir()
	for i, text := range rules {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("rules%d.yar", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Config{Rules: []conf.Path{conf.Path(dir)}, Program: "yara", Compiler: "yarac", Timeout: 20 * time.Second, Processes: 2, MaxBytes: 1 << 20, Memory: 1 << 30}
}

// made is the filter by the real programs.
func made(t testing.TB, cfg Config) *Filter {
	t.Helper()
	harness.Need(t, "yara")
	harness.Need(t, "yarac")
	f, problems := New(cfg, attach.New(attach.Config{}), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return f
}

// letter is a message with a text and files, as name and content in turn.
func letter(text string, files ...string) *mail.Mail {
	var b strings.Builder
	b.WriteString("From: a@a.example\r\nSubject: winner\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString([]byte(text)) + "\r\n")
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(&b, "--b\r\nContent-Type: application/octet-stream; name=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n", files[i], base64.StdEncoding.EncodeToString([]byte(files[i+1])))
	}
	b.WriteString("--b--\r\n")
	return &mail.Mail{Message: mail.Parse(mail.Memory(b.String()))}
}

func zipped(files ...string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, _ := z.Create(files[i])
		w.Write([]byte(files[i+1]))
	}
	z.Close()
	return b.String()
}

// told is each finding as its code, where it stands and what stands there; not what the rule Subject says of every message.
func told(facts filters.Facts) (list []string) {
	for _, x := range facts.Findings {
		if !strings.HasPrefix(x.Proof[0].What, "Subject ") {
			list = append(list, x.Code+"|"+x.Proof[0].Where+"|"+x.Proof[0].What)
		}
	}
	return list
}

// Law 8: a message that shows each code, and one that comes near.
func TestWhatRulesFindIsSaidWithItsPlace(t *testing.T) {
	cfg := settings(t, testRules)
	cfg.Notes = []string{"Quiet"}
	f := made(t, cfg)
	inner := zipped("b.com", eicar)
	for _, c := range []struct {
		name string
		m    *mail.Mail
		want []string
	}{
		{"nothing", letter("hello", "a.txt", "nothing to see"), nil},
		{"one string of two", letter("hello", "a.txt", "EICAR-STANDARD-ANTIVIRUS"), nil},
		{"a plain file", letter("hello", "a.com", eicar), []string{"yara.match|part 2|Eicar in a.com: $a at 28, $b at 53"}},
		{"in an archive", letter("hello", "a.zip", inner), []string{"yara.match|part 2|Eicar in a.zip > b.com: $a at 28, $b at 53"}},
		{"in an archive in one", letter("hello", "o.zip", zipped("a.zip", inner)), []string{"yara.match|part 2|Eicar in o.zip > a.zip > b.com: $a at 28, $b at 53"}},
		{"the text", letter("Open the Enclosed letter"), []string{"yara.suspicious|part 1|Lure in part 1: $a at 0"}},
		{"a score", letter("fifty points"), []string{"yara.suspicious|part 1|Scored in part 1: $a at 0"}},
		{"a tag", letter("tagged words"), []string{"yara.suspicious|part 1|Slight in part 1: $a at 0"}},
		{"a note by its tag", letter("marked words"), []string{"yara.info|part 1|Marked in part 1: $a at 0"}},
		{"a note by the site", letter("quiet words"), []string{"yara.info|part 1|Quiet in part 1: $a at 0"}},
		{"a private rule", letter("hidden"), nil},
		{"several", letter("fifty points, open the enclosed", "a.zip", zipped("x", eicar, "y", eicar)), []string{
			"yara.suspicious|part 1|Lure in part 1: $a at 14", "yara.suspicious|part 1|Scored in part 1: $a at 0",
			"yara.match|part 2|Eicar in a.zip > x: $a at 28, $b at 53", "yara.match|part 2|Eicar in a.zip > y: $a at 28, $b at 53",
		}},
	} {
		facts, err := f.Check(context.Background(), c.m)
		if err != nil || !slices.Equal(told(facts), c.want) {
			t.Errorf("%s: %q, %v, want %q", c.name, told(facts), err, c.want)
		}
	}
	facts, _ := f.Check(context.Background(), letter("hello", "a.com", eicar))
	x := facts.Findings[len(facts.Findings)-1]
	if x.Text != "The YARA rule Eicar knows a.com." || len(x.Proof) != 2 ||
		x.Proof[1].What != `description: the "test" file, [whole]; author: A. Tester; reference: https://eicar.example/; tags: testfile; from rules0.yar` {
		t.Errorf("%+v", x)
	}
}

func TestTheWholeMessageIsScannedAndSaysWhere(t *testing.T) {
	f := made(t, settings(t, `rule Field { strings: $a = "Subject: winner" condition: $a }`))
	facts, err := f.Check(context.Background(), letter("hello"))
	if err != nil || len(facts.Findings) != 1 || *facts.Findings[0].Proof[0].At != [2]int64{19, 15} {
		t.Errorf("%+v, %v", facts.Findings, err)
	}
}

func TestABodyOfOnePartIsScannedDecoded(t *testing.T) {
	f := made(t, settings(t, testRules))
	m := &mail.Mail{Message: mail.Parse(mail.Memory("From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte("fifty points")) + "\r\n"))}
	facts, err := f.Check(context.Background(), m)
	if got := told(facts); err != nil || len(got) != 1 || got[0] != "yara.suspicious|body|Scored in the body: $a at 0" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOneMessageIsOneProcess(t *testing.T) {
	cfg := settings(t, testRules)
	count := t.TempDir() // a directory for each process: it can write no file
	harness.Need(t, "yara")
	cfg.Program = script(t, `mkdir `+count+`/$$; exec yara "$@"`)
	f := made(t, cfg)
	before := len(pids(t, count))
	if _, err := f.Check(context.Background(), letter("hello", "a.zip", zipped("b", eicar, "c", "d", "e", "f"))); err != nil {
		t.Fatal(err)
	}
	if n := len(pids(t, count)) - before; n != 1 {
		t.Errorf("%d processes", n)
	}
	var many []string
	for i := range maxBatchFiles + 1 {
		many = append(many, "f"+strconv.Itoa(i), "x")
	}
	before = len(pids(t, count))
	facts, err := f.Check(context.Background(), letter("hello", "a.zip", zipped(append(many, "last", eicar)...)))
	if got := told(facts); err != nil || len(pids(t, count))-before != 2 || len(got) != 1 || !strings.Contains(got[0], "a.zip > last") {
		t.Errorf("many files: %d processes, %q, %v", len(pids(t, count))-before, got, err)
	}
}

// pids are the names of the directories in one, by which scripts tell the numbers of processes.
func pids(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// gone reports whether a process has ended, be it that nobody has reaped it yet.
func gone(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

func TestWhatIsTooLargeIsUnscannable(t *testing.T) {
	cfg := settings(t, testRules)
	m := letter("hello", "a.com", eicar)
	for beyond, want := range map[int64]int{0: 0, 1: 1} { // at the limit, one octet beyond
		cfg.MaxBytes = conf.Size(m.Source.Size() - beyond)
		facts, err := made(t, cfg).Check(context.Background(), m)
		n := 0
		for _, x := range facts.Findings {
			if x.Code == codeLimit && x.Proof[0].Where == "message" {
				n++
			}
		}
		if err != nil || n != want || !slices.ContainsFunc(facts.Findings, func(x filters.Finding) bool { return x.Code == codeMatch }) {
			t.Errorf("%d beyond: %q, %v", beyond, told(facts), err)
		}
	}
}

// What cannot be opened is said, once: by attach where it looks, else here.
func TestWhatCannotBeOpenedIsSaid(t *testing.T) {
	f := made(t, settings(t, testRules))
	m := letter("hello", "a.xar", "xar!"+strings.Repeat("x", 100))
	for name, before := range map[string]filters.Report{"attach is off": {}, "attach looked": {Facts: filters.Facts{Attachments: []filters.Attachment{{}}}}} {
		facts, err := f.Follow(context.Background(), m, before)
		closed := slices.ContainsFunc(facts.Findings, func(x filters.Finding) bool { return x.Code == codeClosed })
		if err != nil || closed != (name == "attach is off") {
			t.Errorf("%s: %q, %v", name, told(facts), err)
		}
	}
	deep := eicar
	for range 7 {
		deep = zipped("a.zip", deep)
	}
	facts, err := f.Follow(context.Background(), letter("hello", "a.zip", deep), filters.Report{Facts: filters.Facts{Attachments: []filters.Attachment{{}}}})
	if err != nil || !slices.ContainsFunc(facts.Findings, func(x filters.Finding) bool { return x.Code == codeLimit }) {
		t.Errorf("a limit of our own: %q, %v", told(facts), err)
	}
}

// A file that is full of hits costs neither memory nor the answer; where YARA itself calls its result incorrect, it is no answer.
func TestAFloodOfHitsIsBounded(t *testing.T) {
	cfg := settings(t, `rule Flood { strings: $a = "aa" $b = "\x01\x02" condition: any of them }`, testRules)
	cfg.MaxBytes, cfg.Timeout = 8<<20, 40*time.Second
	f := made(t, cfg)
	facts, err := f.Check(context.Background(), letter("hello", "a.bin", strings.Repeat("a", 100_000), "b.com", eicar))
	if err != nil || len(told(facts)) != 2 || !strings.HasPrefix(told(facts)[0], "yara.match|part 2|Flood in a.bin: $a at 0, $a at 1, $a at 2, $a at 3, 99995 more") {
		t.Errorf("%q, %v", told(facts), err)
	}
	facts, err = f.Check(context.Background(), letter("hello", "a.bin", strings.Repeat("a", 3<<20)))
	if err != nil || !slices.ContainsFunc(told(facts), func(s string) bool {
		return strings.HasPrefix(s, "yara.unscannable.limit|message|rule \"Flood\": too many matches")
	}) {
		t.Errorf("too many: %q, %v", told(facts), err)
	}
}

func TestWhatHasNoEndIsUnscannable(t *testing.T) {
	cfg := settings(t, `rule Slow { condition: filesize > 0 and for all i in (1..100000000000) : ( i > 0 ) }`)
	cfg.Timeout = 5 * time.Second
	f := made(t, cfg)
	facts, err := f.Check(context.Background(), letter("hello", "a.bin", "x"))
	if err != nil || len(facts.Findings) == 0 || facts.Findings[0].Code != codeLimit {
		t.Errorf("%q, %v", told(facts), err)
	}
	for _, x := range facts.Findings {
		if x.Code != codeLimit {
			t.Errorf("%+v", x)
		}
	}
}

// script is a program that a test writes.
func script(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "yara")
	if err := os.WriteFile(file, []byte("#!/bin/sh\nPATH=/usr/bin:/bin\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// turned is a filter whose program was well when the rules were compiled, and is another now.
func turned(t *testing.T, timeout time.Duration, text string) *Filter {
	t.Helper()
	cfg := settings(t, testRules)
	f := made(t, cfg)
	f.book.program, f.cfg.Timeout = script(t, text), timeout
	return f
}

// G-16, G-17: whatever is not a whole and proper answer about every file is no opinion.
func TestAYaraThatFailsOrLiesIsNeverClean(t *testing.T) {
	whole := `list=$(cat); rule=$(tr -d '\000' </proc/self/fd/3 | grep -ao 'seen_[0-9a-f]\{32\}' | head -1)
say() { for f in $list; do echo "gatepost:$rule [] [] $f"; done; }
`
	for name, text := range map[string]string{
		"silent": "", "fails": "exit 1", "nonsense": "echo hello", "ends in a signal": "kill -9 $$", "a rule by itself": `echo 'r1:Eicar [] [] /proc/self/fd/4'`,
		"a file that was not given": whole + `say; echo 'r1:Eicar [] [] /proc/self/fd/99'`, "seen twice": whole + "say; say", "a huge line": `head -c 2000000 /dev/zero | tr '\000' a`,
		"no end of line": whole + `say; printf 'r1:Eicar [] [] /proc/self/fd/4'`, "another witness": `while read f; do echo "gatepost:seen [] [] $f"; done`,
		"all but one": whole + "say | tail -n +2", "well, then fails": whole + "say; exit 3", "well, then killed": whole + "say; kill -11 $$",
		"a string of nothing": "echo '0x0:1:$a'", "an error of its own": `echo "error scanning /proc/self/fd/4: could not open file" >&2`, "other errors": "echo 'internal error' >&2",
		"console": whole + "say; echo free words", "brackets": whole + "say; echo 'r1:Eicar [] [a=\"] /proc/self/fd/4'", "not there": "rm -f $0; kill -9 $$",
	} {
		facts, err := turned(t, 10*time.Second, text).Check(context.Background(), letter("hello"))
		if err == nil {
			t.Errorf("%s: taken for an answer: %q", name, told(facts))
		}
		if err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if facts, err := turned(t, 10*time.Second, whole+"say").Check(context.Background(), letter("hello")); err != nil {
		t.Errorf("what is proper is taken: %q, %v", told(facts), err) // else the cases above prove nothing
	}
}

// G-16: what it said before it failed still counts.
func TestWhatWasFoundBeforeAFailureCounts(t *testing.T) {
	facts, err := turned(t, 10*time.Second, `echo 'r1:Eicar [] [] /proc/self/fd/5'; kill -9 $$`).Check(context.Background(), letter("hello"))
	if err == nil || len(told(facts)) != 1 {
		t.Errorf("%q, %v", told(facts), err)
	}
}

// G-16: one that hangs, or leaves children that do, is given up with all that it started.
func TestAYaraThatHangsIsGivenUpAndLeavesNoChild(t *testing.T) {
	for name, text := range map[string]string{
		"hangs": "sleep 600 & mkdir %s/$!; wait", "leaves a child": "sleep 600 >/dev/null 2>&1 & mkdir %s/$!", "ignores signals": "trap '' TERM INT; sleep 600 & mkdir %s/$!; while :; do sleep 1; done",
		"floods": "mkdir %s/$$; yes 'r1:Eicar [] [] /proc/self/fd/4'", "floods with errors": "mkdir %s/$$; yes warning >&2",
	} {
		dir := t.TempDir()
		f := turned(t, 3*time.Second, fmt.Sprintf(text, dir))
		facts, err := f.Check(context.Background(), letter("hello"))
		if err == nil && !slices.ContainsFunc(facts.Findings, func(x filters.Finding) bool { return x.Code == codeLimit }) {
			t.Errorf("%s: taken for an answer: %q", name, told(facts))
		}
		list := pids(t, dir)
		if len(list) != 1 {
			t.Errorf("%s: it did not run: %v", name, list)
			continue
		}
		harness.Eventually(t, name+": the child is gone", func() bool { return gone(list[0]) })
	}
}

func TestAMessageThatIsGivenUpEndsItsProcess(t *testing.T) {
	dir := t.TempDir()
	f := turned(t, 20*time.Second, "mkdir "+dir+"/$$; sleep 600")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { _, err := f.Check(ctx, letter("hello")); ended <- err }()
	harness.Eventually(t, "it runs", func() bool { return len(pids(t, dir)) == 1 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("taken for an answer")
	}
	if !gone(pids(t, dir)[0]) {
		t.Error("the process is still there")
	}
}

func TestTheProgramIsConfined(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	f := turned(t, 10*time.Second, "cat >/dev/null; (trap '' XFSZ; echo x >"+file+") 2>/dev/null; { pwd; ulimit -v; ulimit -t; ulimit -c; ulimit -f; tr '\\000' '\\n' </proc/self/environ; readlink /proc/self/fd/3; } | tr '\\n' ' ' >&2; exit 7")
	t.Setenv("GATEPOST_TEST_SECRET", "secret")
	_, err := f.Check(context.Background(), letter("hello"))
	if err == nil || !strings.Contains(err.Error(), "exit status 7: / 1048576 ") || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), " 0 0 ") {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(file); err == nil && info.Size() > 0 {
		t.Error("it could write a file")
	}
}

// Names and texts of senders stand in no command and no list.
func TestNothingOfTheMailStandsInACommand(t *testing.T) {
	f := turned(t, 10*time.Second, `{ echo "$@"; cat; } | tr '\n' ' ' >&2; exit 7`)
	_, err := f.Check(context.Background(), letter("hello", "$(id) --help.zip", zipped("; reboot", "x")))
	want := regexp.MustCompile(`: exit status 7: -C -e -g -m -L -p 1 -a \d --scan-list /proc/self/fd/3 /proc/self/fd/0 /proc/self/fd/4 /proc/self/fd/5 /proc/self/fd/6 /proc/self/fd/7 $`)
	if err == nil || !want.MatchString(err.Error()) {
		t.Errorf("%v", err)
	}
}

func TestRulesThatAreWrongAreToldWithTheirPlace(t *testing.T) {
	harness.Need(t, "yara")
	harness.Need(t, "yarac")
	good := settings(t, testRules)
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"syntax": {func(c *Config) {
			*c = settings(t, "rule a { condition: true }", "\nrule b {\n condition: what is this }\n")
		}, "rules1.yar:3: rule b: undefined identifier"},
		"a string that nobody uses": {func(c *Config) { *c = settings(t, `rule a { strings: $x = "y" condition: true }`) }, `unreferenced string "$x"`},
		"an external variable":      {func(c *Config) { *c = settings(t, `rule a { condition: filename == "x" }`) }, "undefined identifier"},
		"a file that is not there":  {func(c *Config) { c.Rules = []conf.Path{"/nowhere/x.yar"} }, "no such file"},
		"an empty directory":        {func(c *Config) { c.Rules = []conf.Path{conf.Path(t.TempDir())} }, "holds no .yar or .yara file"},
		"a pipe": {func(c *Config) {
			file := filepath.Join(t.TempDir(), "x.yar")
			if err := syscall.Mkfifo(file, 0o600); err != nil {
				t.Fatal(err)
			}
			c.Rules = []conf.Path{conf.Path(file)}
		}, "neither a file nor a directory"},
		"no program":            {func(c *Config) { c.Program = "/nowhere/yara" }, "install YARA"},
		"no compiler":           {func(c *Config) { c.Compiler = "yarac-that-is-not-there" }, "install YARA"},
		"another program":       {func(c *Config) { c.Program = script(t, "echo hello") }, "answers --version"},
		"an old program":        {func(c *Config) { c.Program = script(t, "echo 4.0.2") }, "from 4.2 on"},
		"a program that cannot": {func(c *Config) { c.Program = script(t, `[ "$1" = --version ] && echo 4.2.3`) }, "cannot use the rules"},
		"a compiler that lies":  {func(c *Config) { c.Compiler = script(t, "exit 0") }, "cannot use the rules"},
		"a compiler that fails": {func(c *Config) { c.Compiler = script(t, "echo sorry >&2; exit 1") }, "sorry"},
	} {
		cfg := good
		c.change(&cfg)
		f, problems := New(cfg, attach.New(attach.Config{}), nil)
		if f != nil || len(problems) == 0 || !strings.Contains(problems[0].Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, problems, c.want)
		}
	}
}

func TestExternalVariablesNamesTwiceAndGlobalRules(t *testing.T) {
	cfg := settings(t, `global rule Never { condition: false } rule a { condition: true }`, `rule a { condition: filename == "" and limit == 3 }`)
	cfg.Define = map[string]string{"filename": "", "limit": "3"}
	facts, err := made(t, cfg).Check(context.Background(), letter("hello"))
	if err != nil || len(facts.Findings) != 2 || !strings.HasSuffix(facts.Findings[0].Proof[1].What, "rules1.yar") {
		t.Errorf("%+v, %v", facts.Findings, err)
	}
}

// A path is relative to the working directory, as the configuration's reader makes it; what a file includes, to the file.
func TestRelativePathsAndIncludes(t *testing.T) {
	cfg := settings(t, `include "deep/inner.inc"`)
	dir := string(cfg.Rules[0])
	if err := os.Mkdir(filepath.Join(dir, "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"inner.inc": `rule Inner { condition: true }`, "below.yara": `rule Below { condition: true }`, ".old.yar": "broken", "readme.txt": "broken"} {
		if err := os.WriteFile(filepath.Join(dir, "deep", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	cfg.Rules = []conf.Path{"."}
	facts, err := made(t, cfg).Check(context.Background(), letter("hello"))
	if got := told(facts); err != nil || len(got) != 4 || got[0] != "yara.match|message|Below in message" || got[1] != "yara.match|message|Inner in message" {
		t.Errorf("%q, %v", got, err)
	}
	cfg.Rules = []conf.Path{"rules0.yar"}
	if _, problems := New(cfg, attach.New(attach.Config{}), nil); len(problems) > 0 {
		t.Error(problems)
	}
}

func TestNoRulesIsNoFilter(t *testing.T) {
	if f, problems := New(Config{}, nil, nil); f != nil || problems != nil {
		t.Error("a filter without rules")
	}
}

func TestConditionsTellWhetherItRuns(t *testing.T) {
	f := made(t, settings(t, testRules))
	if c := f.Conditions(context.Background())[0]; c.Err != nil || c.Down || !strings.HasPrefix(c.Detail, "YARA 4.") || !strings.HasSuffix(c.Detail, "1 files of rules") {
		t.Errorf("%+v", c)
	}
	f.book.program = script(t, "echo 'rules were compiled with a different version of YARA' >&2; exit 1")
	if c := f.Conditions(context.Background())[0]; c.Err == nil || !c.Down || c.Hint == "" || !strings.Contains(c.Err.Error(), "different version") {
		t.Errorf("%+v", c)
	}
}

func TestManyMessagesAtOnce(t *testing.T) {
	f := made(t, settings(t, testRules))
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			want := i % 2
			facts, err := f.Check(context.Background(), letter("hello", "a.bin", strings.Repeat(eicar, want)))
			if err != nil || len(told(facts)) != want {
				t.Errorf("%d: %q, %v", i, told(facts), err)
			}
		})
	}
	all.Wait()
}

// A rule says how grave it is: severity in words, else score, else a tag.
func TestHowGraveAHitIs(t *testing.T) {
	for meta, want := range map[string]string{
		"": codeMatch, "severity=critical": codeMatch, "severity=HIGH": codeMatch, "severity=Medium": codeSuspicious, "severity=info": codeInfo, "severity=7": codeMatch,
		"severity=low score=90": codeSuspicious, "score=75": codeMatch, "score=74": codeSuspicious, "score=40": codeSuspicious, "score=39": codeInfo, "score=0": codeInfo, "score=-1": codeMatch,
		"score=101": codeMatch, "score=many": codeMatch, "tag=SUSPICIOUS": codeSuspicious, "tag=info": codeInfo, "tag=APT tag=info": codeInfo, "tag=APT": codeMatch, "score=80 tag=info": codeMatch,
	} {
		h := hit{rule: "R", meta: map[string]string{}}
		for _, word := range strings.Fields(meta) {
			if key, value, _ := strings.Cut(word, "="); key == "tag" {
				h.tags = append(h.tags, value)
			} else {
				h.meta[key] = value
			}
		}
		if got := h.code(nil); got != want {
			t.Errorf("%q: %s, want %s", meta, got, want)
		}
	}
	if h := (hit{rule: "R", meta: map[string]string{"severity": "high"}}); h.code(map[string]bool{"R": true}) != codeInfo {
		t.Error("the site's word does not count")
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for text, want := range map[string]string{"define: {\"a b\": x}": "no name of a variable", "notes: [a-b]": "no name of a rule", "timeout: 10ms": "too little", "processes: 0": "too little"} {
		var c Config
		problems := conf.Decode("c.yaml", []byte(text), &c)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%s: %v", text, problems)
		}
	}
}

// FuzzAnswer: the program's words are read within bounds, whatever they are, and only its witness makes a file seen.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"r1:Eicar [a,b] [author=\"A \\\"q\\\" ]\",score =75,flag=true] /proc/self/fd/4\n0x1c:5:$a\ngatepost:seen [] [] /proc/self/fd/4\n", "gatepost:seen [] [] /proc/self/fd/5\n", "0x0:1:$\n",
		"error scanning /proc/self/fd/4: scanning timed out\nwarning: rule \"x\": too many matches for $a, results for this rule may be incorrect\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := newAnswer("seen", nil, 4, 2)
		for line := range strings.Lines(s) {
			if a.line([]byte(strings.TrimSuffix(line, "\n"))) != nil {
				break
			}
		}
		for file, seen := range a.files {
			if file < 4 || file > 5 || seen && !strings.Contains(s, fmt.Sprintf("gatepost:seen [] [] /proc/self/fd/%d", file)) && !strings.Contains(s, "gatepost:seen [") {
				t.Errorf("file %d seen: %v", file, seen)
			}
		}
		if len(a.hits) > 3*maxHits {
			t.Errorf("%d hits are kept", len(a.hits))
		}
		for _, h := range a.hits {
			if h.file < 4 || h.file > 5 || len(h.at) > maxPlaces || len(h.tags) > 33 || len(h.meta) > len(kept) || len(h.rule) > 128 {
				t.Errorf("%+v", h)
			}
			for _, v := range h.meta {
				if len(v) > maxMeta {
					t.Errorf("%d octets of meta data", len(v))
				}
			}
		}
		c := readComplaint(s)
		if len(c.doubts) > maxDoubts || len(c.other) > 150 {
			t.Errorf("%d doubts, %d octets of others", len(c.doubts), len(c.other))
		}
	})
}

// BenchmarkCheck is a message with one file of the size that is named, whole: walk, copies, process. BenchmarkProcess is what
// one process costs that has nothing to do.
func BenchmarkCheck(b *testing.B) {
	for _, size := range []int{10 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			f := made(b, settings(b, testRules))
			m := letter("hello", "a.bin", strings.Repeat("0123456789abcdef", size/16))
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := f.Check(context.Background(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkManyAtOnce is messages with a file of 10 KiB, as many at once as there may be processes.
func BenchmarkManyAtOnce(b *testing.B) {
	for name, rules := range map[string]string{"8 rules": testRules, "5000 rules": manyRules()} {
		b.Run(name, func(b *testing.B) {
			f := made(b, settings(b, rules))
			m := letter("hello", "a.bin", strings.Repeat("0123456789abcdef", 640))
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := f.Check(context.Background(), m); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// manyRules are 5,000 rules of three strings each.
func manyRules() string {
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, "rule r%d { strings: $a = \"word number %d of these\" $b = { %04x 90 90 ?? %04x } $c = /key%d[a-f]{3,9}=/ condition: 2 of them }\n", i, i*7919, i, i, i)
	}
	return many.String()
}

func BenchmarkProcess(b *testing.B) {
	for name, rules := range map[string]string{"8 rules": testRules, "5000 rules": manyRules()} {
		b.Run("an empty file by "+name, func(b *testing.B) {
			f := made(b, settings(b, rules))
			for b.Loop() {
				if err := f.book.prove(context.Background(), f.cfg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("true", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
