package admin

import (
	"context"
	"errors"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/policies"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// This file is the rooms that need not be there: where one of these is nil in Deps, its pages and buttons are absent.

// Policies is the policy as people look at it.
type Policies interface {
	// Current is the policy in force.
	Current(ctx context.Context) (PolicyInForce, error)
	// Check says what is wrong with a draft of the policy file, and what it would change.
	Check(ctx context.Context, text string) (PolicyCheck, error)
	// Replay judges recorded mail under a draft, which has no problems.
	Replay(ctx context.Context, text string, since time.Time) (PolicyReplay, error)
}

// A PolicyChanger changes the policy: checked like a reload, made whole or not at all, and kept, so that it can be
// taken back. Problems are why nothing was changed.
type PolicyChanger interface {
	// Apply puts a text in place of the policy file that base named; ErrPolicyMoved if it is another by now.
	Apply(ctx context.Context, text, base string) ([]conf.Problem, error)
	// Kept is an earlier policy; ErrNoPolicy for a name that is not kept.
	Kept(ctx context.Context, name string) (KeptPolicy, error)
	// Restore puts an earlier policy in force again.
	Restore(ctx context.Context, name string) ([]conf.Problem, error)
}

// Entries keeps the allow and deny entries that people make.
type Entries interface {
	// Add makes an entry. Problems are why it was not made.
	Add(ctx context.Context, e policy.Entry) ([]conf.Problem, error)
	// Remove takes one away, by its key; ErrNoEntry if it is not there.
	Remove(ctx context.Context, key string) ([]conf.Problem, error)
	// Hits counts the mail since an instant that each entry decides, by the place where the entry stands.
	Hits(ctx context.Context, since time.Time) (map[string]int, error)
}

// A Testwright writes policy tests.
type Testwright interface {
	// TestOf is a test, as an entry of tests, that a recorded message is treated as it was. ErrNoFacts if it was
	// refused before it could be judged.
	TestOf(ctx context.Context, id string) (string, error)
}

// A Rescanner judges held mail again, by what is known today.
type Rescanner interface {
	Rescan(ctx context.Context, id string) (Rescan, error)
}

// A Teacher learns from what people say of mail.
type Teacher interface {
	// Teach learns that a message is spam, or that it is not. The same message taught again counts once; the other
	// way round it is unlearnt first. ErrTaughtEnough if the teacher taught as much as one may in a day, ErrNothingToLearn
	// if the message holds nothing to learn from.
	Teach(ctx context.Context, l Lesson) error
}

// A Lesson is a held message and what somebody says of it.
type Lesson struct {
	ID      string
	Content mail.Source
	Spam    bool
	By      string // the teacher's account
}

// Waiters are first-time senders who were told to come back.
type Waiters interface {
	// Waiting lists them, longest first, at most limit.
	Waiting(ctx context.Context, limit int) ([]Waiter, error)
	// LetThrough takes a sender's next attempt at once; ErrNoWaiter if none waits under the key.
	LetThrough(ctx context.Context, key string) error
}

// A Waiter is one sender who was told to come back.
type Waiter struct {
	Key      string    `json:"key"`
	Client   string    `json:"client"`
	Sender   string    `json:"sender"`
	Rcpt     string    `json:"recipient"`
	First    time.Time `json:"first"` // attempt
	Ready    time.Time `json:"ready"` // from then on an attempt is taken
	Attempts int       `json:"attempts"`
}

// Holds is accepted mail that waits for its next hop.
type Holds interface {
	// Held lists it, oldest first, at most limit, and how many there are in all.
	Held(ctx context.Context, limit int) (list []HeldMail, all int, err error)
	// Retry tries delivery now; without ids, of everything.
	Retry(ctx context.Context, ids []string, by string) error
	// Cancel removes a message for good. ErrNoMail if it is not there, or being sent.
	Cancel(ctx context.Context, id, by string) error
}

// A HeldMail is one message on hold.
type HeldMail struct {
	ID       string    `json:"id"`
	MailFrom string    `json:"mail_from"`
	Rcpts    []string  `json:"recipients"` // who still wait
	Size     int64     `json:"size"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Next     time.Time `json:"next,omitzero"`
	Attempts int       `json:"attempts"`
	Last     string    `json:"last,omitempty"` // what the next hop said
}

// TLSReadiness says who sends without TLS.
type TLSReadiness interface {
	// Readiness counts the mail since an instant; senders with most wanted mail in clear text come first.
	Readiness(ctx context.Context, since time.Time) (TLSReport, error)
}

// A TLSReport is how mail came, and who would be cut off if TLS were required.
type TLSReport struct {
	Messages int         `json:"messages"`
	Clear    int         `json:"clear"` // of them, in clear text
	Senders  []TLSSender `json:"senders"`
}

// A TLSSender is one domain that sends in clear text.
type TLSSender struct {
	Domain string    `json:"domain"`
	TLS    int       `json:"tls"`             // messages over TLS
	Clear  int       `json:"clear"`           // messages in clear text
	Wanted int       `json:"wanted"`          // of these, how many were accepted
	Stage  string    `json:"stage,omitempty"` // what is asked of it now
	Last   time.Time `json:"last"`
	Error  string    `json:"error,omitempty"` // of the last handshake that failed
}

// Acquaintances are the people and domains that were learnt from mail.
type Acquaintances interface {
	// Known lists those of a kind (senders, ours, partners, links) that match a text, best known first, at most limit.
	Known(ctx context.Context, kind, text string, limit int) ([]Acquaintance, error)
	// Forget removes one; ErrNoneSuch if it is not there.
	Forget(ctx context.Context, address string) error
}

// An Acquaintance is an address or a domain that was learnt.
type Acquaintance struct {
	Address  string    `json:"address"`
	Name     string    `json:"name,omitempty"`
	Messages int       `json:"messages"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Proved   bool      `json:"proved"` // its mail is authenticated
}

// The errors of the rooms.
var (
	ErrPolicyMoved    = errors.New("the policy file was changed meanwhile")
	ErrNoPolicy       = errors.New("no such kept policy")
	ErrNoEntry        = errors.New("no such entry")
	ErrNoFacts        = errors.New("it was refused before it could be judged: there are no facts to test by")
	ErrNoWaiter       = errors.New("nobody waits under this key")
	ErrNoMail         = errors.New("the message is not on hold, or is being sent")
	ErrTaughtEnough   = errors.New("taught as much as one may in a day")
	ErrNothingToLearn = errors.New("nothing to learn from")
	ErrNoneSuch       = errors.New("nobody of that name is known")
)

// A PolicyInForce is the policy that judges now.
type PolicyInForce struct {
	Policy     *policy.Policy
	Generation uint64
	File       string          // name of the policy file; empty: the shipped policy judges, and there is nothing to edit
	Text       string          // of the file as it is on the disk
	Base       string          // names this state of the file
	History    []policies.Kept // newest first; the first is in force
}

// A PolicyCheck is what is to be said of a draft.
type PolicyCheck struct {
	Problems []conf.Problem
	Changes  []policy.Change // against the policy in force; none where there are problems with the text
	Tests    policy.TestReport
}

// A PolicyReplay is what would have come of recorded mail under a draft.
type PolicyReplay struct {
	policy.Differences
	Since time.Time // how far back it went
	Whole bool      // as far as was asked
}

// A KeptPolicy is an earlier policy.
type KeptPolicy struct {
	Text    string
	Changes []policy.Change // that putting it back would make
}

// A Rescan is what a message is judged to be today.
type Rescan struct {
	Class  policy.Class
	Action policy.Action
	Text   string   // what decided, one sentence
	NotRun []string // filters that had to look and could not
}
