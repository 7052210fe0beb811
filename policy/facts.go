package policy

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A factID numbers the facts that an expression can name.
type factID int

const (
	factClient factID = iota
	factClientName
	factHelo
	factMailFrom
	factMailFromDomain
	factRcpt
	factRcptCount
	factTLS
	factTLSVersion
	factTrusted
	factCountry
	factASN
	factSPF
	factSPFHelo
	factDKIM
	factDMARC
	factDMARCPolicy
	factDisposition
	factARC
	factIPRev
	factAuthDomain
	factAuthBy
	factFrom
	factFromDomain
	factFromName
	factFroms
	factTo
	factReplyTo
	factSubject
	factSize
	factDate
	factMessageID
	factAttachments
	factURLs
	factLanguage
	factWords
	factSenderKnown
	factSenderFirstSeen
	factSenderMessages
	factSenderAuthenticated
	factSenderFirstContact
	factSenderFreeMail
	factScore
	factNow
	factCount
)

// A factType describes one fact to the checker, to the reference and to editors.
type factType struct {
	id   factID
	name string
	kind *cel.Type
	doc  string
}

// words is the type of a list of text.
var words = cel.ListType(cel.StringType)

// factTypes are all facts by which rules can be written; read-only.
var factTypes = []factType{
	{factClient, "envelope.client", cel.StringType, "the client's address"},
	{factClientName, "envelope.client_name", cel.StringType, "its reverse name that resolves back; empty if there is none"},
	{factHelo, "envelope.helo", cel.StringType, "the name it gave in HELO or EHLO"},
	{factMailFrom, "envelope.mail_from", cel.StringType, "the reverse-path; empty for <>"},
	{factMailFromDomain, "envelope.mail_from_domain", cel.StringType, "its domain"},
	{factRcpt, "envelope.rcpt", words, "the recipients"},
	{factRcptCount, "envelope.rcpt_count", cel.IntType, "how many they are"},
	{factTLS, "envelope.tls", cel.BoolType, "whether the session is protected"},
	{factTLSVersion, "envelope.tls_version", cel.StringType, "such as TLS 1.3; empty in clear text"},
	{factTrusted, "envelope.trusted", cel.BoolType, "whether the client is in trusted_networks"},
	{factCountry, "envelope.country", cel.StringType, "the client's country, two letters"},
	{factASN, "envelope.asn", cel.IntType, "the number of the client's network"},
	{factSPF, "auth.spf", cel.StringType, "SPF of the reverse-path, a word of RFC 8601"},
	{factSPFHelo, "auth.spf_helo", cel.StringType, "SPF of the HELO name"},
	{factDKIM, "auth.dkim", cel.StringType, "the best of the signatures, aligned ones first"},
	{factDMARC, "auth.dmarc", cel.StringType, "the DMARC result"},
	{factDMARCPolicy, "auth.dmarc_policy", cel.StringType, "what the domain owner published"},
	{factDisposition, "auth.dmarc_disposition", cel.StringType, "what the owner asks for: none, quarantine or reject"},
	{factARC, "auth.arc", cel.StringType, "the state of the ARC chain"},
	{factIPRev, "auth.iprev", cel.StringType, "whether the client's reverse name resolves back"},
	{factAuthDomain, "auth.domain", cel.StringType, "the authenticated domain, aligned with From; empty if there is none"},
	{factAuthBy, "auth.by", cel.StringType, "what proved it: dkim, spf or arc"},
	{factFrom, "message.from", cel.StringType, "the author's address"},
	{factFromDomain, "message.from_domain", cel.StringType, "its domain"},
	{factFromName, "message.from_name", cel.StringType, "the display name, decoded"},
	{factFroms, "message.froms", words, "every address that could be shown as author"},
	{factTo, "message.to", words, "the addresses in To and Cc"},
	{factReplyTo, "message.reply_to", words, "where answers would go"},
	{factSubject, "message.subject", cel.StringType, "the subject, decoded"},
	{factSize, "message.size", cel.IntType, "bytes"},
	{factDate, "message.date", cel.TimestampType, "the Date field; absent if unreadable"},
	{factMessageID, "message.message_id", cel.StringType, "the Message-ID"},
	{factAttachments, "attachments", cel.ListType(attachmentType), "parts and archive members that a person could open"},
	{factURLs, "urls", cel.ListType(urlType), "links"},
	{factLanguage, "text.language", cel.StringType, "ISO 639-1"},
	{factWords, "text.words", cel.IntType, "words of readable text"},
	{factSenderKnown, "sender.known", cel.BoolType, "whether mail of the author's address was accepted before; absent while too little is remembered"},
	{factSenderFirstSeen, "sender.first_seen", cel.TimestampType, "when the first such mail came; absent of a stranger"},
	{factSenderMessages, "sender.messages", cel.IntType, "how many messages of the address were accepted, ageing; 0 of a stranger"},
	{factSenderAuthenticated, "sender.authenticated", cel.BoolType, "whether most of them were authenticated"},
	{factSenderFirstContact, "sender.first_contact", cel.BoolType, "whether none of them was to one of these recipients"},
	{factSenderFreeMail, "sender.free_mail", cel.BoolType, "whether anybody can open a mailbox where the author has his"},
	{factScore, "score", cel.DoubleType, "the points so far"},
	{factNow, "now", cel.TimestampType, "when MAIL was accepted"},
}

