package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"gatepost/test/harness/badsink"
	"gatepost/test/harness/dnszone"
)

// A Setup says how a World differs from the ordinary one. Zero fields take the ordinary value.
type Setup struct {
	Zone       string            // DNS records, one a line
	Policy     string            // policy.yaml
	Config     string            // more top-level keys of gatepost.yaml
	TLS        string            // listener's tls mode; offered
	Listen     string            // the listener's address; 127.0.0.1:0
	Listener   string            // one more key of the listener
	Domain     string            // further keys of the domain example.com, as indented YAML lines
	Downstream string            // host:port; empty: the world's own sink
	Script     badsink.Script    // how the world's own sink behaves
	Files      map[string]string // further files beside gatepost.yaml
}

// A World is one running gatepost with all that it talks to.
type World struct {
	SMTP  string // address of the listener
	Admin string // address of the admin listener
	Dir   string // holds gatepost.yaml, policy.yaml and data
	Sink  *badsink.Sink
	Pid   int
	// Failpoints, if not empty, are the rules under which Run runs a gatepost with failpoints. It may then end by itself.
	Failpoints string
	// Wrap, if not empty, is the command that Run puts before gatepost's own; it must become gatepost, not start it.
	Wrap []string

	t      testing.TB
	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan error
	asked  bool // to end
}

const configText = `version: 1
hostname: mx.gatepost.example
data_dir: {{.Dir}}/data
listeners:
  - address: "{{.Listen}}"
    tls: {{.TLS}}
    {{.Listener}}
domains:
  - name: example.com
    downstream: ["{{.Downstream}}"]
    downstream_tls: "off"
    recipients: any
{{.Domain}}
dns: {servers: ["{{.DNS}}"], timeout: 1s}
admin: {address: "127.0.0.1:0"}
policy: policy.yaml
{{.Config}}
`

// Start brings a world up and takes it down when the test ends.
func Start(t testing.TB, s Setup) *World {
	t.Helper()
	w := Prepare(t, s)
	w.Run()
	return w
}

