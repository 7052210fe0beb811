package fault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatepost/test/harness"
)

// A smallDisk is a bench whose data directory is a file system of its own, which it can fill.
type smallDisk struct {
	bench
	root string // of it, as this process sees it
	n    int
}

func newSmallDisk(t *testing.T, options string) *smallDisk {
	t.Helper()
	s := &smallDisk{}
	s.more = "limits: {message_bytes: 64KiB, header_bytes: 64KiB, header_field_bytes: 32KiB}\n"
	s.prepare(t, "hold")
	data := filepath.Join(s.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	harness.Need(t, "unshare")
	s.Wrap = []string{"unshare", "-Urm", "sh", "-c", `mount -t tmpfs -o ` + options + ` tmpfs "$0" && exec "$@"`, data}
	s.Run()
	s.root = fmt.Sprintf("/proc/%d/root%s", s.Pid, data)
	return s
}

// fillBytes takes all room but some.
func (s *smallDisk) fillBytes(t *testing.T, but int) {
	t.Helper()
	s.n++
	f, err := os.Create(filepath.Join(s.root, fmt.Sprintf("filler-%d", s.n)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for block := make([]byte, 64<<10); ; {
		k, err := f.Write(block)
		n += k
		if errors.Is(err, syscall.ENOSPC) && len(block) > 1 {
			block = block[:len(block)/2]
			continue
		}
		if err != nil {
			break
		}
	}
	if err := f.Truncate(int64(n - but)); err != nil {
		t.Fatal(err)
	}
}

// fillInodes makes files until there can be no more.
func (s *smallDisk) fillInodes(t *testing.T) {
	t.Helper()
	for {
		s.n++
		if err := os.WriteFile(filepath.Join(s.root, fmt.Sprintf("filler-%d", s.n)), nil, 0o600); err != nil {
			return
		}
	}
}

// clear makes room again.
func (s *smallDisk) clear(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.root, "filler-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := os.Remove(n); err != nil {
			t.Fatal(err)
		}
	}
}

const virus = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-" + "TEST-FILE!$H+H*\n"

// TestAFullDiskIsARefusalForNowEarlyAndLate fills the disk, by bytes and by inodes, before a message begins and while it
// comes in: nothing is accepted that cannot be kept, health says so, and all is well once there is room.
func TestAFullDiskIsARefusalForNowEarlyAndLate(t *testing.T) { // S-01, S-02, S-04, P-10, P-32
	for name, c := range map[string]struct {
		options string
		fill    func(*smallDisk, *testing.T)
	}{
		"nearly full":     {"size=12m", func(s *smallDisk, t *testing.T) { s.fillBytes(t, 40<<10) }},
		"exactly nothing": {"size=12m", func(s *smallDisk, t *testing.T) { s.fillBytes(t, 0) }},
		"no inode left":   {"size=64m,nr_inodes=800", (*smallDisk).fillInodes},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSmallDisk(t, c.options)
			ready := func() int {
				code, _ := s.Get("/readyz")
				return code
			}
			if ready() != 200 || !strings.HasPrefix(s.say(t, letter("1@friend.example")), "250 ") {
				t.Fatal("not well at the start")
			}
			d := harness.Dial(t, s.SMTP) // this one has begun before the disk is full
			defer d.Close()
			d.Talk("S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
			c.fill(s, t)
			d.Raw(harness.Wire(letter("2@friend.example")+virus) + ".\r\n")
			if late := d.Reply(); name != "nearly full" && !strings.HasPrefix(late, "452 4.3.1") && !strings.HasPrefix(late, "451 4.3.0") {
				t.Errorf("while it comes in: %q", late)
			}
			harness.Eventually(t, "health tells", func() bool { return ready() == 503 })
			harness.Eventually(t, "MAIL is refused for now", func() bool { // the disk is asked once a second
				early := harness.Dial(t, s.SMTP)
				defer early.Close()
				early.Talk("S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<ann@friend.example>")
				return strings.HasPrefix(early.Reply(), "452 4.3.1")
			})
			s.clear(t)
			harness.Eventually(t, "health tells that all is well", func() bool { return ready() == 200 })
			if reply := s.say(t, letter("3@friend.example")+virus); !strings.HasPrefix(reply, "250 ") {
				t.Errorf("with room again: %q", reply)
			}
			if n := s.Sink.Count(); n != 1 {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
}
