package smtp

import "strconv"

// The reply dictionary: every reply that the server sends is made here, and nowhere else in the project stands a reply
// literal. Texts are one line of printable ASCII: the reason, then what to do. They name no rule, no score and no
// inner host. A fresh Reply is returned each time, so a caller may add to it.

// maxText bounds a reply's text so that the whole line stays within 512 octets (RFC 5321 section 4.5.3.1.5).
const maxText = 490

// reply makes a Reply that leaves the connection open.
func reply(code int, enhanced, text string) *Reply {
	return &Reply{Code: code, Enhanced: enhanced, Text: text}
}

// parting makes a Reply after which the connection ends.
func parting(code int, enhanced, text string) *Reply {
	return &Reply{Code: code, Enhanced: enhanced, Text: text, Close: true}
}

// Replies that say yes.

// ReplyBanner greets; it names neither product nor version.
func ReplyBanner(hostname string) *Reply { return reply(220, "", hostname+" ESMTP") }

// ReplyStartTLS tells the client to begin the handshake.
func ReplyStartTLS() *Reply { return reply(220, "2.0.0", "Ready to start TLS") }

// ReplyBye answers QUIT.
func ReplyBye() *Reply { return parting(221, "2.0.0", "Bye") }

// ReplyOK answers RSET and NOOP.
func ReplyOK() *Reply { return reply(250, "2.0.0", "OK") }

// ReplySender accepts the reverse-path.
func ReplySender() *Reply { return reply(250, "2.1.0", "Sender OK") }

// ReplyRecipient accepts one recipient.
func ReplyRecipient() *Reply { return reply(250, "2.1.5", "Recipient OK") }

// ReplyRecipientTLSSoon accepts one recipient in a clear session, and says that this will not last.
func ReplyRecipientTLSSoon() *Reply {
	return reply(250, "2.1.5", "Recipient OK; TLS will be required here soon, use STARTTLS")
}

// ReplyAccepted takes custody of a message; id is its reference, empty if there is none.
func ReplyAccepted(id string) *Reply { return reply(250, "2.0.0", withID("Accepted", id)) }

// ReplyVerify answers VRFY, always the same (RFC 5321 section 7.3).
func ReplyVerify() *Reply {
	return reply(252, "2.0.0", "Cannot verify a user here; send the message and it will be tried")
}

// ReplyStart asks for the content.
func ReplyStart() *Reply { return reply(354, "", "Start mail input; end with <CRLF>.<CRLF>") }

// Replies that end the session for now: 421 is always followed by a close (RFC 5321 section 3.8).

// ReplyShutdown says that the service is stopping or restarting.
func ReplyShutdown() *Reply {
	return parting(421, "4.3.2", "Service is restarting; please try again shortly")
}

// ReplyOverload says that no further session can be served now.
func ReplyOverload() *Reply { return parting(421, "4.3.2", "Too busy now; please try again later") }

// ReplyTimeout ends a session that was idle or too slow.
func ReplyTimeout() *Reply {
	return parting(421, "4.4.2", "Timed out waiting for the client; please reconnect")
}

// ReplyCut is for the record: the connection was lost within a message's content.
func ReplyCut() *Reply {
	return parting(421, "4.4.2", "Connection lost before the end of the message")
}

// ReplyTooManyErrors ends a session that went wrong too often.
func ReplyTooManyErrors() *Reply {
	return parting(421, "4.7.0", "Too many errors or commands without mail; please reconnect later")
}

// ReplyTooManyConnections turns away a client that has enough sessions.
func ReplyTooManyConnections() *Reply {
	return parting(421, "4.7.0", "Too many connections from your network; please try again later")
}

// ReplyTooManyMessages ends a session that has sent its share.
func ReplyTooManyMessages() *Reply {
	return parting(421, "4.7.0", "Too many messages in one session; please reconnect to send more")
}

// ReplyBroken ends a session in which something of ours failed.
func ReplyBroken() *Reply {
	return parting(421, "4.3.0", "Internal error; nothing was accepted, please try again later")
}

// Replies that say not now.

// ReplyRate says that a rate was exceeded.
func ReplyRate() *Reply {
	return reply(450, "4.7.1", "Rate exceeded; please slow down and try again later")
}

