package smtp

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
)

// A limitProof is one limit, and how to do so much of what it bounds. do returns the reply to the last of it.
type limitProof struct {
	limits Limits
	n      int // the limit
	stress bool
	do     func(t *testing.T, o *clockwork, n int) string
	reply  string // beyond the limit
	event  string // that is counted then
}

// last is the reply to the last of n commands in a session that has begun so.
func last(before ...string) func(line string) func(*testing.T, *clockwork, int) string {
	return func(line string) func(*testing.T, *clockwork, int) string {
		return func(t *testing.T, o *clockwork, n int) string {
			c := o.greeted(t)
			for _, b := range before {
				c.ask(b, "250")
			}
			reply := ""
			for range n {
				c.send(line + "\r\n")
				reply = c.want("")
			}
			return reply
		}
	}
}

// sending sends one message and returns the reply to it.
func sending(make func(n int) string) func(*testing.T, *clockwork, int) string {
	return func(t *testing.T, o *clockwork, n int) string {
		c := o.ready(t)
		c.send(make(n) + "\r\n.\r\n")
		return c.want("")
	}
}

// dials opens n connections and returns the greeting of the last.
func dials(t *testing.T, o *clockwork, n int) string {
	reply := ""
	for range n {
		reply = o.dial(t).want("")
	}
	return reply
}

const mailFrom, nobody, x = "MAIL FROM:<a@client.example>", "RCPT TO:<nobody@x.example>", "A: b\r\n\r\n"

// limitProofs are all limits, by their key in the configuration.
var limitProofs = map[string]limitProof{
	"message_bytes": {Limits{MessageBytes: 70000}, 70000, false, sending(func(n int) string {
		return x + strings.Repeat(strings.Repeat("y", 98)+"\r\n", (n-len(x)-2-60)/100) + strings.Repeat("z", (n-len(x)-2-60)%100+60)
	}), "552 5.3.4", "size_limit"},
	"recipients":              {Limits{Recipients: 7}, 7, false, last(mailFrom)("RCPT TO:<b@x.example>"), "452 4.5.3", "recipient_limit"},
	"connections":             {Limits{Connections: 6, Reserve: -1}, 6, false, dials, "421 4.3.2", "connection_limit"},
	"reserve_percent":         {Limits{Connections: 10, Reserve: 30}, 7, false, dials, "421 4.3.2", "connection_limit"},
	"messages_per_session":    {Limits{Messages: 4}, 4, false, messages, "421 4.7.0", "messages_per_session"},
	"command_bytes":           {Limits{CommandBytes: 600}, 600, false, longCommand, "500 5.5.2", "command_line_long"},
	"line_bytes":              {Limits{LineBytes: 1000}, 1000, false, sending(func(n int) string { return x + strings.Repeat("y", n) }), "550 5.6.0", "text_line"},
	"header_bytes":            {Limits{HeaderBytes: 20000}, 20000, false, sending(header), "550 5.6.0", "header_limit"},
	"header_field_bytes":      {Limits{FieldBytes: 1500}, 1500, false, sending(func(n int) string { return "S: " + strings.Repeat("y", n-5) + "\r\n\r\nz" }), "550 5.6.0", "header_limit"},
	"header_fields":           {Limits{Fields: 60}, 60, false, sending(func(n int) string { return strings.Repeat("A: b\r\n", n) + "\r\nz" }), "550 5.6.0", "header_limit"},
	"errors":                  {Limits{Errors: 8}, 8, false, last()("MAIL FROM:<a@b@c>"), "421 4.7.0", "errors"},
	"unknown_commands":        {Limits{UnknownCommands: 3}, 3, false, last()("FOO"), "421 4.7.0", "unknown_commands"},
	"junk_commands":           {Limits{Junk: 9}, 9, false, last()("NOOP"), "421 4.7.0", "junk_commands"},
	"unknown_recipients":      {Limits{UnknownRcpts: 5}, 5, false, last(mailFrom)(nobody), "421 4.7.0", "unknown_recipients"},
	"excess_recipients":       {Limits{Recipients: 1, ExcessRcpts: 4}, 4, false, last(mailFrom, "RCPT TO:<b@x.example>")("RCPT TO:<c@x.example>"), "421 4.7.0", "recipient_excess"},
	"null_sender_recipients":  {Limits{NullSenderRcpts: 3}, 3, false, last("MAIL FROM:<>")("RCPT TO:<b@x.example>"), "452 4.5.3", "recipient_limit"},
	"stress_errors":           {Limits{StressErrors: 2}, 2, true, last()("MAIL FROM:<a@b@c>"), "421 4.7.0", "errors"},
	"stress_junk_commands":    {Limits{StressJunk: 2}, 2, true, last()("NOOP"), "421 4.7.0", "junk_commands"},
	"soft_errors":             {Limits{SoftErrors: 4}, 4, false, late(last()("MAIL FROM:<a@b@c>")), "late", "tarpit"},
	"soft_unknown_recipients": {Limits{SoftUnknownRcpts: 3}, 3, false, late(last(mailFrom)(nobody)), "late", "tarpit"},
}

