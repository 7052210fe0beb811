package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/test/harness/badsink"
)

const heldConfig = `version: 1
hostname: mx.load.example
data_dir: %[1]s/data
listeners:
  - {address: "127.0.0.1:0", tls: "off"}
domains:
  - {name: example.com, downstream: ["%[2]s"], downstream_tls: "off", recipients: any, when_down: hold}
dns: {servers: ["127.0.0.1:1"]}
admin: {address: "127.0.0.1:0"}
log: {level: error}
`

// unsynced is a hold directory that leaves when to write to the operating system, to be filled quickly.
type unsynced struct{ *forward.Dir }

func (unsynced) Sync() error { return nil }

// Create gives a file that is not synced either.
func (u unsynced) Create(name string) (forward.File, error) {
	f, err := u.Dir.Create(name)
	return unsyncedFile{f}, err
}

type unsyncedFile struct{ forward.File }

func (unsyncedFile) Sync() error { return nil }

// fill puts n messages of about size bytes on hold in dir.
func fill(dir string, n, size int) error {
	d, err := forward.OpenDir(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	hold, err := forward.OpenHold(forward.HoldConfig{Directory: unsynced{d}})
	if err != nil {
		return err
	}
	from, err := mail.ParseAddress("news@sender00.example")
	if err != nil {
		return err
	}
	body := bytes.Repeat([]byte("A line of a message that waits for its server to come back.\r\n"), size/62+1)
	now := time.Now()
	for i := range n {
		to, err := mail.ParseAddress(fmt.Sprintf("user%d@example.com", i))
		if err != nil {
			return err
		}
		text := fmt.Appendf(nil, "From: <news@sender00.example>\r\nSubject: %d\r\nMessage-ID: <%d@sender00.example>\r\n\r\n%s", i, i, body)
		env := &mail.Envelope{ID: mail.NewID(now), Time: now, Remote: netip.MustParseAddr("192.0.2.1"), Helo: "client.example", ESMTP: true, From: from, Rcpts: []mail.Address{to}}
		err = hold.Put(context.Background(), forward.Delivery{Envelope: env, Rcpts: env.Rcpts, Source: bytes.NewReader(text), Sum: sha256.Sum256(text)})
		if err != nil {
			return err
		}
	}
	return nil
}

// backlog measures a restart with n messages on hold, and how fast they go out once the next hop is back.
func backlog(n, size int) error {
	dir, err := os.MkdirTemp("", "gatepost-held-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	if err := fill(filepath.Join(dir, "data", "hold"), n, size); err != nil {
		return err
	}
	fmt.Printf("%d messages of %d bytes put on hold in %.1f s, without syncs\n", n, size, time.Since(began).Seconds())
	sink, err := badsink.Start(badsink.Script{Discard: true})
	if err != nil {
		return err
	}
	address := sink.Address()
	sink.Close() // it is down
	path := filepath.Join(dir, "gatepost.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, heldConfig, dir, address), 0o600); err != nil {
		return err
	}
	empty, err := restart(dir, path, true)
	if err != nil {
		return err
	}
	full, err := restart(dir, path, false)
	if err != nil {
		return err
	}
	defer end(full.cmd)
	fmt.Printf("start with nothing on hold: ready after %.2f s, %.0f MB resident\n", empty.took.Seconds(), float64(empty.rss)/1e6)
	fmt.Printf("start with %d on hold:  ready after %.2f s, %.0f MB resident\n", n, full.took.Seconds(), float64(full.rss)/1e6)
	if sink, err = badsink.Start(badsink.Script{Discard: true, Address: address}); err != nil {
		return err
	}
	defer sink.Close()
	before, _ := usage(full.cmd.Process.Pid)
	began = time.Now()
	if out, err := exec.Command("./gatepost", "hold", "retry", "--all", "-c", path).CombinedOutput(); err != nil {
		return fmt.Errorf("hold retry: %w: %s", err, out)
	}
	asked := time.Since(began)
	last, moved := 0, time.Now()
	for ; sink.Count() < n; time.Sleep(100 * time.Millisecond) {
		if now := sink.Count(); now > last {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > 2*time.Minute {
			return fmt.Errorf("%d of %d went out in %s, and then no more", last, n, time.Since(began))
		}
	}
	took := time.Since(began)
	after, rss := usage(full.cmd.Process.Pid)
	fmt.Printf("drained in %.1f s (%.1f s of it until the command was back): %.0f messages/s, %.2f CPU s/1000, %.0f MB resident at the end, %d connections\n",
		took.Seconds(), asked.Seconds(), float64(n)/took.Seconds(), (after-before)/float64(n)*1000, float64(rss)/1e6, sink.Sessions())
	return nil
}

// A started is a gateway that is ready.
type started struct {
	cmd  *exec.Cmd
	took time.Duration
	rss  int64
}

// restart starts the gateway, with an empty hold queue in place of the real one if asked for, and ends it again then.
func restart(dir, config string, without bool) (*started, error) {
	hold, aside := filepath.Join(dir, "data", "hold"), filepath.Join(dir, "aside")
	if without {
		if err := os.Rename(hold, aside); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	began := time.Now()
	cmd := exec.Command("./gatepost", "serve", "-c", config)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start gatepost (make builds it): %w", err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	s := &started{cmd: cmd, took: time.Since(began)}
	var ready struct{ SMTP []string }
	if err != nil || json.Unmarshal(line, &ready) != nil || len(ready.SMTP) == 0 {
		text, _ := os.ReadFile(log.Name())
		end(cmd)
		return nil, fmt.Errorf("gatepost did not become ready: %s", text)
	}
	time.Sleep(time.Second)
	_, s.rss = usage(cmd.Process.Pid)
	if without {
		end(cmd)
		if err := os.RemoveAll(hold); err != nil {
			return nil, err
		}
		return s, os.Rename(aside, hold)
	}
	return s, nil
}