// ReplyGreylist asks an unknown sender to come back; seconds is how long it should wait.
func ReplyGreylist(seconds int) *Reply {
	return reply(450, "4.7.1", "Greylisted: not seen before; please try again in "+strconv.Itoa(seconds)+" seconds")
}

// ReplyTLSNeededSoon says that a clear session will be refused for good before long; for the first days of a rule.
func ReplyTLSNeededSoon() *Reply {
	return reply(450, "4.7.1", "TLS is needed for this sender or recipient; please try again with STARTTLS")
}

// ReplyUnverifiable says that whether a recipient exists could not be asked.
func ReplyUnverifiable() *Reply {
	return reply(451, "4.1.1", "Recipient cannot be checked now; please try again later")
}

// ReplySenderDomainUnknown says that the sender's domain could not be looked up.
func ReplySenderDomainUnknown() *Reply {
	return reply(451, "4.1.8", "Sender's domain cannot be looked up now; please try again later")
}

// ReplyLocalError is for any failure that nobody classified.
func ReplyLocalError() *Reply { return reply(451, "4.3.0", "Local error; please try again later") }

// ReplyBusy says that checks or the next hop are at their limit.
func ReplyBusy() *Reply { return reply(451, "4.3.2", "Too busy now; please try again later") }

// ReplyMisconfigured says that our own configuration stands in the way.
func ReplyMisconfigured() *Reply {
	return reply(451, "4.3.5", "Server configuration problem; please try again later")
}

// ReplyNextHopDown says that the server behind us cannot be reached.
func ReplyNextHopDown() *Reply {
	return reply(451, "4.4.1", "Mail server of the recipient cannot be reached; please try again later")
}

// ReplyDNS says that a needed DNS lookup failed.
func ReplyDNS() *Reply { return reply(451, "4.4.3", "DNS lookup failed; please try again later") }

// ReplyTooLate says that no verdict came in time; nothing was accepted.
func ReplyTooLate() *Reply {
	return reply(451, "4.4.5", "Checks took too long, nothing was accepted; please try again later")
}

// ReplyScannerDown says that a check that must not be skipped could not look.
func ReplyScannerDown() *Reply {
	return reply(451, "4.7.1", "Content cannot be checked now; please try again later")
}

// ReplySPFError says that SPF could not be evaluated.
func ReplySPFError() *Reply {
	return reply(451, "4.7.24", "SPF record of the sender cannot be looked up now; please try again later")
}

// ReplyReverseDNSError says that the client's reverse DNS could not be looked up.
func ReplyReverseDNSError() *Reply {
	return reply(451, "4.7.25", "Reverse DNS of the client cannot be looked up now; please try again later")
}

// ReplyStorage says that there is no room for another message.
func ReplyStorage() *Reply {
	return reply(452, "4.3.1", "Not enough storage now; please try again later")
}

// ReplyTooManyRecipients says that the transaction is full; what it has may be sent.
func ReplyTooManyRecipients() *Reply {
	return reply(452, "4.5.3", "Too many recipients; send to these first, then to the others")
}

// ReplyOtherRoute says that a recipient needs a transaction of its own.
func ReplyOtherRoute() *Reply {
	return reply(452, "4.5.3", "Recipient needs a separate transaction; send to the others first, then to this one")
}

// ReplyTLSUnavailable says that there is no TLS now, or not for this client now.
func ReplyTLSUnavailable() *Reply {
	return reply(454, "4.7.0", "TLS is not available now; please try again later")
}

// replyHandshake is for the record alone: a failed handshake is never answered in clear text.
func replyHandshake(cause string) *Reply {
	return parting(454, "4.7.0", Sanitize("TLS handshake failed: "+cause))
}

// Replies that say no.

// ReplyUnknownCommand answers a verb that is none of SMTP's.
func ReplyUnknownCommand() *Reply { return reply(500, "5.5.2", "Unknown command") }

// ReplyLineTooLong ends a session whose command line has no end in sight.
func ReplyLineTooLong() *Reply { return parting(500, "5.5.2", "Command line too long") }

// ReplyCommandEnd ends a session whose command did not end in CRLF (RFC 5321 section 2.3.8).
func ReplyCommandEnd() *Reply {
	return parting(500, "5.5.2", "Command lines must end in CR LF and hold no other CR or LF")
}

