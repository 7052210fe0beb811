package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatepost/test/harness"
)

// strangers makes every client wait for the banner, and trusts nobody.
const strangers = "timeouts: {greet_delay: 2s}\n"

// letterFile writes the hello to a file as a program on this machine would.
func letterFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "letter")
	if err := os.WriteFile(path, []byte(hello), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// feed runs a program with a file as its input.
func feed(t *testing.T, cmd *exec.Cmd, file string) string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out.String())
	}
	return out.String()
}

// arrived wants n messages at the sink, and no refusal in the log.
func arrived(t *testing.T, w *harness.World, n int) {
	t.Helper()
	if got := w.Sink.Count(); got != n {
		t.Errorf("%d of %d messages arrived", got, n)
	}
	if w.Logged(`"msg":"refusal"`) > 0 {
		t.Error("the client was refused something")
	}
}

// Real mail programs, all of them strangers under the greet delay and the tests for bots, with TLS offered and required.
func TestRealClientsPassTheTestsForBots(t *testing.T) {
	for _, tls := range []string{"offered", "required"} {
		t.Run("TLS "+tls, func(t *testing.T) {
			for name, send := range map[string]func(*testing.T, *harness.World){"Exim": exim, "OpenSMTPD": openSMTPD, "swaks": swaks, "OpenSSL": openssl, "posttls-finger": finger} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					send(t, harness.Start(t, harness.Setup{Zone: friend, Config: strangers, TLS: tls}))
				})
			}
		})
	}
	t.Run("smtp-source", func(t *testing.T) {
		t.Parallel()
		w := harness.Start(t, harness.Setup{Zone: friend, Config: strangers})
		output(t, harness.Need(t, "smtp-source"), "-s", "5", "-m", "50", "-f", "ann@friend.example", "-t", "bob@example.com", w.SMTP)
		arrived(t, w, 50)
	})
}

const eximConfig = `exim_path = %[3]s
keep_environment = LD_LIBRARY_PATH
deliver_drop_privilege
exim_user = nobody
exim_group = nogroup
never_users =
spool_directory = %[1]s
log_file_path = %[1]s/log.%%s
primary_hostname = client.example
begin routers
gate:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = out
  self = send
begin transports
out:
  driver = smtp
  port = %[2]s
`