// factIndex finds a fact by its name; read-only.
var factIndex = indexFacts()

// presence begins the name of the hidden variable behind has_fact(NAME).
const presence = "@has."

// self is the hidden variable through which has() and header() reach the facts.
const self = "@self"

func indexFacts() map[string]factID {
	m := map[string]factID{}
	for _, f := range factTypes {
		m[f.name] = f.id
	}
	return m
}

// factGroups are the names before the dots; has_fact() takes them, too.
var factGroups = []string{"auth", "message", "text", "sender"}

// An AbsentError is the value of a fact that could not be had.
type absentError struct{ fact string }

func (e *absentError) Error() string { return e.fact + " is not known" }

// absentFacts has one error value for each fact, so that none is made while judging; read-only.
var absentFacts = makeAbsent()

func makeAbsent() []ref.Val {
	out := make([]ref.Val, factCount)
	for _, f := range factTypes {
		out[f.id] = types.WrapErr(&absentError{f.name})
	}
	return out
}

// absentHeader and absentFinding are what header() and has() give when nobody looked.
var (
	absentHeader  = types.WrapErr(&absentError{"message.header"})
	absentFinding = types.WrapErr(&absentError{"has"})
)

// missing is the fact whose absence made an expression unknown, or "" and the error for any other failure.
func missing(err error) string {
	var a *absentError
	if errors.As(err, &a) {
		return a.fact
	}
	return ""
}

// facts answers an expression's names for one message. It is an interpreter.Activation; values are converted once.
type facts struct {
	env   *mail.Envelope
	rep   *filters.Report
	score Points
	open  bool // findings and score are not final: what is not there yet is unknown
	gone  []string
	vals  [factCount]ref.Val
}

var _ interpreter.Activation = (*facts)(nil)

// ResolveName finds a fact; an absent one is an error value.
func (f *facts) ResolveName(name string) (any, bool) {
	if id, ok := factIndex[name]; ok {
		return f.value(id), true
	}
	if name == self {
		return f, true
	}
	if rest, ok := strings.CutPrefix(name, presence); ok {
		return types.Bool(f.present(rest)), true
	}
	return nil, false
}

// Parent is nil: there is no outer scope.
func (f *facts) Parent() interpreter.Activation { return nil }

// present reports whether a fact or a group of facts could be had.
func (f *facts) present(name string) bool {
	switch name {
	case "auth":
		return f.rep.Auth != nil
	case "message":
		return f.rep.Message != nil
	case "text":
		return f.rep.Text != nil
	case "sender":
		return f.rep.Sender != nil
	}
	id, ok := factIndex[name]
	return ok && !types.IsError(f.value(id))
}