// ReplyNotSMTP ends a session that opened with another protocol.
func ReplyNotSMTP() *Reply { return parting(500, "5.5.2", "This is an SMTP server; goodbye") }

// ReplyAuthTooLong ends a session whose AUTH line is too long (RFC 4954 section 4).
func ReplyAuthTooLong() *Reply { return parting(500, "5.5.6", "Authentication exchange line too long") }

// ReplyBadRecipient says that a forward-path is malformed.
func ReplyBadRecipient() *Reply {
	return reply(501, "5.1.3", "Malformed recipient address; use RCPT TO:<user@domain>")
}

// ReplyBadSender says that a reverse-path is malformed.
func ReplyBadSender() *Reply {
	return reply(501, "5.1.7", "Malformed sender address; use MAIL FROM:<user@domain> or MAIL FROM:<>")
}

// ReplyBadCharacter says that a command holds a control character or broken UTF-8.
func ReplyBadCharacter() *Reply {
	return reply(501, "5.5.2", "Command holds a character that is not allowed")
}

// ReplyBadArgument says that a command's argument is malformed; usage is the right form, from our own source.
func ReplyBadArgument(usage string) *Reply { return reply(501, "5.5.4", "Syntax: "+usage) }

// ReplyBadHello says that the name in EHLO or HELO is neither a domain nor an address literal.
func ReplyBadHello() *Reply {
	return reply(501, "5.5.4", "EHLO and HELO need one domain name or address literal")
}

// ReplyAuthCancelled answers "*" in an AUTH exchange.
func ReplyAuthCancelled() *Reply { return reply(501, "5.7.0", "Authentication cancelled") }

// ReplyNotImplemented answers a verb that is SMTP's but not offered.
func ReplyNotImplemented() *Reply { return reply(502, "5.5.1", "Command not implemented") }

// ReplySequence answers a command out of order; need says what comes first, from our own source.
func ReplySequence(need string) *Reply { return reply(503, "5.5.1", "Bad sequence of commands: "+need) }

// ReplyNotOffered ends a session that uses what was not offered in a way that cannot be skipped, or that is
// not speaking SMTP at all.
func ReplyNotOffered() *Reply { return parting(521, "5.5.1", "Command not offered; closing") }

// ReplyDeniedHost turns a listed client away at the banner (RFC 7504).
func ReplyDeniedHost() *Reply {
	return parting(521, "5.7.1", "Your host may not send mail here; contact the postmaster by other means")
}

// ReplyTLSRequired asks for STARTTLS (RFC 3207 section 4).
func ReplyTLSRequired() *Reply { return reply(530, "5.7.0", "Must issue a STARTTLS command first") }

// ReplyBadCredentials answers a failed login (RFC 4954 section 6).
func ReplyBadCredentials() *Reply { return reply(535, "5.7.8", "Authentication credentials invalid") }

// ReplyAuthNeedsTLS answers AUTH in a clear session (RFC 4954 section 6).
func ReplyAuthNeedsTLS() *Reply {
	return reply(538, "5.7.11", "Encryption is required to authenticate; use STARTTLS first")
}

// ReplyUnknownRecipient says that the mailbox does not exist.
func ReplyUnknownRecipient() *Reply {
	return reply(550, "5.1.1", "No such recipient here; check the address")
}

// ReplyNoSenderDomain says that the sender's domain does not exist.
func ReplyNoSenderDomain() *Reply {
	return reply(550, "5.1.8", "Sender's domain does not exist; use a sender address that can be answered")
}

// ReplyLineEnds refuses content with bare CR or bare LF and ends the session (RFC 5321 section 2.3.8).
func ReplyLineEnds() *Reply {
	return parting(550, "5.5.2", "Message has bare CR or bare LF; end every line in CR LF and send again")
}

// ReplyNUL refuses content with a NUL octet and ends the session.
func ReplyNUL() *Reply {
	return parting(550, "5.6.0", "Message has a NUL octet; encode binary content and send again")
}

// ReplyHeaderTooLarge refuses a header section beyond the limits.
func ReplyHeaderTooLarge() *Reply {
	return reply(550, "5.6.0", "Message header is too large or has too many fields; make it shorter")
}

