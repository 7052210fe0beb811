package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatepost/gateway/config"
)

// gatepost runs the program and returns what it printed and its exit code.
func gatepost(args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, &o, &e)
	return o.String(), e.String(), code
}

func TestInitWritesFilesThatCheckAccepts(t *testing.T) {
	dir := t.TempDir()
	if _, errs, code := gatepost("init", dir); code != 0 {
		t.Fatalf("init: exit %d %s", code, errs)
	}
	config := filepath.Join(dir, "gatepost.yaml")
	if out, errs, code := gatepost("check", "-c", config); code != 0 || !strings.Contains(out, "no problems") {
		t.Errorf("check: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code := gatepost("test", "-c", config); code != 0 || !strings.Contains(out, " 0 failed") {
		t.Errorf("test: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code := gatepost("init", dir); code == 0 || !strings.Contains(errs, "already there") {
		t.Errorf("a second init overwrites: exit %d %s", code, errs)
	}
}

func TestHelpNamesEveryCommandAndItsFlags(t *testing.T) {
	out, _, code := gatepost("help")
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	for _, c := range []string{"serve", "check", "scan", "explain", "trace", "replay", "test", "quarantine", "user", "init", "demo"} {
		if !strings.Contains(out, c) {
			t.Errorf("help does not name %s:\n%s", c, out)
		}
	}
	if out, _, code := gatepost("help", "scan"); code != 0 || !strings.Contains(out, "--client-ip") {
		t.Errorf("help scan: exit %d\n%s", code, out)
	}
	if out, _, code := gatepost("scan", "--help"); code != 0 || !strings.Contains(out, "--batch") {
		t.Errorf("scan --help: exit %d\n%s", code, out)
	}
	if _, errs, code := gatepost("sacn"); code != 2 || !strings.Contains(errs, "scan") {
		t.Errorf("a typing error: exit %d %q", code, errs)
	}
}

func TestScanJudgesOfflineAndSaysWhatItCouldNotRead(t *testing.T) {
	if _, errs, code := gatepost("scan", filepath.Join(t.TempDir(), "nothing.eml")); code != 2 || !strings.Contains(errs, "nothing.eml") {
		t.Errorf("exit %d %q", code, errs)
	}
	if _, _, code := gatepost("scan"); code == 0 {
		t.Error("scan of nothing succeeds")
	}
}

func TestHelpOfAGroupNamesItsCommandsAndNoHiddenOne(t *testing.T) {
	for _, args := range [][]string{{"help", "train"}, {"train", "--help"}} {
		out, errs, code := gatepost(args...)
		if code != 0 || !strings.Contains(out, "train spam") || !strings.Contains(out, "train ham") || strings.Contains(out, "train both") {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	if out, errs, code := gatepost("--version"); code != 0 || !strings.HasPrefix(out, "gatepost ") {
		t.Errorf("--version: exit %d\n%s%s", code, out, errs)
	}
}

// letterIn writes a small message into dir under a name.
func letterIn(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	text := "From: Ann <ann@friend.example>\r\nTo: bob@example.com\r\nSubject: Lunch\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@friend.example>\r\n\r\nAt noon?\r\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Skipf("this file system takes no such name: %v", err)
	}
	return path
}

func TestTheCommandLineReachesACommandByteForByte(t *testing.T) {
	dir := t.TempDir()
	letter := letterIn(t, dir, "\xff\xfe,a.eml")
	if out, errs, code := gatepost("scan", "--json", letter); code != 0 {
		t.Errorf("scan of a name that is not UTF-8: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code := gatepost("eval", "--json", "--ham", letter); code != 0 || !strings.Contains(errs+out, "ham") {
		t.Errorf("eval of a name with a comma: exit %d\n%s%s", code, out, errs)
	}
	out, errs, code := gatepost("scan", "--json", "--rcpt", `"b,c"@example.com`, "--rcpt", "d@example.com", letter)
	if code != 0 || !strings.Contains(out, `"address":"\"b,c\"@example.com"`) || !strings.Contains(out, `"address":"d@example.com"`) {
		t.Errorf("a recipient with a comma: exit %d\n%s%s", code, out, errs)
	}
}

func TestAScanSaysByWhichClockItJudged(t *testing.T) {
	letter := letterIn(t, t.TempDir(), "m.eml")
	out, _, _ := gatepost("scan", "--json", "--time", "2026-11-23T09:00:00+01:00", letter)
	if !strings.Contains(out, `"time":"2026-11-23T09:00:00+01:00"`) {
		t.Errorf("with a time:\n%s", out)
	}
	if out, _, _ := gatepost("scan", "--json", letter); !strings.Contains(out, `"time":"2`) {
		t.Errorf("without one:\n%s", out)
	}
	if out, _, _ := gatepost("scan", letter); strings.Contains(out, "0001-01-01") {
		t.Errorf("for people:\n%s", out)
	}
}

func TestABatchSaysWhichLineIsWrong(t *testing.T) {
	dir := t.TempDir()
	letterIn(t, dir, "m.eml")
	in := filepath.Join(dir, "in.jsonl")
	lines := "\n" + `{"file":"m.eml"}` + "\n" + `{"fil":"m.eml"}` + "\n" + `{"client_ip":"192.0.2.1"}` + "\n" + `{"file":"nothing.eml"}` + "\n" + `{"file":"m.eml","client_ip":"here"}` + "\n"
	if err := os.WriteFile(in, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := gatepost("scan", "--batch", in, "--time", "2026-11-23T09:00:00Z")
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"in.jsonl:3: ", "in.jsonl:4: ", "in.jsonl:5: ", "in.jsonl:6: "} {
		if !strings.Contains(errs, want) || !strings.Contains(out, want) {
			t.Errorf("%q is not told:\n%s%s", want, errs, out)
		}
	}
	if first, _, _ := strings.Cut(out, "\n"); !strings.Contains(first, `"time":"2026-11-23T09:00:00Z"`) {
		t.Errorf("the flag is not for what the line leaves out: %s", first)
	}
	if err := os.WriteFile(in, []byte(`{"file":"m.eml"}`+"\n"+strings.Repeat("x", maxLine+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code = gatepost("scan", "--batch", in)
	if code != 1 || !strings.Contains(errs, "in.jsonl:2: the line is longer than") || !strings.Contains(out, `"action":"accept"`) {
		t.Errorf("a line that is too long: exit %d\n%s%s", code, out, errs)
	}
}

func TestACommandLineThatMakesNoSenseIsToldAsSuch(t *testing.T) {
	letter := letterIn(t, t.TempDir(), "m.eml")
	for _, args := range [][]string{
		{"scan"}, {"scan", "--batch", "x", letter}, {"scan", "--client-ip", "here", letter}, {"scan", "--time", "noon", letter}, {"scan", "--rcpt", "b@@", letter},
		{"eval"}, {"eval", "--ham", letter, "--rcpt", "b@@"}, {"hold", "retry"}, {"nosuch"}, {"help", "nosuch"}, {"help", "quarantine", "nosuch"}, {"train"}, {}, {"explain"}, {"quarantine"}, {"quarantine", "list", "--since"},
	} {
		if _, errs, code := gatepost(args...); code != 2 || !strings.Contains(errs, "Try: gatepost help") {
			t.Errorf("%v: exit %d %q", args, code, errs)
		}
	}
}

// What is missing is named as help names it, with the help of the very command.
func TestWhatIsMissingOnACommandLineIsNamed(t *testing.T) {
	for want, args := range map[string][]string{
		"gatepost: name a command\nTry: gatepost help\n":                                                                         {},
		"gatepost: there is no command nosuch\nTry: gatepost help\n":                                                             {"nosuch"},
		"gatepost: there is no command quarantin, did you mean \"quarantine\"?\nTry: gatepost help\n":                            {"quarantin"},
		"gatepost: quarantine does one of list, show, release, delete, export, verify: name it\nTry: gatepost help quarantine\n": {"quarantine"},
		"gatepost: quarantine show needs <id>\nTry: gatepost help quarantine show\n":                                             {"quarantine", "show"},
		"gatepost: greylist pass needs <id> ...\nTry: gatepost help greylist pass\n":                                             {"greylist", "pass"},
		"gatepost: missing flags: --policy=FILE\nTry: gatepost help replay\n":                                                    {"replay"},
		"gatepost: --since needs a value\nTry: gatepost help quarantine list\n":                                                  {"quarantine", "list", "--since"},
		"gatepost: unknown flag --jsno, did you mean \"--json\"?\nTry: gatepost help explain\n":                                  {"explain", "--jsno", "x"},
		"gatepost: unexpected argument relase, did you mean \"release\"?\nTry: gatepost help quarantine\n":                       {"quarantine", "relase"},
	} {
		if _, errs, code := gatepost(args...); code != 2 || errs != want {
			t.Errorf("%v: exit %d %q, want %q", args, code, errs, want)
		}
	}
}

func TestAnInterruptedCommandGivesNoVerdict(t *testing.T) {
	letter := letterIn(t, t.TempDir(), "m.eml")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"scan", "--json", letter}, {"eval", "--json", "--ham", letter}} {
		var out, errs bytes.Buffer
		if code := run(ctx, args, &out, &errs); code != interrupted || out.Len() > 0 || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("%v: exit %d\n%s%s", args, code, out.String(), errs.String())
		}
	}
}

func TestCheckTellsProgramsEveryProblemWithItsPlace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gatepost.yaml")
	if err := os.WriteFile(path, []byte("hostname: mx.example.com\ndomains: [{name: example.com, downstream: [\"127.0.0.1:25\"], recipients: any}]\nlistner: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var r checked
	out, _, code := gatepost("check", "--json", "-c", path)
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 1 || r.OK || len(r.Problems) != 1 || r.Notes == nil {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	if p := r.Problems[0]; p.File != path || p.Line != 3 || p.Column != 1 || p.Hint != "listeners" {
		t.Errorf("%+v", p)
	}
	if _, errs, code := gatepost("init", dir+"/new"); code != 0 {
		t.Fatalf("exit %d %s", code, errs)
	}
	out, errs, code := gatepost("check", "--json", "-c", dir+"/new/gatepost.yaml")
	r = checked{}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || errs != "" || !r.OK || r.Problems == nil || len(r.Notes) == 0 || r.Tests == 0 {
		t.Errorf("exit %d, %v\n%s%s", code, err, out, errs)
	}
}

// What is wrong has a place, also where the file that is wrong is another, or is not there.
func TestEveryProblemOfCheckHasAPlace(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const least = "hostname: mx.example.com\ndomains: [{name: example.com, downstream: [\"127.0.0.1:2526\"], recipients: any}]\n"
	write("policy.yaml", "version: 1\ntests:\n  - name: t\n    given: {mail_from: a@b.example, rcpt: [c@example.com]}\n    expect: {action: reject}\n")
	for text, want := range map[string]string{
		"rules: [./rules.d]\n":  "gatepost.yaml:3:9: rules: " + dir + "/rules.d: cannot find rules: no such file or directory\n",
		"policy: policy.yaml\n": "policy.yaml:3:5: test \"t\": action: expected reject, got accept\n",
	} {
		write("gatepost.yaml", least+text)
		if _, errs, code := gatepost("check", "-c", filepath.Join(dir, "gatepost.yaml")); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, want %q\n%s", text, code, want, errs)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root becomes another user")
	}
	write("gatepost.yaml", least+"user: nobody-of-this-name\n")
	if _, errs, code := gatepost("check", "-c", filepath.Join(dir, "gatepost.yaml")); code != 1 || !strings.Contains(errs, "gatepost.yaml:3:7: user: ") {
		t.Errorf("exit %d\n%s", code, errs)
	}
}

func TestACommandBeforeTheFirstStartMakesTheRoomOfTheGatewaysUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes room for somebody else")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("there is no user to become: %v", err)
	}
	cfg, problems := config.Parse("gatepost.yaml", []byte("hostname: mx.example.com\ndomains: [{name: example.com, downstream: [\"127.0.0.1:2526\"]}]\nuser: nobody\ndata_dir: "+filepath.Join(t.TempDir(), "data")+"\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := (&site{cfg: cfg}).makeRoom(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(string(cfg.DataDir))
	if err != nil || strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)) != nobody.Uid {
		t.Errorf("%v %v", info, err)
	}
}

func TestInitKeepsWhatIsWrittenOutOfEtc(t *testing.T) {
	for dir, want := range map[string]string{"/etc/gatepost": "data_dir: /var/lib/gatepost\n", "/etc": "data_dir: /var/lib/gatepost\n", "/etcetera": "data_dir: ./data\n", "site": "data_dir: ./data\n"} {
		if got := string(sampleFor(dir)); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in\n%s", dir, want, got)
		}
	}
}

func TestAScanWithoutAnEnvelopeSaysThatItHasNone(t *testing.T) {
	out, _, _ := gatepost("scan", letterIn(t, t.TempDir(), "m.eml"))
	if !strings.Contains(out, "client unknown, HELO unknown, MAIL FROM <>") || !strings.Contains(out, "No SPF result: the client's address is not known.") {
		t.Errorf("%s", out)
	}
}

// A policy that was good yesterday is good today, whoever beside the gateway is down.
func TestATestOfThePolicyAsksNobodyBesideTheGateway(t *testing.T) {
	dir := t.TempDir()
	letterIn(t, dir, "m.eml")
	for name, text := range map[string]string{
		"policy.yaml": "version: 1\nweights: {dnsbl.listed.psbl: 20}\nfailures: {clamd: reject, rspamd: reject, spamd: reject, hook: reject, icap: reject, milter: reject, dnsbl: reject}\ntests:\n" +
			"  - name: lunch\n    given: {client: 198.51.100.7, mail_from: ann@friend.example, rcpt: [bob@example.com], message: m.eml}\n    expect: {action: accept}\n" +
			"  - name: a listed client\n    given: {client: 198.51.100.7, mail_from: ann@friend.example, rcpt: [bob@example.com], message: m.eml, dns: {7.100.51.198.psbl.surriel.com A: 127.0.0.2}}\n" +
			"    expect: {action: reject, decided: [dnsbl.listed.psbl]}\n",
		"gatepost.yaml": "hostname: mx.example.com\ndomains: [{name: example.com, downstream: [\"127.0.0.1:2526\"]}]\npolicy: policy.yaml\nfilters:\n" +
			"  clamd: {address: \"127.0.0.1:9\"}\n  rspamd: {address: \"http://127.0.0.1:9\"}\n  spamd: {address: \"127.0.0.1:9\"}\n  icap: {address: \"icap://127.0.0.1:9/scan\"}\n" +
			"  milter: {milters: {m: \"127.0.0.1:9\"}}\n  hook: {url: \"http://127.0.0.1:9/\"}\n  dnsbl: {confirm: [psbl]}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, code := gatepost("check", "-c", filepath.Join(dir, "gatepost.yaml")); code != 0 || !strings.Contains(out, "2 policy tests passed") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// full is a device without room.
type full struct{ wrote int }

func (f *full) Write([]byte) (int, error) { f.wrote++; return 0, syscall.ENOSPC }

func TestAnOutputThatTakesNothingIsOneErrorAndAnExit(t *testing.T) {
	dir := t.TempDir()
	letter := letterIn(t, dir, "m.eml")
	in := filepath.Join(dir, "in.jsonl")
	if err := os.WriteFile(in, []byte(strings.Repeat(`{"file":"m.eml"}`+"\n", 60)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"scan", letter}, {"scan", "--json", letter}, {"scan", "--batch", in}, {"eval", "--ham", letter}, {"version"}} {
		var errs bytes.Buffer
		if code := run(t.Context(), args, &full{}, &errs); code != 1 || errs.String() != "gatepost: no space left on device\n" {
			t.Errorf("%v: exit %d %q", args, code, errs.String())
		}
	}
}
