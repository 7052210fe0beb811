package policy

import "strings"

// The replies of policy. The text says why in general, then what to do; the reference is added. Codes follow RFC 3463,
// RFC 7372 and RFC 5321.

// takenReply is what the gateway says of every message that somebody durable has, delivered or held alike.
func takenReply() Reply { return Reply{250, "2.0.0", "Accepted"} }

// denyReply is the reply for a deny entry that is known at a moment.
func denyReply(m Moment, id string) Reply {
	switch m {
	case Connect, Helo:
		return Reply{554, "5.7.1", "This client may not send mail here"}.refer(id)
	case MailFrom:
		return Reply{550, "5.7.1", "This sender may not send mail here"}.refer(id)
	}
	return Reply{550, "5.7.1", "This recipient does not take this mail"}.refer(id)
}

// refer adds the reference.
func (r Reply) refer(id string) Reply {
	if id != "" {
		r.Text += "; reference " + id
	}
	return r
}

// familyReplies are the refusals by what a message is refused for; read-only.
var familyReplies = []struct {
	family string
	reply  Reply
}{
	{"dmarc.", Reply{550, "5.7.26", "The author's domain does not vouch for this message and asks to refuse it"}},
	{"spf.", Reply{550, "5.7.23", "The sender's domain does not let this client send for it (SPF)"}},
	{"dkim.", Reply{550, "5.7.20", "The message has no valid signature"}},
	{"defect.", Reply{550, "5.6.0", "The message is malformed so that it could be read in different ways; send it again with standard software"}},
	{"attach.", Reply{554, "5.7.1", "The message has an attachment that is not accepted here"}},
}

// replyFor is what the client is told for a decision.
func replyFor(id string, d *Decision, groups []group) Reply {
	switch d.Action {
	case Defer:
		return deferReply(groups).refer(id)
	case Reject:
		return rejectReply(d, groups).refer(id)
	}
	return takenReply().refer(id)
}

// rejectReply is the refusal of all recipients, by the first of them.
func rejectReply(d *Decision, groups []group) Reply {
	o := &groups[0].outcome
	switch {
	case o.rule != nil && o.rule.reply != nil:
		return *o.rule.reply
	case d.Class == Malware:
		return Reply{554, "5.7.1", "The message carries malware"}
	case o.entry != nil && o.rule == nil:
		return denyReply(o.entry.moment, "")
	}
	if r, ok := familyReply(o, d.Decided); ok {
		return r
	}
	if o.threshold != nil {
		return Reply{550, "5.7.1", "The message looks like unwanted mail; if it is not, ask the recipient's postmaster"}
	}
	return Reply{550, "5.7.1", "The message is against the rules of this site; ask the recipient's postmaster"}
}

// familyReply is the refusal for which all that decided, apart from the rule itself, is of one family.
func familyReply(o *outcome, decided []string) (Reply, bool) {
	for _, f := range familyReplies {
		n, of := 0, 0
		for _, code := range decided {
			if o.rule != nil && code == o.rule.name {
				continue
			}
			of++
			if strings.HasPrefix(code, f.family) {
				n++
			}
		}
		if n > 0 && n == of {
			return f.reply, true
		}
	}
	return Reply{}, false
}

// deferReply says what has to get better before the message can be taken.
func deferReply(groups []group) Reply {
	for i := range groups {
		o := &groups[i].outcome
		if o.action != Defer {
			continue
		}
		if o.rule != nil && o.rule.reply != nil {
			return *o.rule.reply
		}
		for _, f := range o.failed {
			switch f {
			case "auth", "dnsbl", "links":
				return Reply{451, "4.4.3", "The DNS does not answer for now; try again later"}
			case "clamd", "icap", "yara", "milter", "attach", "sandbox":
				return Reply{451, "4.7.1", "The message cannot be scanned for now; try again later"}
			}
		}
		if o.failed != nil {
			return Reply{451, "4.3.0", "The message cannot be examined for now; try again later"}
		}
	}
	return Reply{451, "4.7.1", "The message is not taken yet; try again later"}
}
