package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"gatepost/filters/mail"
)

// A Visit is one sender that was asked to come again, and whether it did.
type Visit struct {
	ID     string    `json:"id"` // for people: of the list and of Pass
	Who    string    `json:"who"`
	From   string    `json:"mail_from"`
	Rcpt   string    `json:"rcpt"`
	First  time.Time `json:"first"`
	Tries  int       `json:"tries"`
	Passed bool      `json:"passed"`
	Until  time.Time `json:"until"` // then it is forgotten
}

// Terms say how long a visit waits, within which time it must come back, and how long it is then remembered.
type Terms struct{ Delay, Window, Life time.Duration }

// ErrNoVisit is returned for an id under which nobody waits.
var ErrNoVisit = errors.New("nobody waits under this id")

// idOf is what people call the visit under a key. It says nothing about the key.
func idOf(key string) string {
	sum := sha256.Sum256([]byte("visit " + key))
	return hex.EncodeToString(sum[:8])
}

// longestText bounds each text of a visit that is kept.
const longestText = 320

// fit is v with texts that can be kept and shown.
func (v Visit) fit(key string) Visit {
	v.ID = idOf(key)
	v.Who, v.From, v.Rcpt = mail.Printable(v.Who, longestText), mail.Printable(v.From, longestText), mail.Printable(v.Rcpt, longestText)
	return v
}

// maxTries is where counting ends.
const maxTries = 1 << 20

// come is what becomes of a visit that is there at now, and how long it still must wait.
func (v Visit) come(now time.Time, t Terms) (Visit, time.Duration) {
	if !now.Before(v.Until) || v.First.After(now.Add(time.Minute)) { // forgotten, or the clock was set back
		v.First, v.Tries, v.Passed, v.Until = now, 0, false, now.Add(t.Window)
	}
	v.Tries = min(v.Tries+1, maxTries)
	if !v.Passed {
		if left := t.Delay - now.Sub(v.First); left > 0 {
			return v, left
		}
	}
	v.Passed, v.Until = true, now.Add(t.Life)
	return v, 0
}
