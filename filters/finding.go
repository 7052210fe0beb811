package filters

import (
	"strings"
	"time"

	"gatepost/filters/mail"
)

// A Finding is one fact with the evidence for it. It has no weight: weight is policy.
type Finding struct {
	Filter string     `json:"filter"`
	Code   string     `json:"code"`  // "dmarc.fail": a stable, documented name; see the package's codes.go
	Text   string     `json:"text"`  // one English sentence, printable, at most 300 bytes
	Proof  []Evidence `json:"proof"` // never empty
}

// Evidence points at what proves a finding.
type Evidence struct {
	Where string    `json:"where"`        // "header From", "DNS TXT _dmarc.example.com", "part 2.1", "envelope"
	At    *[2]int64 `json:"at,omitempty"` // offset and length in the message, if it stands there
	What  string    `json:"what"`         // what stands there, printable, at most 200 bytes
}

// A Code documents one finding code; each filter package lists its own in codes.go.
type Code struct {
	Name    string // "dmarc.fail"
	Meaning string // one English sentence for administrators
	Chinese string // the same sentence in Simplified Chinese
}

// State makes the finding of a code, in the words of its meaning. A name that stands in no list keeps itself as its words.
func State(codes []Code, name string, proof ...Evidence) Finding {
	f := Finding{Code: name, Text: name, Proof: proof}
	for _, c := range codes {
		if c.Name == name {
			f.Text = c.Meaning
		}
	}
	return f
}

// Facts is what one filter found out about a message, or a whole chain did. The typed facts are what policy rules
// can name; a nil pointer or slice of a fact that nobody could establish means "absent", never "no".
type Facts struct {
	Findings    []Finding     `json:"findings,omitempty"`
	Message     *MessageFacts `json:"message,omitempty"`    // set by headers
	Auth        *Auth         `json:"auth,omitempty"`       // set by auth
	Attachments []Attachment  `json:"attachments,omitzero"` // set by attach; non-nil, perhaps empty, once it looked
	URLs        []URL         `json:"urls,omitzero"`        // set by links; likewise
	Text        *Text         `json:"text,omitempty"`       // set by content
	Sender      *Sender       `json:"sender,omitempty"`     // set by spoof, if there is an author
}

// A Failure is a filter that could not look, and why.
type Failure struct {
	Filter string `json:"filter"`
	Error  string `json:"error"` // printable, one line, at most 200 bytes; "timeout after 5s"
}

// A Report is all facts about one message, in chain order whoever finished first, and who could not look.
type Report struct {
	Facts
	Failures []Failure `json:"not_run,omitempty"`
	Timings  []Timing  `json:"-"` // how long each filter took, in chain order
}

// A Timing is how long one filter took.
type Timing struct {
	Filter string
	Micros int64
}

// MessageFacts is what the header block says, decoded, for rules and for people.
type MessageFacts struct {
	From       string   `json:"from,omitempty"`        // first author address, canonical
	FromDomain string   `json:"from_domain,omitempty"` // its domain, A-labels
	FromName   string   `json:"from_name,omitempty"`   // display name, decoded, controls removed
	Froms      []string `json:"froms,omitempty"`       // every address a reader might be shown as author, if more than one
	To         []string `json:"to,omitempty"`
	ReplyTo    []string `json:"reply_to,omitempty"`
	Subject    string   `json:"subject,omitempty"`
	Date       string   `json:"date,omitempty"` // RFC 3339; empty if missing or unreadable
	MessageID  string   `json:"message_id,omitempty"`
	Size       int64    `json:"size"`
	// Header is the message's own, for message.header("name") in rules; nil where it is not known.
	Header Header `json:"-"`
	// Kept is the part of Header that a recorded message keeps: the fields that the rules of its time asked for.
	Kept map[string][]string `json:"header,omitempty"`
}

// A Header is the fields of a message as they were sent. Few rules ask for any, so they are decoded when one does.
type Header []mail.Field

// Values are the decoded values of the fields of that name, in any case, in order of appearance; nil if there are none.
func (h Header) Values(name string) []string {
	var list []string
	for i := range h {
		if len(h[i].Name) == len(name) && strings.EqualFold(h[i].Name, name) {
			list = append(list, mail.DecodeWords(mail.Unfold(h[i].Value)))
		}
	}
	return list
}