// value is a fact, converted on first use. The score is not kept, for it grows.
func (f *facts) value(id factID) ref.Val {
	if id == factScore {
		if f.open {
			return absentFacts[id]
		}
		return types.Double(float64(f.score) / 1000)
	}
	if v := f.vals[id]; v != nil {
		return v
	}
	var v ref.Val
	switch {
	case id < factSPF:
		v = f.envelope(id)
	case id < factFrom:
		v = f.auth(id)
	case id < factAttachments:
		v = f.message(id)
	case id >= factSenderKnown && id <= factSenderFreeMail:
		v = f.sender(id)
	default:
		v = f.content(id)
	}
	if v == nil {
		v = absentFacts[id]
	}
	f.vals[id] = v
	return v
}

func (f *facts) envelope(id factID) ref.Val {
	e := f.env
	switch id {
	case factClient:
		if !e.Remote.IsValid() {
			return nil
		}
		return types.String(e.Remote.String())
	case factClientName:
		return types.String(e.RemoteName)
	case factHelo:
		return types.String(e.Helo)
	case factMailFrom:
		return types.String(e.From.Canonical())
	case factMailFromDomain:
		return types.String(e.From.Domain())
	case factRcpt:
		rcpts := make([]string, len(e.Rcpts))
		for i, r := range e.Rcpts {
			rcpts[i] = r.Canonical()
		}
		return textList(rcpts)
	case factRcptCount:
		return types.Int(len(e.Rcpts))
	case factTLS:
		return types.Bool(e.TLS.On())
	case factTLSVersion:
		return types.String(e.TLS.Version)
	case factTrusted:
		return types.Bool(e.Trusted)
	case factCountry:
		if e.Country != "" {
			return types.String(e.Country)
		}
	case factASN:
		if e.ASN != 0 {
			return types.Int(e.ASN)
		}
	}
	return nil
}

func (f *facts) auth(id factID) ref.Val {
	a := f.rep.Auth
	if a == nil {
		return nil
	}
	switch id {
	case factSPF:
		return word(a.SPF.Result)
	case factSPFHelo:
		return word(a.SPFHelo.Result)
	case factDKIM:
		return types.String(bestDKIM(a.DKIM))
	case factDMARC:
		return word(a.DMARC.Result)
	case factDMARCPolicy:
		return types.String(a.DMARC.Policy)
	case factDisposition:
		return types.String(a.DMARC.Disposition)
	case factARC:
		return word(a.ARC.Result)
	case factIPRev:
		return word(a.IPRev)
	case factAuthDomain:
		return types.String(a.Domain)
	case factAuthBy:
		return types.String(a.By)
	}
	return nil
}

// word is an authentication result; one that was not evaluated is absent.
func word(s string) ref.Val {
	if s == "" {
		return nil
	}
	return types.String(s)
}

// bestDKIM is the result of the signature that proves most: aligned passes, then passes, then the first.
func bestDKIM(signatures []filters.DKIM) string {
	if len(signatures) == 0 {
		return "none"
	}
	for _, s := range signatures {
		if s.Result == "pass" {
			return "pass"
		}
	}
	return signatures[0].Result
}

func (f *facts) message(id factID) ref.Val {
	m := f.rep.Message
	if m == nil {
		return nil
	}
	switch id {
	case factFrom:
		return types.String(m.From)
	case factFromDomain:
		return types.String(m.FromDomain)
	case factFromName:
		return types.String(m.FromName)
	case factFroms:
		if len(m.Froms) == 0 && m.From != "" {
			return textList([]string{m.From})
		}
		return textList(m.Froms)
	case factTo:
		return textList(m.To)
	case factReplyTo:
		return textList(m.ReplyTo)
	case factSubject:
		return types.String(m.Subject)
	case factSize:
		return types.Int(m.Size)
	case factDate:
		if t, err := time.Parse(time.RFC3339, m.Date); err == nil {
			return types.Timestamp{Time: t}
		}
	case factMessageID:
		return types.String(m.MessageID)
	}
	return nil
}

