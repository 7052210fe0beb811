package postfix

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const program = "/usr/sbin/postfix"

// A Config says what the instance does. The zero Config takes mail for b.test and keeps it in Maildirs of its own.
type Config struct {
	Relay string   // host:port to pass mail on to; empty: keep it
	Main  []string // more lines of main.cf, such as "smtpd_tls_security_level = may"
}

// A Postfix is a running instance.
type Postfix struct {
	Address string // host:port of its SMTP server
	Domain  string // that it takes mail for: b.test
	dir     string
	conf    string
}

// Start makes an instance and stops it when the test ends. Where Postfix is not installed, or the test has not the rights
// to start it, the test is skipped; under CI (environment variable CI) it fails.
func Start(t testing.TB, cfg Config) *Postfix {
	t.Helper()
	if _, err := os.Stat(program); err != nil || os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("Postfix is not installed, or this is not root, whom it needs to start")
		}
		t.Skip("Postfix is not installed, or this is not root, whom it needs to start")
	}
	p, err := Launch(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Launch makes an instance for a program that is no test; Stop ends it and removes its files.
func Launch(cfg Config) (*Postfix, error) {
	p := &Postfix{Domain: "b.test"}
	var err error
	// Postfix's sockets need a short path that its own user may pass through, which a test's own directory is not.
	if p.dir, err = os.MkdirTemp("", "postfix"); err != nil {
		return nil, err
	}
	p.conf = filepath.Join(p.dir, "conf")
	if p.Address, err = freeAddress(); err == nil {
		err = p.prepare(cfg)
	}
	if err != nil {
		os.RemoveAll(p.dir)
		return nil, fmt.Errorf("prepare Postfix: %w", err)
	}
	if out, err := exec.Command(program, "-c", p.conf, "start").CombinedOutput(); err != nil {
		os.RemoveAll(p.dir)
		return nil, fmt.Errorf("start Postfix: %w: %s", err, out)
	}
	if err := p.wait(); err != nil {
		log := p.Log()
		p.Stop()
		return nil, fmt.Errorf("wait for Postfix: %w\n%s", err, log)
	}
	return p, nil
}

// Master is the process id of the instance's master, the root of its processes.
func (p *Postfix) Master() (int, error) {
	b, err := os.ReadFile(filepath.Join(p.dir, "queue", "pid", "master.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// Stop ends the instance and removes its files.
func (p *Postfix) Stop() {
	exec.Command(program, "-c", p.conf, "stop").Run()
	os.RemoveAll(p.dir)
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// prepare lays out the directory and the configuration.
func (p *Postfix) prepare(cfg Config) error {
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return err
	}
	for _, d := range []string{"conf", "queue", "data", "mail"} {
		if err := os.Mkdir(filepath.Join(p.dir, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"data", "mail"} {
		if err := os.Chown(filepath.Join(p.dir, d), uid, -1); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(p.conf, "main.cf"), []byte(p.main(cfg, owner)), 0o644); err != nil {
		return err
	}
	return p.services()
}

func (p *Postfix) main(cfg Config, owner *user.User) string {
	lines := []string{
		"compatibility_level = 3.6",
		"queue_directory = " + filepath.Join(p.dir, "queue"),
		"data_directory = " + filepath.Join(p.dir, "data"),
		"maillog_file = " + filepath.Join(p.dir, "data", "log"), "maillog_file_prefixes = " + p.dir,
		"command_directory = /usr/sbin", "daemon_directory = /usr/lib/postfix/sbin",
		"mail_owner = postfix", "setgid_group = postdrop",
		"myhostname = postfix.test", "mydestination =", "local_recipient_maps =", "local_transport = error:no local mail",
		"alias_maps =", "alias_database =",
		"inet_interfaces = 127.0.0.1", "inet_protocols = ipv4", "mynetworks =",
		"smtpd_relay_restrictions = reject_unauth_destination", "smtpd_recipient_restrictions =",
		"smtpd_error_sleep_time = 0", "smtpd_client_connection_count_limit = 0",
		"smtp_tls_security_level = none",
		"header_size_limit = 1024000",
	}
	if cfg.Relay == "" {
		lines = append(lines,
			"virtual_mailbox_domains = "+p.Domain, "virtual_mailbox_base = "+filepath.Join(p.dir, "mail"),
			"virtual_mailbox_maps = inline:{{b@b.test=b/} {c@b.test=c/} {d@b.test=d/}}",
			"virtual_uid_maps = static:"+owner.Uid, "virtual_gid_maps = static:"+owner.Gid, "virtual_mailbox_limit = 0")
	} else {
		host, port, _ := net.SplitHostPort(cfg.Relay)
		lines = append(lines, "relay_domains = "+p.Domain, fmt.Sprintf("relayhost = [%s]:%s", host, port))
	}
	return strings.Join(append(lines, cfg.Main...), "\n") + "\n"
}

// services writes master.cf from the distribution's, with our port and without chroot.
func (p *Postfix) services() error {
	const proto = "/etc/postfix/master.cf.proto"
	b, err := os.ReadFile(proto)
	if err != nil {
		return err
	}
	lines := strings.Split(string(b), "\n")
	for i, l := range lines {
		f := strings.Fields(l)
		switch {
		case len(f) < 8 || strings.HasPrefix(l, "#") || strings.HasPrefix(l, " "):
		case f[0] == "smtp" && f[1] == "inet":
			lines[i] = p.Address + " inet n - n - 20 smtpd"
		case f[4] == "y":
			f[4] = "n"
			lines[i] = strings.Join(f, " ")
		}
	}
	return os.WriteFile(filepath.Join(p.conf, "master.cf"), []byte(strings.Join(lines, "\n")), 0o644)
}

// wait returns once the SMTP server greets.
func (p *Postfix) wait() error {
	last := errors.New("no attempt")
	for range 200 {
		c, err := net.DialTimeout("tcp", p.Address, time.Second)
		if err == nil {
			c.SetDeadline(time.Now().Add(5 * time.Second))
			b := make([]byte, 512)
			n, err := c.Read(b)
			c.Close()
			if err == nil && strings.HasPrefix(string(b[:n]), "220") {
				return nil
			}
			last = fmt.Errorf("greeting %q: %w", b[:n], err)
		} else {
			last = err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return last
}

// Log is what Postfix has logged so far.
func (p *Postfix) Log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "data", "log"))
	return string(b)
}

// Mail waits until n messages lie in the mailbox of the local part user, and returns them as Postfix stored them: LF line
// ends, its own header fields (Return-Path, Delivered-To, Received) put first. It fails the test after a minute.
func (p *Postfix) Mail(t testing.TB, user string, n int) [][]byte {
	t.Helper()
	for range 1200 {
		names, _ := filepath.Glob(filepath.Join(p.dir, "mail", user, "new", "*"))
		if len(names) >= n {
			var mails [][]byte
			for _, name := range names {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				mails = append(mails, b)
			}
			return mails
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("mailbox %s has not got %d messages\n%s", user, n, p.Log())
	return nil
}