// exim delivers by Exim. It wants a user of its own to exist, so it sees a list of users that has one.
func exim(t *testing.T, w *harness.World) {
	program, _ := harness.Unpacked(t, "usr/sbin/exim4")
	dir, err := os.MkdirTemp("", "gatepost-exim-") // other users must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o777)
	if err := os.Mkdir(filepath.Join(dir, "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(w.SMTP)
	conf := filepath.Join(dir, "exim.conf")
	for name, text := range map[string]string{
		conf:                         fmt.Sprintf(eximConfig, filepath.Join(dir, "spool"), port, filepath.Join(dir, "root", "usr", "sbin", "exim4")),
		filepath.Join(dir, "passwd"): read(t, "/etc/passwd") + "Debian-exim:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
		filepath.Join(dir, "group"):  read(t, "/etc/group") + "Debian-exim:x:65534:\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script := `mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && mount --bind "$2" "$1/root" && mount -o remount,bind,nosuid "$1/root" &&
LD_LIBRARY_PATH=$(echo "$1"/root/usr/lib/*-linux-gnu) exec "$1/root/usr/sbin/exim4" -C "$1/exim.conf" -odf -f ann@friend.example bob@example.com`
	cmd := exec.Command(harness.Need(t, "unshare"), "-m", "sh", "-c", script, "sh", dir, strings.TrimSuffix(program, "/usr/sbin/exim4"))
	out := feed(t, cmd, letterFile(t))
	logs, _ := filepath.Glob(filepath.Join(dir, "spool", "log.*"))
	for _, l := range logs {
		out += read(t, l)
	}
	if w.Sink.Count() != 1 || !strings.Contains(out, "=> bob@example.com") || !strings.Contains(out, "X=TLS1.3") {
		t.Errorf("Exim says: %s", out)
	}
	arrived(t, w, 1)
}

// read is the content of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// openSMTPD delivers by OpenSMTPD's client.
func openSMTPD(t *testing.T, w *harness.World) {
	program, env := harness.Unpacked(t, "usr/bin/smtp")
	cmd := exec.Command(program, "-C", "-H", "client.example", "-F", "ann@friend.example", "-s", "smtp+tls://"+w.SMTP, "bob@example.com")
	cmd.Env = env
	feed(t, cmd, letterFile(t))
	arrived(t, w, 1)
}

// swaks delivers by swaks.
func swaks(t *testing.T, w *harness.World) {
	host, port, _ := net.SplitHostPort(w.SMTP)
	out := output(t, harness.Need(t, "swaks"), "--server", host, "--port", port, "--tls", "--from", "ann@friend.example", "--to", "bob@example.com", "--helo", "client.example",
		"--data", strings.ReplaceAll(hello, "\n", "\\n"))
	if !strings.Contains(out, "TLS started") {
		t.Errorf("swaks says: %s", out)
	}
	arrived(t, w, 1)
}

// openssl speaks through openssl s_client, line by line.
func openssl(t *testing.T, w *harness.World) {
	cmd := exec.Command(harness.Need(t, "openssl"), "s_client", "-starttls", "smtp", "-name", "client.example", "-connect", w.SMTP, "-quiet", "-crlf")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	heard := &bytes.Buffer{}
	wait := func(code string) {
		t.Helper()
		b := make([]byte, 4096)
		for !strings.Contains("\n"+heard.String(), "\n"+code+" ") {
			n, err := out.Read(b)
			heard.Write(b[:n])
			if err != nil {
				t.Fatalf("waiting for %s: %v after %q", code, err, heard)
			}
		}
		heard.Reset()
	}
	for _, step := range [][2]string{{"EHLO client.example", "250"}, {"MAIL FROM:<ann@friend.example>", "250"}, {"RCPT TO:<bob@example.com>", "250"}, {"DATA", "354"},
		{strings.ReplaceAll(hello, "\n.", "\n..") + ".", "250"}, {"quit", "221"}} {
		if _, err := fmt.Fprintln(in, step[0]); err != nil {
			t.Fatal(err)
		}
		wait(step[1])
	}
	arrived(t, w, 1)
}

// finger looks at the handshake with Postfix's tool, as careful senders do before they trust a host.
func finger(t *testing.T, w *harness.World) {
	host, port, _ := net.SplitHostPort(w.SMTP)
	out := output(t, harness.Need(t, "posttls-finger"), "-c", "-l", "encrypt", "-L", "summary", "["+host+"]:"+port)
	if !strings.Contains(out, "TLS connection established") || !strings.Contains(out, "TLSv1.3") {
		t.Errorf("posttls-finger says: %s", out)
	}
	arrived(t, w, 0)
}

const haproxyConfig = `defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen one
  bind 127.0.0.1:%[1]s
  server gate %[3]s send-proxy
listen two
  bind 127.0.0.1:%[2]s
  server gate %[3]s send-proxy-v2
`

func TestHAProxyTellsWhoTheClientIs(t *testing.T) {
	program := harness.Need(t, "haproxy")
	w := harness.Start(t, harness.Setup{Zone: friend, Config: strangers, Listener: "proxy_protocol: [127.0.0.1/32]"})
	one, two := freePort(t), freePort(t)
	conf := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(conf, fmt.Appendf(nil, haproxyConfig, one, two, w.SMTP), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := exec.Command(program, "-db", "-f", conf)
	var log bytes.Buffer
	proxy.Stderr = &log
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Process.Signal(syscall.SIGTERM); proxy.Wait() })
	for i, port := range []string{one, two} {
		client := fmt.Sprintf("127.0.%d.9", 40+i)
		harness.Eventually(t, "HAProxy listens", func() bool {
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		out := output(t, harness.Need(t, "swaks"), "--server", "127.0.0.1", "--port", port, "--local-interface", client, "--tls", "--from", "ann@friend.example", "--to", "bob@example.com",
			"--helo", "client.example", "--data", strings.ReplaceAll(hello, "\n", "\\n"))
		if !strings.Contains(out, "<~  250") && !strings.Contains(out, "250 2.0.0") {
			t.Errorf("swaks through HAProxy: %s", out)
		}
		if w.Logged(`"client":"`+client+`"`) == 0 {
			t.Errorf("the gateway does not know %s", client)
		}
	}
	arrived(t, w, 2)
	d := harness.Dial(t, w.SMTP) // a client without the header may not pretend to be one with it
	d.Raw("EHLO c.example\r\n")
	d.Closed()
}

// freePort is a port that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
