package smtp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An Origin is the client that a message came from, as a next hop is told by XFORWARD or XCLIENT.
type Origin struct {
	Addr  netip.Addr
	Port  uint16
	Name  string // verified reverse name; empty if there is none
	Helo  string
	ESMTP bool
	ID    string // our id of the message
}

// attribute is the value of an XFORWARD or XCLIENT attribute, ready for the wire.
func (o *Origin) attribute(name string) string {
	value := ""
	switch name {
	case "NAME":
		value = o.Name
	case "ADDR":
		if o.Addr.IsValid() {
			value = o.Addr.Unmap().WithZone("").String()
			if o.Addr.Unmap().Is6() {
				value = "IPV6:" + value
			}
		}
	case "PORT":
		if o.Port != 0 {
			value = strconv.Itoa(int(o.Port))
		}
	case "HELO":
		value = o.Helo
	case "IDENT":
		value = o.ID
	case "PROTO":
		value = "SMTP"
		if o.ESMTP {
			value = "ESMTP"
		}
	case "SOURCE":
		value = "REMOTE"
	}
	if value == "" || len(value) > 255 {
		return "[UNAVAILABLE]"
	}
	return xtext(value)
}

// xtext encodes s by RFC 3461 section 4.
func xtext(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '+' || c == '=' {
			b.WriteByte('+')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// attributes are the commands that give those attributes of o which are both known here and offered.
func (o *Origin) attributes(verb string, offered []string) []string {
	var commands []string
	command := verb
	for _, name := range []string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"} {
		if !slices.Contains(offered, name) || verb == "XCLIENT" && (name == "IDENT" || name == "SOURCE") {
			continue
		}
		word := " " + name + "=" + o.attribute(name)
		if command != verb && len(command)+len(word) > maxXCommand {
			commands = append(commands, command)
			command = verb
		}
		command += word
	}
	if command != verb {
		commands = append(commands, command)
	}
	return commands
}

// forwards are the XFORWARD commands that go before MAIL.
func (c *Client) forwards(o *Origin) []string {
	if c.opts.Announce != XForward || o == nil {
		return nil
	}
	return o.attributes("XFORWARD", c.ext.XForward)
}

// introduce says XCLIENT and then EHLO again, for XCLIENT makes the session a new one. A refusal ends the conversation:
// the next hop would judge the message as if it came from us.
func (c *Client) introduce(o *Origin) error {
	if c.opts.Announce != XClient || o == nil || len(c.ext.XClient) == 0 || *o == c.told {
		return nil
	}
	for _, command := range o.attributes("XCLIENT", c.ext.XClient) {
		r, err := c.exchange("XCLIENT", c.opts.Deadlines.Hello, command, nil)
		if err != nil {
			return err
		}
		if r.Code != 220 {
			return c.fail("XCLIENT", r)
		}
	}
	c.told = *o
	if err := c.hello(); err != nil {
		return c.fail("XCLIENT", err)
	}
	return nil
}