// ReplyTextLine refuses a text line beyond the limit.
func ReplyTextLine() *Reply {
	return reply(550, "5.6.0", "Message has a line that is too long; encode the content and send again")
}

// ReplyStructure refuses content that mail programs would read differently; id is a reference, empty if there is none.
func ReplyStructure(id string) *Reply {
	return reply(550, "5.6.0", withID("Message structure is malformed or ambiguous; send it from a standard mail program", id))
}

// ReplyMedia refuses a kind of content.
func ReplyMedia(id string) *Reply {
	return reply(550, "5.6.1", withID("Message holds a kind of content that is not accepted here", id))
}

// ReplyRelayDenied says that we do not take mail for a recipient's domain.
func ReplyRelayDenied() *Reply {
	return reply(550, "5.7.1", "Relaying denied; this server does not accept mail for that domain")
}

// ReplyPolicy refuses by policy; id is a reference, empty if there is none.
func ReplyPolicy(id string) *Reply {
	return reply(550, "5.7.1", withID("Refused by policy; contact the recipient by other means if this is wrong", id))
}

// ReplySpam refuses by content; id is a reference, empty if there is none.
func ReplySpam(id string) *Reply {
	return reply(550, "5.7.1", withID("Message looks like unwanted mail; contact the recipient by other means if this is wrong", id))
}

// ReplySelfHello refuses a client that greets with our own name or address.
func ReplySelfHello() *Reply {
	return reply(550, "5.7.1", "EHLO or HELO gave this server's own name; use the name of your host")
}

// ReplyTLSNeeded refuses a clear session for this sender or recipient.
func ReplyTLSNeeded() *Reply {
	return reply(550, "5.7.1", "TLS is required for this sender or recipient; use STARTTLS")
}

// ReplyDKIMNone refuses a message without a signature that passes (RFC 7372 section 3.1).
func ReplyDKIMNone() *Reply {
	return reply(550, "5.7.20", "No DKIM signature of the message passed; sign it and send again")
}

// ReplyDKIMUnacceptable refuses a message whose signatures are not acceptable (RFC 7372 section 3.1).
func ReplyDKIMUnacceptable() *Reply {
	return reply(550, "5.7.21", "No acceptable DKIM signature; sign with a current algorithm and send again")
}

// ReplyDKIMAuthor refuses a message that the author's domain did not sign (RFC 7372 section 3.1).
func ReplyDKIMAuthor() *Reply {
	return reply(550, "5.7.22", "No valid DKIM signature of the author's domain; sign it and send again")
}

// ReplySPFFail refuses by the sender domain's SPF record (RFC 7372 section 3.2).
func ReplySPFFail() *Reply {
	return reply(550, "5.7.23", "SPF of the sender's domain does not allow your host; use your provider's mail server")
}

// ReplyReverseDNS refuses a client without confirmed reverse DNS (RFC 7372 section 3.3).
func ReplyReverseDNS() *Reply {
	return reply(550, "5.7.25", "Your host has no matching reverse DNS name; ask your provider to set it")
}

// ReplyDMARC refuses by the author domain's DMARC policy (RFC 7372 section 3.4).
func ReplyDMARC() *Reply {
	return reply(550, "5.7.26", "DMARC policy of the author's domain asks to refuse this message: SPF and DKIM did not align")
}

// ReplySenderNullMX refuses a sender whose domain takes no mail (RFC 7505 section 4.2).
func ReplySenderNullMX() *Reply {
	return reply(550, "5.7.27", "Sender's domain accepts no mail (null MX); use a sender address that can be answered")
}

// ReplyRequireTLS refuses a demand for REQUIRETLS that cannot be met (RFC 8689 section 5).
func ReplyRequireTLS() *Reply {
	return reply(550, "5.7.30", "REQUIRETLS cannot be honoured on the way to this recipient")
}

// ReplyTooLarge refuses a message for its size (RFC 1870 section 6).
func ReplyTooLarge() *Reply {
	return reply(552, "5.3.4", "Message is larger than this server accepts; make it smaller")
}

// ReplyNeedsUTF8 refuses an address outside ASCII (RFC 6531 section 3.5).
func ReplyNeedsUTF8() *Reply {
	return reply(553, "5.6.7", "Address outside ASCII cannot be delivered from this transaction; use an ASCII address")
}

