package oracle

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Fate is what must become of a letter in the end.
type Fate int

// The fates.
const (
	Passes  Fate = iota // arrives at each of its recipients
	Kept                // is quarantined for each
	Refused             // is refused
)

// A Letter is one message of a run.
type Letter struct {
	ID      string // its Message-ID, which tells it from all others
	Fate    Fate
	Rcpts   []string
	Content string // with CRLF line ends
	Sum     [sha256.Size]byte
}

// Nobody is a recipient whom the next hop does not know, although the gateway takes mail for it.
const Nobody = "nobody@example.com"

// Zone is what the senders of letters publish.
const Zone = `friend.example TXT v=spf1 ip4:127.0.0.1 -all
_dmarc.friend.example TXT v=DMARC1; p=reject
bank.example TXT v=spf1 ip4:192.0.2.1 -all
_dmarc.bank.example TXT v=DMARC1; p=reject
`

// Write makes the letter with a number. The same seed and number make the same letter.
func Write(seed uint64, n int) *Letter {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	l := &Letter{ID: fmt.Sprintf("%d.%x@friend.example", n, seed), Rcpts: []string{"bob@example.com"}}
	from, body := "Ann <ann@friend.example>", ""
	switch kind := r.IntN(100); {
	case kind < 10:
		l.Fate = Kept
		body = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + "TEST-FILE!$H+H*\r\n"
	case kind < 13:
		l.Fate = Refused
		from = "Bank <service@bank.example>"
	case kind < 15:
		body = filler(r, 300<<10) // goes to a file on its way in
	case kind < 25:
		l.Rcpts = append(l.Rcpts, "carol@example.com", "dave@example.com")
	case kind < 29:
		l.Rcpts = append(l.Rcpts, Nobody)
	}
	if body == "" {
		body = "Good morning.\r\n..dots..\r\n.\r\n" + filler(r, r.IntN(6<<10))
	}
	l.Content = "From: " + from + "\r\nTo: <" + strings.Join(l.Rcpts, ">, <") + ">\r\nSubject: Letter " + fmt.Sprint(n) +
		"\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <" + l.ID + ">\r\n\r\n" + body
	l.Sum = sha256.Sum256([]byte(l.Content))
	return l
}

// filler is text of about n bytes.
func filler(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "Line %d of a letter about nothing in particular, %x.\r\n", b.Len(), r.Uint64())
	}
	return b.String()
}

// from is the reverse-path.
func (l *Letter) from() string { return "ann@friend.example" }
