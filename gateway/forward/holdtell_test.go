package forward

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/filters/mail"
)

// sender is who sends every message of these tests.
func sender() mail.Address {
	a, err := mail.ParseAddress("s@s.test")
	if err != nil {
		panic(err)
	}
	return a
}

// A teller tells every sender.
type teller struct {
	asked int
	no    bool
	fails error
	told  []string
}

func (t *teller) May(h Held, src mail.Source, why []Outcome) bool {
	t.asked++
	return h.Vouched && !t.no
}

func (t *teller) Notice(h Held, src mail.Source, why []Outcome) (Delivery, error) {
	var gone []string
	for _, o := range why {
		gone = append(gone, o.Rcpt.String()+" "+o.Reply.Error())
	}
	return Delivery{
		Envelope: &mail.Envelope{ID: h.ID}, Rcpts: []mail.Address{h.Envelope.From}, Via: why[0].Rcpt.Domain(),
		Source: strings.NewReader(strings.Join(gone, ", ")),
	}, t.fails
}

func (t *teller) Told(h Held, last Outcome) {
	t.told = append(t.told, fmt.Sprint(h.ID, " ", last.Rcpt, " ", last.Reply.Code))
}

// goneAnd refuses gone@ and other@, and answers for the sender as say does.
func goneAnd(say func(n int) (int, error)) func(string, int) (int, error) {
	return func(rcpt string, n int) (int, error) {
		switch {
		case rcpt == "s@s.test":
			return say(n)
		case rcpt == "later@b.test" && n < 3:
			return 452, nil
		case rcpt == "a@b.test":
			return 250, nil
		}
		return 550, nil
	}
}

func TestASenderIsToldOnceOfAllWhoWereRefused(t *testing.T) { // J-07, FP-21
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(goneAnd(func(n int) (int, error) {
			if n < 2 {
				return 451, ErrDown
			}
			return 250, nil
		}))
		to := &teller{}
		given := 0
		h := open(t, HoldConfig{Directory: newCrashFS(), Sender: s, Teller: to, GiveUp: func(context.Context, Held, mail.Source, []Outcome) error {
			given++
			return nil
		}})
		h.Put(t.Context(), message("m1", "x", "gone@b.test", "a@b.test", "later@b.test"))
		during(t, h, 5*time.Minute)
		if s.tries["s@s.test"] != 0 {
			t.Error("told before every recipient was settled")
		}
		during(t, h, 5*time.Hour)
		if s.got["s@s.test"] != 1 || s.bodies["s@s.test"] != "gone@b.test 550 5.0.0 so, later@b.test 550 5.0.0 so" || given != 2 || to.asked != 1 {
			t.Errorf("%v, %q, given up %d times, asked %d times", s.got, s.bodies, given, to.asked)
		}
		if n, _ := h.Depth(); n != 0 || fmt.Sprint(to.told) != "[m1 s@s.test 250]" {
			t.Errorf("%d on hold, told %v", n, to.told)
		}
	})
}

func TestATellingThatFailsIsNotTriedForEver(t *testing.T) { // J-05, HOSTILE 5.4
	for name, say := range map[string]func(int) (int, error){
		"refused": func(int) (int, error) { return 550, nil }, "down": func(int) (int, error) { return 451, ErrDown }, "later": func(int) (int, error) { return 451, nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(goneAnd(say))
			to, given := &teller{}, 0
			h := open(t, HoldConfig{Directory: newCrashFS(), Sender: s, Teller: to, GiveUp: func(context.Context, Held, mail.Source, []Outcome) error {
				given++
				return nil
			}})
			h.Put(t.Context(), message("m1", "x", "gone@b.test"))
			during(t, h, 48*time.Hour)
			if n, _ := h.Depth(); n != 0 || given != 1 || len(to.told) != 1 || s.tries["s@s.test"] > maxTellings || s.got["s@s.test"] != 0 {
				t.Errorf("%s: %d on hold, given up %d times, told %v, tried %d times", name, n, given, to.told, s.tries["s@s.test"])
			}
		})
	}
}

func TestNobodyIsToldWhoMayNotBe(t *testing.T) { // J-05, J-06, P-14
	for name, c := range map[string]struct {
		teller Teller
		reply  int
	}{"no teller": {nil, 550}, "the teller says no": {&teller{no: true}, 550}, "it is too late rather than refused": {&teller{}, 451}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(func(rcpt string, _ int) (int, error) { return c.reply, nil })
			given := 0
			h := open(t, HoldConfig{Directory: newCrashFS(), Sender: s, Teller: c.teller, GiveUp: func(context.Context, Held, mail.Source, []Outcome) error {
				given++
				return nil
			}})
			h.Put(t.Context(), message("m1", "x", "gone@b.test"))
			during(t, h, 6*24*time.Hour)
			if n, _ := h.Depth(); n != 0 || given != 1 || s.tries["s@s.test"] != 0 {
				t.Errorf("%s: %d on hold, given up %d times, told %d times", name, n, given, s.tries["s@s.test"])
			}
		})
	}
}

func TestWhoIsStillToBeToldIsShownAndCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newCrashFS()
		s := newScripted(goneAnd(func(int) (int, error) { return 451, ErrDown }))
		giveUp := func(context.Context, Held, mail.Source, []Outcome) error { return nil }
		h := open(t, HoldConfig{Directory: dir, Sender: s, Teller: &teller{}, GiveUp: giveUp})
		h.Put(t.Context(), message("m1", "x", "gone@b.test"))
		during(t, h, 10*time.Minute)
		held, _, c, err := h.Show("m1")
		if err != nil || !held.Telling || fmt.Sprint(held.Rcpts) != "[s@s.test]" {
			t.Fatalf("%+v, %v", held, err)
		}
		c.Close()
		// Without a teller, as when the setting is off again, it ends there.
		h = open(t, HoldConfig{Directory: dir, Sender: s, GiveUp: giveUp})
		during(t, h, 2*time.Hour)
		if n, _ := h.Depth(); n != 0 || s.got["s@s.test"] != 0 {
			t.Errorf("%d on hold, %v", n, s.got)
		}
		h.Put(t.Context(), message("m2", "x", "gone@b.test"))
		if err := h.Cancel("m2", "ops"); err != nil {
			t.Error(err)
		}
		if _, _, _, err := h.Show("m2"); !errors.Is(err, ErrNotHeld) {
			t.Error(err)
		}
	})
}