// messages sends n messages in a session.
func messages(t *testing.T, o *clockwork, n int) string {
	c := o.greeted(t)
	for range n - 1 {
		c.ask(mailFrom, "250")
		c.ask("RCPT TO:<b@x.example>", "250")
		c.ask("DATA", "354")
		c.ask("x\r\n.", "250")
	}
	c.send(mailFrom + "\r\n")
	return c.want("")
}

func longCommand(t *testing.T, o *clockwork, n int) string {
	c := o.greeted(t)
	c.send("NOOP " + strings.Repeat("y", n-7) + "\r\n")
	return c.want("")
}

// header is a header section of n octets, and a body.
func header(n int) string {
	one := "A: " + strings.Repeat("y", 495) + "\r\n"
	return strings.Repeat(one, n/500-1) + "A: " + strings.Repeat("z", n-(n/500-1)*500-5) + "\r\n\r\nbody"
}

// late is what do was answered, or "late" if it took time.
func late(do func(*testing.T, *clockwork, int) string) func(*testing.T, *clockwork, int) string {
	return func(t *testing.T, o *clockwork, n int) (reply string) {
		if took(func() { reply = do(t, o, n) }) > 0 {
			return "late"
		}
		return reply
	}
}

// HOSTILE 3.3: each limit allows n and not one more, and says so in a metric; none is left out.
func TestEachLimitAllowsItsNumberAndNotOneMore(t *testing.T) {
	fields := reflect.TypeFor[Limits]()
	for i := range fields.NumField() {
		key := fields.Field(i).Tag.Get("yaml")
		b, ok := limitProofs[key]
		if !ok {
			t.Errorf("%s is not tested", key)
			continue
		}
		for _, off := range []int{-1, 0, 1} {
			cfg := Config{Limits: over(b.limits), Stress: func() bool { return b.stress }, Reserved: func(netip.Addr) bool { return false }}
			cfg.Limits.Reserve = max(cfg.Limits.Reserve, 0)
			h := &recorder{rcpt: func(a mail.Address) *Reply {
				if a.Local() == "nobody" {
					return ReplyUnknownRecipient()
				}
				return nil
			}}
			if b.reply != "late" {
				cfg.Limits.SoftErrors, cfg.Limits.SoftUnknownRcpts = 0, 0
			}
			in(t, h, cfg, ListenerOptions{}, func(t *testing.T, o *clockwork) {
				got := b.do(t, o, b.n+off)
				if refused := strings.HasPrefix(got, b.reply); refused != (off > 0) {
					t.Errorf("%s%+d: %q", key, off, got)
				}
				time.Sleep(time.Millisecond) // the session counts after it has answered
				if counted := o.srv.Stats().Events[b.event] > 0; counted != (off > 0) {
					t.Errorf("%s%+d: event %s counted: %v", key, off, b.event, counted)
				}
			})
		}
	}
}