// ReplyLoop refuses a message that has been around too often (RFC 5321 section 6.3).
func ReplyLoop() *Reply {
	return reply(554, "5.4.6", "Mail loop: the message has passed too many servers or this one before")
}

// ReplyEarly ends a session that talked before the banner.
func ReplyEarly() *Reply {
	return parting(554, "5.5.0", "SMTP protocol synchronization: client spoke before the greeting")
}

// ReplySync ends a session that sent on where it must wait (RFC 2920 section 3.1).
func ReplySync() *Reply {
	return parting(554, "5.5.0", "SMTP protocol synchronization: client must wait for the reply here")
}

// ReplyNoRecipients answers DATA when every recipient was refused.
func ReplyNoRecipients() *Reply { return reply(554, "5.5.1", "No valid recipients") }

// ReplyMalware refuses malware or a forbidden attachment; id is a reference, empty if there is none.
func ReplyMalware(id string) *Reply {
	return reply(554, "5.7.1", withID("Message holds malware or a forbidden attachment", id))
}

// ReplyDenied refuses a client, sender or recipient by a list; id is a reference, empty if there is none.
func ReplyDenied(id string) *Reply {
	return reply(554, "5.7.1", withID("Your host or sender address is on a deny list here", id))
}

// ReplyListed refuses a client by a DNS block list; url, from the list's own configuration, says why.
func ReplyListed(url string) *Reply {
	return reply(554, "5.7.1", Sanitize("Your host is on a block list; see "+url))
}

// ReplyBadParameter answers a parameter of MAIL or RCPT that is not known or not offered.
func ReplyBadParameter() *Reply {
	return reply(555, "5.5.4", "Parameter not recognized or not offered")
}

// ReplyNullMX refuses a recipient whose domain takes no mail (RFC 7505 section 4.1).
func ReplyNullMX() *Reply {
	return reply(556, "5.1.10", "Recipient's domain accepts no mail (null MX)")
}

// Custom makes a Reply of foreign parts: a policy's text, a next hop's own words. Whatever is passed, the reply is
// lawful: a code outside 200-599 becomes 451, an enhanced code that is malformed or of another class becomes the
// class's plain one, and the text is sanitized. 421 and 521 end the connection.
func Custom(code int, enhanced, text string) *Reply {
	if !lawfulCode(code) {
		code, enhanced = 451, ""
	}
	r := reply(code, lawfulEnhanced(code, enhanced), Sanitize(text))
	r.Close = code == 421 || code == 521
	return r
}

// lawfulCode reports whether code can be a reply's (RFC 5321 section 4.2): a failure with another code was classified
// by nobody, and is temporary.
func lawfulCode(code int) bool { return code >= 200 && code <= 599 && code/10%10 <= 5 }

// Sanitize makes s fit for a reply: printable ASCII on one line, everything else becomes "?", at most 490 octets.
func Sanitize(s string) string {
	clean := len(s) <= maxText
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] <= '~'
	}
	if clean {
		return s
	}
	b := make([]byte, 0, min(len(s), maxText))
	for _, r := range s {
		if len(b) == maxText {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return string(b)
}

// lawfulEnhanced returns enhanced if it is well-formed and of the code's class (RFC 2034 section 4), else the plain
// code of that class; 3yz replies have none.
func lawfulEnhanced(code int, enhanced string) string {
	class := byte('0' + code/100)
	if class == '3' {
		return ""
	}
	dots, digits := 0, 0
	for i := 0; i < len(enhanced); i++ {
		switch c := enhanced[i]; {
		case c == '.' && digits > 0:
			dots, digits = dots+1, 0
		case '0' <= c && c <= '9' && digits < 3 && (digits == 0 || enhanced[i-digits] != '0'):
			digits++
		default:
			return plainEnhanced[class-'0']
		}
	}
	if dots != 2 || digits == 0 || enhanced[0] != class || enhanced[1] != '.' {
		return plainEnhanced[class-'0']
	}
	return enhanced
}

// plainEnhanced are the codes that say no more than the class does.
var plainEnhanced = [10]string{2: "2.0.0", 4: "4.0.0", 5: "5.0.0"}

// withID adds a reference to a text.
func withID(text, id string) string {
	if id == "" {
		return text
	}
	return Sanitize(text + "; reference " + id)
}
