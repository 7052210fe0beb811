// Package daemon runs a real program beside a test, or one that the test plays, and ends it with the test.
//
// It knows no program: what to run, how it is set up and when it is ready, the test says.
package daemon

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Daemon is a running program.
type Daemon struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// Start runs a program until ready returns nil, and ends it with the test.
func Start(t testing.TB, ready func() error, program string, args ...string) *Daemon {
	t.Helper()
	var output strings.Builder
	d := &Daemon{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = &output, &output
	d.cmd.WaitDelay = time.Second // what it started may hold its output open
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.ended) }()
	t.Cleanup(d.Stop)
	var err error
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = ready(); err == nil {
			return d
		}
		select {
		case <-d.ended:
			t.Fatalf("%s ended at once: %v\n%s", program, d.cmd.ProcessState, output.String())
		default:
		}
	}
	d.Stop()
	t.Fatalf("%s is not ready: %v\n%s", program, err, output.String())
	return nil
}

// Stop ends the program.
func (d *Daemon) Stop() {
	d.cmd.Process.Signal(syscall.SIGCONT) // it may have been hung
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(10 * time.Second):
		d.cmd.Process.Kill()
		<-d.ended
	}
}

// Kill ends the program at once.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill()
	<-d.ended
}

// Hang stops the program where it is: it takes connections and answers nothing.
func (d *Daemon) Hang() { d.cmd.Process.Signal(syscall.SIGSTOP) }

// Wake lets a hung program go on.
func (d *Daemon) Wake() { d.cmd.Process.Signal(syscall.SIGCONT) }

// Serve answers every connection to a free port of this machine until the test ends, and returns the port. A connection lasts
// twenty seconds at most.
func Serve(t testing.TB, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ServeOn(t, l, serve)
	return l.Addr().String()
}

// ServeOn does so where somebody listens already.
func ServeOn(t testing.TB, l net.Listener, serve func(net.Conn)) {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
}

// JSON is a web service that answers everything with the same document, and returns its URL.
func JSON(t testing.TB, text string) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Address is a free port of this machine.
func Address(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Dir is a directory with a path that is short enough for sockets, which everybody on this machine may enter.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Write lays out a file.
func Write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Listens is ready when somebody listens there.
func Listens(network, address string) func() error {
	return func() error {
		conn, err := net.DialTimeout(network, address, time.Second)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return conn.Close()
	}
}
