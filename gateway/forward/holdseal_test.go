package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway/disk"
)

// keyring is keys, each made of one digit.
func keyring(t testing.TB, digits string) *disk.Keys {
	t.Helper()
	var text strings.Builder
	for _, d := range digits {
		text.WriteString(strings.Repeat(string(d), 64) + "\n")
	}
	keys, err := disk.ParseKeys(text.String())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

const secret = "the figures of the third quarter"

func TestHeldMailCannotBeReadWithoutItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		s := newScripted(yes)
		text := "x" + strings.Repeat(secret+"\r\n", 5000) // more than one piece of the seal
		h := open(t, HoldConfig{Directory: dir, Sender: s})
		h.Put(t.Context(), message("m1", text, "old@b.test"))
		h = open(t, HoldConfig{Directory: dir, Sender: s, Keys: keyring(t, "a")})
		h.Put(t.Context(), message("m2", text, "a@b.test"))
		if !bytes.Contains(dir.names["m1.mail"].data, []byte(secret)) || bytes.Contains(dir.names["m2.mail"].data, []byte(secret)) {
			t.Error("the content can be read, or could not be before")
		}
		// It is read with a new key first, and so is what was never sealed.
		h = open(t, HoldConfig{Directory: dir, Sender: s, Keys: keyring(t, "ba")})
		_, src, c, err := h.Show("m2")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size())); err != nil || string(got) != text {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		c.Close()
		h.Put(t.Context(), message("m3", text, "b@b.test"))
		during(t, h, time.Hour)
		for _, r := range []string{"old@b.test", "a@b.test", "b@b.test"} {
			if s.bodies[r] != "A: \xff\r\n"+text[1:] {
				t.Errorf("%s got %.20q", r, s.bodies[r])
			}
		}
	})
}

func TestAMissingKeyStopsTheStartAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		s := newScripted(yes)
		h := open(t, HoldConfig{Directory: dir, Sender: s, Keys: keyring(t, "a")})
		h.Put(t.Context(), message("m1", "x"+secret, "a@b.test"))
		for name, keys := range map[string]*disk.Keys{"none": nil, "another": keyring(t, "b")} {
			_, err := OpenHold(HoldConfig{Directory: dir, Sender: s, Keys: keys})
			if !errors.Is(err, disk.ErrNoKey) || !strings.Contains(err.Error(), "1 messages") || !strings.Contains(err.Error(), "quarantine.key") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if dir.names["m1.mail"] == nil {
			t.Fatal("the message is gone")
		}
		// Should the key be lost while the process runs, the message waits.
		sick := open(t, HoldConfig{Directory: dir, Sender: s, Keys: keyring(t, "a")})
		sick.cfg.Keys = nil
		during(t, sick, 2*time.Hour)
		if len(s.got) != 0 || dir.names["m1.mail"] == nil {
			t.Error("it was sent, or given up")
		}
		h = open(t, HoldConfig{Directory: dir, Sender: s, Keys: keyring(t, "ba")})
		during(t, h, 2*time.Hour)
		if s.bodies["a@b.test"] != "A: \xff\r\n"+secret {
			t.Errorf("%q", s.bodies)
		}
		// Nothing is sealed with it any more: it is not missed.
		if _, err := OpenHold(HoldConfig{Directory: dir, Sender: s, Keys: keyring(t, "b")}); err != nil {
			t.Error(err)
		}
		if names, _ := dir.Names(); fmt.Sprint(names) != "["+keyring(t, "b").Name()+".key]" {
			t.Error(names)
		}
	})
}

func TestAnAlteredSealedMessageIsNotSent(t *testing.T) { // P-03, P-08
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		keys := keyring(t, "a")
		h := open(t, HoldConfig{Directory: dir, Sender: newScripted(yes), Keys: keys})
		h.Put(t.Context(), message("m1", "x"+secret, "a@b.test"))
		whole := bytes.Clone(dir.names["m1.mail"].data)
		for at := range whole {
			dir.names["m1.mail"].data = bytes.Clone(whole)
			dir.names["m1.mail"].data[at] ^= 1
			hf, err := readHold(crashHandle{dir, dir.names["m1.mail"]}, keys)
			if err != nil {
				continue
			}
			src, err := hf.source()
			if err != nil {
				continue
			}
			if b, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size())); err == nil {
				t.Fatalf("byte %d altered: read %q", at, b)
			}
		}
	})
}

func TestWhatIsOnHoldIsReadAfterTheStart(t *testing.T) { // T-08
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		s := newScripted(yes)
		h := open(t, HoldConfig{Directory: dir, Sender: s})
		for i := range 5 {
			h.Put(t.Context(), message(fmt.Sprint("m", i), "x", fmt.Sprintf("r%d@b.test", i)))
		}
		dir.names["m9.mail"] = &crashFile{data: []byte("rubbish")}
		h, err := OpenHold(HoldConfig{Directory: dir, Sender: s})
		if err != nil {
			t.Fatal(err)
		}
		if n, bytes := h.Depth(); n != 6 || bytes != 0 || len(h.IDs()) != 6 {
			t.Errorf("%d messages, %d bytes, %v", n, bytes, h.IDs())
		}
		if held, _, c, err := h.Show("m1"); err != nil || held.ID != "m1" || held.Next.IsZero() && held.Attempts != 0 {
			t.Error(held, err)
		} else {
			c.Close()
		}
		if err := h.Cancel("m1", "ops"); !errors.Is(err, ErrHoldBusy) {
			t.Error(err)
		}
		if err := h.Put(t.Context(), message("m1", "x", "new@b.test")); err != nil { // the id is taken
			t.Error(err)
		}
		h.Retry() // which holds for what is not read yet, too
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		done := make(chan struct{})
		go func() { h.Run(ctx); close(done) }()
		if damaged := h.Load(ctx); fmt.Sprint(damaged) != "[m9.mail]" {
			t.Error(damaged)
		}
		<-done
		if n, bytes := h.Depth(); n != 0 || bytes != 0 || len(s.got) != 6 {
			t.Errorf("%d on hold, %d bytes, %v", n, bytes, s.got)
		}
	})
}
