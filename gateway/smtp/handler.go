package smtp

import (
	"context"
	"io"
	"net/netip"

	"gatepost/filters/mail"
)

// A Handler decides about the connections of a Server.
type Handler interface {
	// Connect is called once per connection, before the banner. A non-nil Reply is sent instead of the banner and
	// the connection is closed.
	Connect(ctx context.Context, p Peer) (Session, *Reply)
}

// A Peer is who connected.
type Peer struct {
	Remote   netip.Addr // unmapped; from the PROXY header where a trusted proxy sent one
	Port     uint16
	Local    netip.AddrPort
	Listener string // the listener's configured address
}

// A Hello is what the client said of itself.
type Hello struct {
	Name  string // as given: a domain or an address literal
	ESMTP bool
	TLS   mail.TLS
}

// Capabilities are the extensions that may be offered now, besides those that the server itself provides.
type Capabilities struct {
	Size     int64 // most bytes of a message; 0: no SIZE is offered
	EightBit bool
	SMTPUTF8 bool
	MaxRcpts int
}

// MailParams are the parameters of MAIL.
type MailParams struct {
	Size     int64 // declared; 0 if not
	EightBit bool  // BODY=8BITMIME
	SMTPUTF8 bool
}

// A Session handles one connection's transactions. The server calls its methods one at a time, in protocol order,
// and replies for itself whatever breaks the protocol's rules. A nil Reply accepts with the ordinary reply.
type Session interface {
	Hello(ctx context.Context, h Hello) (Capabilities, *Reply)
	Mail(ctx context.Context, from mail.Address, p MailParams) *Reply
	Rcpt(ctx context.Context, to mail.Address) *Reply
	// Data is asked before 354.
	Data(ctx context.Context) *Reply
	// Message is given the content as it comes: dots unstuffed, CRLF line ends, io.EOF at the end of data. An error
	// other than io.EOF means that no whole message came and that the server answers for itself: whatever was
	// done must be undone and the returned Reply is not sent. Message ends the transaction. ctx is cancelled when
	// the server is shut down hard or the client is gone.
	Message(ctx context.Context, body io.Reader) *Reply
	// Reset drops the transaction: RSET, a second EHLO, STARTTLS.
	Reset()
	// Refused is told of every refusal that the server made by itself, for the record; verb is upper case, and
	// "" stands for what came before any command.
	Refused(ctx context.Context, verb string, r *Reply)
	// Close is called once, when the connection ends.
	Close()
}
