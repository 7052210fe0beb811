package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatepost/test/harness"
)

// TestARestartRefusesNoConnection restarts the gateway three times while mail comes in without a pause: every connection is
// taken, every message is accepted at the first attempt and arrives once, and the process stays the same for who watches it.
func TestARestartRefusesNoConnection(t *testing.T) { // P-19, S-09
	w := harness.Start(t, harness.Setup{Zone: friend, Config: "trusted_networks: [127.0.0.0/8]\n"})
	var stop atomic.Bool
	var sent atomic.Int64
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := 0; !stop.Load(); i++ {
				if err := sendOnce(w.SMTP, fmt.Sprintf("%d-%d@friend.example", n, i)); err != nil {
					t.Errorf("message %d of client %d: %v", i, n, err)
					return
				}
				sent.Add(1)
			}
		})
	}
	for n := range 3 {
		w.Signal(syscall.SIGUSR2)
		harness.Eventually(t, "it restarts", func() bool { return w.Logged(`"stopped"`) == n+1 })
		before := sent.Load() // the next one takes mail: a signal before that would be part of this restart
		harness.Eventually(t, "mail goes on", func() bool { return sent.Load() > before+50 || t.Failed() })
	}
	stop.Store(true)
	all.Wait()
	if got := int64(w.Sink.Count()); got != sent.Load() {
		t.Errorf("%d messages sent, %d arrived", sent.Load(), got)
	}
	if status, _ := w.Get("/readyz"); status != 200 {
		t.Errorf("readyz says %d", status)
	}
	t.Logf("%d messages", sent.Load())
}

// sendOnce sends one message over a connection of its own, without another try.
func sendOnce(addr, id string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	content := strings.Replace(harness.Wire(hello), "<1@friend.example>", "<"+id+">", 1)
	for _, step := range []struct{ say, want string }{
		{"", "220"}, {"EHLO client.example\r\n", "250"}, {"MAIL FROM:<ann@friend.example>\r\n", "250"}, {"RCPT TO:<bob@example.com>\r\n", "250"},
		{"DATA\r\n", "354"}, {content + ".\r\n", "250"},
	} {
		if _, err := c.Write([]byte(step.say)); err != nil {
			return err
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return fmt.Errorf("after %.10q: %w", step.say, err)
			}
			if !strings.HasPrefix(line, step.want) {
				return fmt.Errorf("after %.10q: %s", step.say, line)
			}
			if line[3] == ' ' {
				break
			}
		}
	}
	_, _ = c.Write([]byte("QUIT\r\n"))
	return nil
}

// TestARestartWithABrokenConfigurationIsNone keeps the gateway that runs.
func TestARestartWithABrokenConfigurationIsNone(t *testing.T) { // P-18, P-19
	w := harness.Start(t, harness.Setup{Zone: friend})
	if err := os.WriteFile(filepath.Join(w.Dir, "policy.yaml"), []byte("version: 1\nthresholds: {quarantine: no}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Signal(syscall.SIGUSR2)
	harness.Eventually(t, "it says why", func() bool { return w.Logged("reload changed nothing") > 0 })
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "250 ") {
		t.Errorf("reply %q", reply)
	}
	if w.Logged(`"restarting"`) != 0 {
		t.Error("it restarted")
	}
}

// TestSocketsOfSystemdAreTaken starts the gateway as systemd does, with a listening socket as descriptor 3.
func TestSocketsOfSystemdAreTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	early, err := net.Dial("tcp", l.Addr().String()) // before there is a gateway
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	w := harness.Prepare(t, harness.Setup{Zone: friend, Listen: l.Addr().String()})
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sh", "-c", `export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"`, "sh", harness.Binary(t), "serve", "-c", filepath.Join(w.Dir, "gatepost.yaml"))
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	_ = early.SetDeadline(time.Now().Add(20 * time.Second))
	if line, err := bufio.NewReader(early).ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 ") {
		t.Errorf("who came before the gateway reads %q, %v", line, err)
	}
}
