package smtp

import "sync/atomic"

// An Event is something that a Server counts: a limit that was hit, an abuse that was seen.
type Event int

// The events of a Server.
const (
	EventConnection     Event = iota // a connection was accepted by the kernel
	EventConnLimit                   // Limits.Connections reached, or its unreserved part
	EventConnRefused                 // the Handler refused the connection
	EventAcceptError                 // accept failed for want of files or memory
	EventProxyBad                    // no or bad PROXY header, or none of our proxies
	EventEarlyTalker                 // bytes before the banner
	EventForeign                     // another protocol, or a header line as a command
	EventSync                        // input where the client must wait
	EventLineLong                    // command line too long
	EventLineEnd                     // command line with bare CR or LF
	EventIdle                        // no command in time
	EventCommandSlow                 // a command begun and not ended in time
	EventSessionLong                 // session took too long
	EventErrors                      // too many errors
	EventUnknownCommand              // too many unknown commands
	EventJunk                        // too many commands without mail
	EventUnknownRcpts                // too many unknown recipients
	EventRcptLimit                   // a recipient beyond the limit
	EventRcptExcess                  // far too many recipients beyond the limit
	EventMessages                    // too many messages in one session
	EventTLS                         // a handshake succeeded
	EventTLSFailed                   // a handshake failed, for any cause but the next two
	EventTLSTooOld                   // the client has no version that is new enough
	EventTLSALPN                     // the client speaks ALPN, and not of SMTP
	EventTLSMissing                  // 530: no mail before STARTTLS
	EventAuth                        // AUTH was tried
	EventBDAT                        // BDAT was tried
	EventSizeDeclared                // SIZE= beyond the limit
	EventSizeLimit                   // content beyond the size limit
	EventBareLF                      // content with bare LF
	EventBareLFFixed                 // bare LF made CRLF, for an exempted network
	EventBareCR                      // content with bare CR
	EventNUL                         // content with NUL
	EventTextLine                    // text line too long
	EventHeaderLimit                 // header section, field or count beyond its limit
	EventDataSlow                    // content idle, too slow, or too long on the way
	EventDataCut                     // the client left within the content
	EventPanic                       // a Session panicked
	EventMessage                     // a message came in whole
	EventWrite                       // a reply was not taken in time
	EventTarpit                      // an answer was late on purpose, beyond a soft limit
	EventDropped                     // an idle session made room for others, under stress
	eventCount
)

// eventNames are the metric label of each Event.
var eventNames = [eventCount]string{
	"connection", "connection_limit", "connection_refused", "accept_error", "proxy_bad", "early_talker", "foreign_protocol",
	"sync", "command_line_long", "command_line_end", "idle", "command_slow", "session_long", "errors", "unknown_commands",
	"junk_commands", "unknown_recipients", "recipient_limit", "recipient_excess", "messages_per_session", "tls",
	"tls_failed", "tls_too_old", "tls_alpn", "tls_missing", "auth", "bdat", "size_declared", "size_limit", "bare_lf",
	"bare_lf_fixed", "bare_cr", "nul", "text_line", "header_limit", "data_slow", "data_cut", "panic", "message", "write",
	"tarpit", "dropped",
}

// String is the event's name in metrics.
func (e Event) String() string {
	if e < 0 || e >= eventCount {
		return "unknown"
	}
	return eventNames[e]
}

// counters count events; they are safe for concurrent use.
type counters [eventCount]atomic.Int64

// Stats is a snapshot of what a Server has seen since it was made.
type Stats struct {
	Open   int              // connections open now
	Events map[string]int64 // by Event name; all names are there
}