func (f *facts) content(id factID) ref.Val {
	switch id {
	case factAttachments:
		if f.rep.Attachments != nil {
			return objects(f.rep.Attachments, func(a *filters.Attachment) ref.Val { return attachmentVal{a} })
		}
	case factURLs:
		if f.rep.URLs != nil {
			return objects(f.rep.URLs, func(u *filters.URL) ref.Val { return urlVal{u} })
		}
	case factLanguage:
		if f.rep.Text != nil && f.rep.Text.Language != "" {
			return types.String(f.rep.Text.Language)
		}
	case factWords:
		if f.rep.Text != nil {
			return types.Int(f.rep.Text.Words)
		}
	case factNow:
		return types.Timestamp{Time: f.env.Time}
	}
	return nil
}

func (f *facts) sender(id factID) ref.Val {
	s := f.rep.Sender
	switch {
	case s == nil:
		return nil
	case id == factSenderFreeMail:
		return types.Bool(s.FreeMail)
	case !s.Remembered:
		return nil
	}
	switch id {
	case factSenderKnown:
		return types.Bool(s.Messages > 0)
	case factSenderFirstSeen:
		if !s.FirstSeen.IsZero() {
			return types.Timestamp{Time: s.FirstSeen}
		}
	case factSenderMessages:
		return types.Int(s.Messages)
	case factSenderAuthenticated:
		return types.Bool(s.Authenticated)
	case factSenderFirstContact:
		return types.Bool(s.FirstContact)
	}
	return nil
}

// textList is a CEL list of text, cut at what the cost bound counts on.
func textList(l []string) ref.Val {
	return types.NewStringList(types.DefaultTypeAdapter, l[:min(len(l), maxItems)])
}

// objects is a CEL list of attachments or links, cut at what the cost bound counts on.
func objects[T any](l []T, wrap func(*T) ref.Val) ref.Val {
	vals := make([]ref.Val, min(len(l), maxItems))
	for i := range vals {
		vals[i] = wrap(&l[i])
	}
	return types.NewRefValList(types.DefaultTypeAdapter, vals)
}

// has is has("code") and has("family.*").
func (f *facts) has(code string) ref.Val {
	for i := range f.rep.Findings {
		c := f.rep.Findings[i].Code
		if covers(code, c) && !slices.Contains(f.gone, c) {
			return types.True
		}
	}
	if f.open {
		return absentFinding
	}
	return types.False
}

// covers reports whether a code, or a family such as links.*, covers a finding's code.
func covers(pattern, code string) bool {
	if family, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(code, family)
	}
	return pattern == code
}

// header is message.header("name"): its first value, empty if there is none.
func (f *facts) header(name string) ref.Val {
	v, ok := f.fields(name)
	switch {
	case !ok:
		return absentHeader
	case len(v) > 0:
		return types.String(v[0])
	}
	return types.String("")
}

// headers is message.headers("name"): all its values.
func (f *facts) headers(name string) ref.Val {
	v, ok := f.fields(name)
	if !ok {
		return absentHeader
	}
	return textList(v)
}

// fields are the values of a header field. A recorded message knows only those that it kept.
func (f *facts) fields(name string) (values []string, ok bool) {
	m := f.rep.Message
	switch {
	case m == nil:
		return nil, false
	case m.Header != nil:
		return m.Header.Values(name), true
	}
	values, ok = m.Kept[strings.ToLower(name)]
	return values, ok
}

// The methods of ref.Val let facts be an argument of its own functions.

// ConvertToNative is not supported: facts do not leave an expression.
func (f *facts) ConvertToNative(reflect.Type) (any, error) { return nil, errOpaque }

// ConvertToType is not supported either.
func (f *facts) ConvertToType(ref.Type) ref.Val { return types.WrapErr(errOpaque) }

// Equal is identity.
func (f *facts) Equal(other ref.Val) ref.Val { return types.Bool(other == ref.Val(f)) }

// Type is the hidden type of @self.
func (f *facts) Type() ref.Type { return selfType }

// Value is f.
func (f *facts) Value() any { return f }

var errOpaque = errors.New("facts cannot be converted")
