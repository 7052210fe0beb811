package attach

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// The limits of one message (HOSTILE.md section 3.3).
const (
	maxInflated = 200 << 20 // octets out of all containers together
	maxEntry    = 100 << 20 // octets of one entry
	maxEntries  = 10_000
	maxDepth    = 5
	maxRatio    = 100     // octets out for one in
	ratioFrom   = 1 << 20 // from this size on
	maxWindow   = 64 << 20
	maxListed   = 1_000 // attachments in the facts; those beyond are examined all the same
	maxPerCode  = 16    // findings of one code
	maxWall     = 15 * time.Second
)

// A limitError says which limit ended the examination.
type limitError string

func (e limitError) Error() string { return "limit reached: " + string(e) }

// A budget is what one message may cost. All its parts and containers share it.
type budget struct {
	ctx      context.Context
	until    time.Time
	inflated int64
	entries  int
}

// entry pays for one more entry.
func (b *budget) entry() error {
	if b.entries++; b.entries > maxEntries {
		return limitError("entries")
	}
	return b.alive()
}

// alive reports whether there is time left.
func (b *budget) alive() error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if time.Now().After(b.until) {
		return limitError("time")
	}
	return nil
}

// read inflates r, which packed octets became, up to the first limit. What was read comes back also with an error.
func (b *budget) read(r io.Reader, packed int64) ([]byte, error) {
	var out bytes.Buffer
	most := int64(maxEntry)
	limit := "entry-size"
	if n := max(packed*maxRatio, ratioFrom); n < most {
		most, limit = n, "ratio"
	}
	if n := maxInflated - b.inflated; n < most {
		most, limit = n, "inflated-size"
	}
	if most < 0 { // whatever is left of the message costs nothing more
		return nil, limitError(limit)
	}
	const step = 256 << 10
	for {
		if err := b.alive(); err != nil {
			return out.Bytes(), err
		}
		n, err := io.CopyN(&out, r, step)
		b.inflated += n
		if int64(out.Len()) > most {
			return out.Bytes(), limitError(limit)
		}
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return out.Bytes(), err
		}
	}
}
