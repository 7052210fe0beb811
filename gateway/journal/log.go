package journal

import (
	"log/slog"
	"strconv"

	"gatepost/filters/mail"
)

// maxShown bounds one value of a log line, in bytes.
const maxShown = 200

// LogLine is what a log line says of r: the message is the kind, these are its attributes. Every value that a stranger
// had a hand in is printable (P-26).
func LogLine(r *Record) []slog.Attr {
	line := make(logLine, 0, 16)
	line.text("id", r.ID)
	if r.Client.IsValid() {
		line.text("client", r.Client.String())
	}
	line.text("client_name", r.Name)
	line.text("helo", r.Helo)
	line.text("tls", r.TLS.Version)
	if r.Kind == Message || r.From != "" {
		line = append(line, slog.String("mail_from", mail.Printable(r.From, maxShown)))
	}
	if len(r.Rcpts) > 0 {
		line.text("rcpt", r.Rcpts[0])
	}
	if len(r.Rcpts) > 1 {
		line = append(line, slog.Int("rcpts", len(r.Rcpts)))
	}
	line.text("message_id", r.MsgID)
	if r.Size > 0 {
		line = append(line, slog.Int64("size", r.Size))
	}
	line.text("verb", r.Verb)
	if d := r.Decision; d != nil {
		line.text("decision", string(d.Action))
		line.text("class", string(d.Class))
		line = append(line, slog.String("score", d.Score.String()))
		for _, code := range d.Decided {
			line.text("decided", code)
			break
		}
	}
	line.reply(r)
	line.text("action", r.Action)
	line.text("actor", r.Actor)
	line.text("note", r.Note)
	if us, ok := r.Micros["total"]; ok {
		line = append(line, slog.Int64("total_us", us))
	}
	return line
}

// logLine gathers attributes.
type logLine []slog.Attr

// text adds a value that is not empty.
func (l *logLine) text(name, value string) {
	if value != "" {
		*l = append(*l, slog.String(name, mail.Printable(value, maxShown)))
	}
}

// reply adds what the client was told, and where copies went.
func (l *logLine) reply(r *Record) {
	if r.Reply.Code != 0 {
		l.text("reply", code(r))
		l.text("text", r.Reply.Text)
	}
	for _, b := range r.Because {
		l.text("because", b.Text)
		break
	}
	for _, f := range r.Fates {
		l.text("fate", f.Fate)
		l.text("hop", f.Hop)
		break
	}
}

// code is "550 5.7.1".
func code(r *Record) string {
	if r.Reply.Enhanced == "" {
		return strconv.Itoa(r.Reply.Code)
	}
	return strconv.Itoa(r.Reply.Code) + " " + r.Reply.Enhanced
}
