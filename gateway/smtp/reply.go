package smtp

import "fmt"

// A Reply is one SMTP reply. Replies come from the dictionary in dictionary.go, or are a next hop's own words.
type Reply struct {
	Code     int
	Enhanced string // RFC 3463; empty only where the protocol has none (220 banner, 354, EHLO)
	Text     string // one line, printable ASCII, at most 512 bytes
	Close    bool   // the connection ends after it
}

// Error makes a refusal an error.
func (r *Reply) Error() string { return fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Text) }

// Temporary reports whether the client may try again.
func (r *Reply) Temporary() bool { return r.Code/100 == 4 }

// Positive reports whether the reply says yes (2yz or 3yz).
func (r *Reply) Positive() bool { return r.Code/100 == 2 || r.Code/100 == 3 }
