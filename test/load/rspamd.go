package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// withRspamd starts Postfix as a relay that has every message judged by Rspamd, a milter on a Unix socket: SPF, DKIM, DMARC,
// ARC and its rules, two processes, without lists, learning and what asks other servers. It tags and refuses nothing.
func (b *bench) withRspamd(sink string) error {
	dir, err := os.MkdirTemp("", "rspamd")
	if err != nil {
		return err
	}
	b.stop = append(b.stop, func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "milter.sock")
	if err := b.writeRspamd(dir, socket); err != nil {
		return err
	}
	cmd := exec.Command(find("rspamd"), "-f", "-i", "-c", "/etc/rspamd/rspamd.conf",
		"--var=LOCAL_CONFDIR="+dir, "--var=DBDIR="+dir, "--var=RUNDIR="+dir, "--var=LOGDIR="+dir)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start rspamd (test/setup.sh rspamd installs it): %w", err)
	}
	b.stop = append(b.stop, func() { end(cmd) })
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("wait for rspamd: %w", err)
		}
	}
	settle(cmd.Process.Pid)
	p, err := launchPostfix("relayhost = "+bracketed(sink), "in_flow_delay = 0", "smtpd_milters = unix:"+socket, "milter_default_action = tempfail")
	if err != nil {
		return err
	}
	b.stop = append(b.stop, p.Stop)
	pid, err := p.Master()
	if err != nil {
		return err
	}
	b.systems = append(b.systems, system{name: "Postfix + Rspamd, milter: SPF, DKIM, DMARC, ARC, rules", addr: p.Address, roots: []int{pid, cmd.Process.Pid}})
	return nil
}

// settle waits until a program that has started has nothing to do any more: Rspamd compiles its patterns, and is slower
// before.
func settle(pid int) {
	idle := 0
	last, _ := usage(pid)
	for range 180 {
		time.Sleep(time.Second)
		now, _ := usage(pid)
		if idle++; now-last > 0.05 {
			idle = 0
		}
		if last = now; idle == 5 {
			return
		}
	}
}

// writeRspamd writes what Rspamd is to do otherwise than it comes.
func (b *bench) writeRspamd(dir, socket string) error {
	files := map[string]string{
		"options.inc":         fmt.Sprintf("dns { nameserver = [\"%s:10\"]; timeout = 1s; retransmits = 2; }\nlocal_addrs = [];\n", b.zone.Addr()),
		"worker-proxy.inc":    fmt.Sprintf("bind_socket = \"%s mode=0666\"; milter = yes; timeout = 120s; count = 2;\nupstream \"local\" { default = yes; self_scan = yes; }\n", socket),
		"worker-normal.inc":   "enabled = false;\n",
		"actions.conf":        "reject = 9999; add_header = 6; greylist = 9998;\n",
		"milter_headers.conf": "use = [\"x-spam-status\", \"authentication-results\"];\n",
		"logging.inc":         "type = \"file\"; filename = \"$LOGDIR/rspamd.log\"; level = \"notice\";\n",
	}
	for _, check := range []string{"spf", "dkim", "arc", "dmarc"} { // clients are on loopback, which is not looked at else
		files[check+".conf"] = "check_local = true;\n"
	}
	for _, off := range []string{"fuzzy_check", "greylist", "neural", "rspamd_update", "rbl", "surbl", "asn", "phishing", "mx_check", "reputation", "replies", "ratelimit", "classifier-bayes"} {
		files[off+".conf"] = "enabled = false;\n"
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Postfix comes as a user of its own
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "local.d"), 0o755); err != nil {
		return err
	}
	controller, err := freeAddress()
	if err != nil {
		return err
	}
	files["worker-controller.inc"] = fmt.Sprintf("bind_socket = %q;\n", controller)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "local.d", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bracketed is an address as Postfix has it: without a look-up of MX records.
func bracketed(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return "[" + host + "]:" + port
}