// Prepare writes a world's files and starts all but gatepost itself.
func Prepare(t testing.TB, s Setup) *World {
	t.Helper()
	w := &World{t: t, Dir: t.TempDir()}
	if s.Downstream == "" {
		sink, err := badsink.Start(s.Script)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sink.Close() })
		w.Sink, s.Downstream = sink, sink.Address()
	}
	if s.TLS == "" {
		s.TLS = "offered"
	}
	if s.Listen == "" {
		s.Listen = "127.0.0.1:0"
	}
	if s.Policy == "" {
		s.Policy = "version: 1\n"
	}
	dns := dnszone.Start(t, s.Zone)
	var config bytes.Buffer
	template.Must(template.New("").Parse(configText)).Execute(&config, map[string]string{
		"Dir": w.Dir, "Listen": s.Listen, "TLS": s.TLS, "Listener": s.Listener, "Downstream": s.Downstream, "DNS": dns.Addr(), "Domain": s.Domain, "Config": s.Config,
	})
	if !strings.Contains(s.Config, "timeouts:") {
		config.WriteString("timeouts: {greet_delay: 0s}\n") // strangers wait; tests do not
	}
	files := map[string]string{"gatepost.yaml": config.String(), "policy.yaml": s.Policy}
	for name, text := range s.Files {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(w.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// ready is the line that serve prints when it can take mail.
type ready struct {
	Msg   string   `json:"msg"`
	SMTP  []string `json:"smtp"`
	Admin string   `json:"admin"`
}

// Run starts gatepost and waits until it says that it is ready.
func (w *World) Run() {
	w.t.Helper()
	w.log, w.asked = &lockedBuffer{}, false
	w.cmd = exec.Command(Binary(w.t), "serve", "-c", filepath.Join(w.Dir, "gatepost.yaml"))
	if w.Failpoints != "" {
		w.cmd.Path, w.asked = BinaryWithFailpoints(w.t), true
		w.cmd.Env = append(os.Environ(), "GATEPOST_FAILPOINTS="+w.Failpoints)
	}
	if len(w.Wrap) > 0 {
		w.cmd.Path = Need(w.t, w.Wrap[0])
		w.cmd.Args = append(slices.Clone(w.Wrap), w.cmd.Args...)
	}
	w.cmd.Stderr = w.log
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.Pid = w.cmd.Process.Pid
	lines := bufio.NewScanner(out)
	var r ready
	for lines.Scan() {
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Msg == "ready" {
			break
		}
	}
	w.exited = make(chan error, 1)
	go func() {
		io.Copy(io.Discard, out)
		w.exited <- w.cmd.Wait()
	}()
	if r.Msg != "ready" {
		w.t.Fatalf("gatepost did not become ready: %v\n%s", <-w.exited, w.log)
	}
	w.SMTP, w.Admin = r.SMTP[0], r.Admin
	w.t.Cleanup(w.end)
}

// Stop sends SIGTERM and waits; it returns the error that the process ended with.
func (w *World) Stop() error {
	w.Signal(syscall.SIGTERM)
	err := <-w.exited
	w.exited <- err
	return err
}

// Ended waits until the process has ended by itself, as a failpoint makes it.
func (w *World) Ended() {
	w.t.Helper()
	select {
	case err := <-w.exited:
		w.exited <- err
	case <-time.After(20 * time.Second):
		w.t.Fatal("gatepost did not end")
	}
}

// Kill ends the process as a power cut would.
func (w *World) Kill() {
	w.Signal(syscall.SIGKILL)
	err := <-w.exited
	w.exited <- err
}

// Signal sends sig to gatepost.
func (w *World) Signal(sig syscall.Signal) {
	w.asked = w.asked || sig != syscall.SIGHUP
	w.cmd.Process.Signal(sig)
}

// end takes gatepost down after the test and shows its log if the test failed.
func (w *World) end() {
	select {
	case err := <-w.exited:
		if !w.asked {
			w.t.Errorf("gatepost ended by itself: %v", err)
		}
		w.exited <- err // a world that ran twice is ended twice
	default:
		w.Signal(syscall.SIGTERM)
		select {
		case err := <-w.exited:
			w.exited <- err
		case <-time.After(20 * time.Second):
			w.Signal(syscall.SIGKILL)
			w.t.Error("gatepost did not end on SIGTERM")
			w.exited <- <-w.exited
		}
	}
	if w.t.Failed() {
		w.t.Logf("gatepost's log:\n%s", w.log)
	}
}

// Log is what gatepost wrote to standard error so far.
func (w *World) Log() string { return w.log.String() }

// Logged counts how often text stands in what gatepost wrote to standard error so far.
func (w *World) Logged(text string) int {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	return bytes.Count(w.log.b.Bytes(), []byte(text))
}

// Command runs another gatepost command in this world and returns what it printed and its exit code.
func (w *World) Command(args ...string) (stdout string, code int) {
	w.t.Helper()
	return Command(w.t, w.Dir, args...)
}

// Command runs gatepost in dir with "-c gatepost.yaml" where that file exists.
func Command(t testing.TB, dir string, args ...string) (stdout string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = command(t, dir, &out, &errs, args)
	if errs.Len() > 0 {
		t.Logf("gatepost %s: %s", strings.Join(args, " "), errs.String())
	}
	return out.String(), code
}

// CommandBoth is Command with what goes to standard error beside what goes to standard output.
func CommandBoth(t testing.TB, dir string, args ...string) (output string, code int) {
	t.Helper()
	var out bytes.Buffer
	code = command(t, dir, &out, &out, args)
	return out.String(), code
}

func command(t testing.TB, dir string, out, errs io.Writer, args []string) (code int) {
	t.Helper()
	cmd := exec.Command(Binary(t), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, errs
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatalf("run gatepost %s: %v", strings.Join(args, " "), err)
	}
	return cmd.ProcessState.ExitCode()
}

// Get fetches a path of the admin address.
func (w *World) Get(path string) (status int, body string) {
	w.t.Helper()
	resp, err := http.Get("http://" + w.Admin + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// lockedBuffer collects what a process writes while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Eventually asks until ok says yes; a test that waits for what another process does uses it instead of sleeping.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came true: %s", what)
}