// An Attachment is one part, or one member of an archive, that a person could open or save.
type Attachment struct {
	Name       string   `json:"name"`            // best candidate
	Names      []string `json:"names,omitempty"` // every name that a mail program might show
	Type       string   `json:"type"`            // media type by content
	Declared   string   `json:"declared,omitempty"`
	Size       int64    `json:"size"`
	SHA256     string   `json:"sha256"`
	Path       []string `json:"path,omitempty"` // containers from the outside in, then the name: ["a.zip","b.exe"]
	Macro      bool     `json:"macro"`
	Encrypted  bool     `json:"encrypted"`
	Executable bool     `json:"executable"`
	Defects    []string `json:"defects,omitempty"`
}

// A URL is one link, where it stood and what the reader saw.
type URL struct {
	URL    string `json:"url"`
	Host   string `json:"host"`
	Domain string `json:"domain"` // organisational domain
	Text   string `json:"text,omitempty"`
}

// Sender is what is remembered of the author's address. It proves nothing: an address can be forged, see Auth.
type Sender struct {
	Remembered    bool      `json:"remembered"`              // enough is remembered for what follows to mean something
	FirstSeen     time.Time `json:"first_seen,omitzero"`     // the first accepted message of this address; zero if there was none
	Messages      int       `json:"messages"`                // how many were accepted, ageing; 0 of a stranger
	Authenticated bool      `json:"authenticated,omitempty"` // most of them were authenticated
	FirstContact  bool      `json:"first_contact,omitempty"` // none of them was to one of the recipients
	FreeMail      bool      `json:"free_mail,omitempty"`     // a mailbox that anybody can open
}

// Text is what the readable text looks like.
type Text struct {
	Language string `json:"language,omitempty"` // ISO 639-1
	Words    int    `json:"words"`
}

// Auth is who vouches for a message: SPF, DKIM, DMARC and ARC in the words of RFC 8601 section 2.7.
type Auth struct {
	SPF     SPF    `json:"spf"`      // of the reverse-path (RFC 7208 section 2.4)
	SPFHelo SPF    `json:"spf_helo"` // of the HELO name
	DKIM    []DKIM `json:"dkim"`
	DMARC   DMARC  `json:"dmarc"`
	ARC     ARC    `json:"arc"`
	IPRev   string `json:"iprev,omitempty"`  // RFC 8601 section 2.7.3
	Origin  string `json:"origin,omitempty"` // behind a trusted forwarder: the client that SPF and IPRev are about, or "unknown"
	Domain  string `json:"domain,omitempty"` // the authenticated domain: aligned with From and proven; empty if none
	By      string `json:"by,omitempty"`     // what proved Domain: "dkim", "spf" or "arc"
}

// SPF is one SPF evaluation.
type SPF struct {
	Result      string `json:"result"`
	Domain      string `json:"domain,omitempty"`
	Explanation string `json:"explanation,omitempty"`
	Mechanism   string `json:"mechanism,omitempty"` // the term that matched
	Reason      string `json:"reason,omitempty"`    // what went wrong, or why there is no result
	Weak        bool   `json:"weak,omitempty"`      // passes, yet so would half the world: +all, or more than 65536 addresses
}

// DKIM is one signature.
type DKIM struct {
	Result    string `json:"result"`
	Domain    string `json:"domain,omitempty"`
	Selector  string `json:"selector,omitempty"`
	Identity  string `json:"identity,omitempty"` // i=
	Algorithm string `json:"algorithm,omitempty"`
	Bits      int    `json:"bits,omitempty"` // RSA key length
	Reason    string `json:"reason,omitempty"`
	Aligned   bool   `json:"aligned"`
	Weak      bool   `json:"weak,omitempty"`      // passes, yet leaves Subject, To or Content-Type unsigned, or the like
	Signature string `json:"signature,omitempty"` // the first characters of b=, which tell signatures apart (RFC 6008)
	Token     string `json:"token,omitempty"`     // names a signature that passed: count recipients by it to see replays
}

// DMARC is the evaluation of RFC 9989.
type DMARC struct {
	Result      string `json:"result"`
	Policy      string `json:"policy,omitempty"`      // what the domain owner published and applies here
	Disposition string `json:"disposition,omitempty"` // what the record asks for after test mode: none, quarantine, reject
	Domain      string `json:"domain,omitempty"`      // where the record was found
	From        string `json:"from,omitempty"`        // author domain evaluated
	Reason      string `json:"reason,omitempty"`
}

// ARC is the state of the chain (RFC 8617).
type ARC struct {
	Result  string `json:"result"`
	Reason  string `json:"reason,omitempty"`
	Sealer  string `json:"sealer,omitempty"` // d= of the newest seal
	Trusted bool   `json:"trusted,omitempty"`
	Sets    int    `json:"sets,omitempty"`
}
