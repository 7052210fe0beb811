package filters

import (
	"context"

	"gatepost/filters/mail"
)

// A Filter examines one message and reports what it found. No findings and no error: it looked and saw nothing.
// An error: it could not look, which is never an opinion about the message; what it did find before the error
// still counts. Check honours ctx, does not modify m, and may run concurrently with other filters and with itself.
type Filter interface {
	Check(ctx context.Context, m *mail.Mail) (Facts, error)
}

// A Follower is a filter of a later stage that looks at a message together with what the stages before its own found. Follow is
// called in place of Check, on the same terms; it does not modify before. What filters of its own stage find, it does not see.
type Follower interface {
	Follow(ctx context.Context, m *mail.Mail, before Report) (Facts, error)
}

// A Stage is the moment at which a filter runs.
type Stage int

// The stages, in the order in which a message passes them.
const (
	AtEnvelope Stage = iota // before 354: only the envelope is known
	AtMessage               // the content is there
	AtDepth                 // costly; skipped once policy is settled
)
