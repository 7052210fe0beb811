package oracle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles gatepost, with failpoints, into dir.
func Build(dir string) (path string, err error) {
	path = filepath.Join(dir, "gatepost-failpoints")
	cmd := exec.Command("go", "build", "-tags", "failpoints", "-o", path, "gatepost/cmd/gatepost")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build gatepost: %w\n%s", err, out)
	}
	return path, nil
}

// A Gateway is a gatepost that can be started any number of times on the same files.
type Gateway struct {
	Binary string
	Dir    string // holds gatepost.yaml
	SMTP   string // address
	Admin  string
	Ready  time.Duration // how long the last start took

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	state  *os.ProcessState
	log    tail
}

// Start runs the gateway with rules for its failpoints and waits until it says that it is ready, or has ended.
func (g *Gateway) Start(rules string) error {
	began := time.Now()
	cmd := exec.Command(g.Binary, "serve", "-c", filepath.Join(g.Dir, "gatepost.yaml"))
	cmd.Env = append(os.Environ(), "GATEPOST_FAILPOINTS="+rules)
	cmd.Stderr = &g.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start gatepost: %w", err)
	}
	exited := make(chan struct{})
	g.mu.Lock()
	g.cmd, g.exited, g.state = cmd, exited, nil
	g.mu.Unlock()
	lines := bufio.NewReader(out)
	line, readErr := lines.ReadBytes('\n')
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait()
		g.mu.Lock()
		g.state = cmd.ProcessState
		g.mu.Unlock()
		close(exited)
	}()
	var ready struct {
		SMTP  []string
		Admin string
	}
	if readErr != nil || json.Unmarshal(line, &ready) != nil || len(ready.SMTP) == 0 {
		<-exited
		if g.Killed() {
			return nil // by a failpoint, before it was ready
		}
		return fmt.Errorf("gatepost did not become ready:\n%s", g.log.String())
	}
	g.SMTP, g.Admin, g.Ready = ready.SMTP[0], ready.Admin, time.Since(began)
	return nil
}

// Exited is closed once the process has ended.
func (g *Gateway) Exited() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.exited
}

// Killed reports whether the process was ended by SIGKILL.
func (g *Gateway) Killed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == nil {
		return false
	}
	ws, ok := g.state.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// Pid is the process.
func (g *Gateway) Pid() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cmd.Process.Pid
}

// Signal sends sig.
func (g *Gateway) Signal(sig syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.cmd.Process.Signal(sig)
}

// Kill ends the process at once and waits for its end.
func (g *Gateway) Kill() {
	g.Signal(syscall.SIGKILL)
	<-g.Exited()
}

// Stop asks the process to end and waits; it must end with code 0.
func (g *Gateway) Stop() error {
	g.Signal(syscall.SIGTERM)
	select {
	case <-g.Exited():
	case <-time.After(time.Minute):
		g.Kill()
		return errors.New("gatepost did not end on SIGTERM")
	}
	if code := g.state.ExitCode(); code != 0 {
		return fmt.Errorf("gatepost ended with code %d:\n%s", code, g.log.String())
	}
	return nil
}

// Command runs another gatepost command on the same files.
func (g *Gateway) Command(args ...string) (string, error) {
	cmd := exec.Command(g.Binary, append(args, "-c", filepath.Join(g.Dir, "gatepost.yaml"))...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("gatepost %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// Log is the end of what the gateway wrote to standard error in all its lives.
func (g *Gateway) Log() string { return g.log.String() }

// Logged counts how often text was in it so far.
func (g *Gateway) Logged(text string) int {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	return g.log.seen[text]
}

// Watch has Logged count lines that hold text.
func (g *Gateway) Watch(text string) {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	if g.log.seen == nil {
		g.log.seen = map[string]int{}
	}
	g.log.seen[text] += 0
}

// A tail keeps the end of what is written to it, and counts words.
type tail struct {
	mu   sync.Mutex
	b    []byte
	seen map[string]int
}

const maxTail = 64 << 10

// Write takes whole lines, as loggers write them.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for word := range t.seen {
		t.seen[word] += bytes.Count(p, []byte(word))
	}
	t.b = append(t.b, p...)
	if len(t.b) > 2*maxTail {
		t.b = append(t.b[:0], t.b[len(t.b)-maxTail:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// FixedAddress is an address of this machine that stays free while nobody listens: it is outside the range that the
// kernel gives to outgoing connections, so that a client that tries it cannot end up talking to itself.
func FixedAddress() (string, error) {
	for port := 20000 + os.Getpid()%5000; port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no port is free")
}
