package clamav

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// EICAR is the test file that every scanner must find, put together here so that this program is not taken for it.
const EICAR = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + `TEST-FILE!$H+H*`

// A Daemon is a running clamd.
type Daemon struct {
	Address string // unix:/path
	TCP     string // host:port
	cmd     *exec.Cmd
	ended   chan error
	log     string
}

// program is clamd's usual place, which is not on everybody's path.
func program() string {
	if path, err := exec.LookPath("clamd"); err == nil {
		return path
	}
	return "/usr/sbin/clamd"
}

// Start runs a daemon and ends it with the test. Where clamd is not installed the test is skipped; under CI (environment
// variable CI) it fails. Lines are further ones of clamd.conf, such as "StreamMaxLength 1M".
func Start(t testing.TB, lines ...string) *Daemon {
	t.Helper()
	if _, err := os.Stat(program()); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("clamd is not installed")
		}
		t.Skip("clamd is not installed")
	}
	dir, err := os.MkdirTemp("", "clamd") // a socket needs a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &Daemon{Address: "unix:" + filepath.Join(dir, "c"), log: filepath.Join(dir, "log"), ended: make(chan error, 1)}
	if d.TCP, err = freeAddress(); err != nil {
		t.Fatal(err)
	}
	if err := d.write(dir, lines); err != nil {
		t.Fatal(err)
	}
	d.cmd = exec.Command(program(), "--config-file="+filepath.Join(dir, "clamd.conf"))
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- d.cmd.Wait() }()
	t.Cleanup(d.Stop)
	if err := d.wait(); err != nil {
		b, _ := os.ReadFile(d.log)
		t.Fatalf("%v\n%s", err, b)
	}
	return d
}

// write lays out the configuration and the signatures.
func (d *Daemon) write(dir string, lines []string) error {
	_, port, err := net.SplitHostPort(d.TCP)
	if err != nil {
		return err
	}
	config := append([]string{
		"LocalSocket " + strings.TrimPrefix(d.Address, "unix:"), "TCPSocket " + port, "TCPAddr 127.0.0.1", "DatabaseDirectory " + filepath.Join(dir, "db"),
		"TemporaryDirectory " + dir, "LogFile " + d.log, "Foreground yes", "MaxThreads 4", "SelfCheck 0",
	}, lines...)
	signature := "Eicar-Test-Signature:0:*:" + hex.EncodeToString([]byte(EICAR)) + "\n"
	return errors.Join(
		os.Mkdir(filepath.Join(dir, "db"), 0o755),
		os.WriteFile(filepath.Join(dir, "db", "test.ndb"), []byte(signature), 0o644),
		os.WriteFile(filepath.Join(dir, "clamd.conf"), []byte(strings.Join(config, "\n")+"\n"), 0o644),
	)
}

// wait returns when the daemon listens.
func (d *Daemon) wait() error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-d.ended:
			d.ended <- err
			return fmt.Errorf("clamd ended at once: %w", err)
		default:
		}
		conn, err := net.Dial("unix", strings.TrimPrefix(d.Address, "unix:"))
		if err == nil {
			conn.Close()
			return nil
		}
	}
	return errors.New("clamd does not listen")
}

// Stop ends the daemon.
func (d *Daemon) Stop() {
	d.cmd.Process.Signal(syscall.SIGCONT) // it may have been hung
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-d.ended:
		d.ended <- err
	case <-time.After(10 * time.Second):
		d.cmd.Process.Kill()
		err := <-d.ended
		d.ended <- err
	}
}

// Hang stops the daemon where it is: it takes connections and answers nothing. A signal is taken some time after it was
// sent, so the daemon is waited for: until every thread has stopped it may still answer.
func (d *Daemon) Hang() error {
	if err := d.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if stopped(d.cmd.Process.Pid) {
			return nil
		}
	}
	return errors.New("clamd does not stop")
}

// stopped reports whether every thread of a process is stopped: T behind the name in its stat file, see proc(5).
func stopped(pid int) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		return false
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if at := bytes.LastIndexByte(b, ')'); err != nil || at < 0 || !bytes.HasPrefix(b[at:], []byte(") T")) {
			return false
		}
	}
	return true
}

// Wake lets a hung daemon go on.
func (d *Daemon) Wake() { d.cmd.Process.Signal(syscall.SIGCONT) }

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
