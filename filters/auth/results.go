package auth

import (
	"strings"

	"github.com/emersion/go-msgauth/authres"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Results is our Authentication-Results field (RFC 8601) for a message, folded, with its final CRLF. Nothing of the
// message can break out of it: values are reduced to printable ASCII without quotes, backslashes, parentheses and
// semicolons before they are formatted.
func Results(env *mail.Envelope, rep *filters.Report, authservID string) string {
	var list []authres.Result
	if rep.Auth != nil {
		list = resultList(env, rep.Auth)
	}
	s := authres.Format(plain(authservID, 253), list)
	lines := strings.Split(s, "; ")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return "Authentication-Results: " + strings.Join(lines, ";\r\n\t") + "\r\n"
}

// resultList lists the results in the order in which people look for them.
func resultList(env *mail.Envelope, a *filters.Auth) []authres.Result {
	var list []authres.Result
	add := func(method, value string, params ...string) {
		if value == "" {
			return
		}
		r := &authres.GenericResult{Method: method, Value: authres.ResultValue(plain(value, 20)), Params: map[string]string{}}
		for i := 0; i+1 < len(params); i += 2 {
			r.Params[params[i]] = plain(params[i+1], 253)
		}
		list = append(list, r)
	}
	add("dmarc", a.DMARC.Result, "header.from", a.DMARC.From, "reason", plain(a.DMARC.Reason, 120))
	for i := range a.DKIM {
		d := &a.DKIM[i]
		add("dkim", d.Result, "reason", plain(d.Reason, 120), "header.d", d.Domain, "header.s", d.Selector, "header.a", d.Algorithm, "header.b", d.Signature)
	}
	if len(a.DKIM) == 0 {
		add("dkim", resultNone)
	}
	helo := env.Helo
	if a.Origin != "" {
		helo = a.SPFHelo.Domain
	}
	if env.From.IsNull() {
		add("spf", a.SPFHelo.Result, "reason", plain(a.SPFHelo.Reason, 120), "smtp.helo", helo)
	} else {
		add("spf", a.SPF.Result, "reason", plain(a.SPF.Reason, 120), "smtp.mailfrom", env.From.String())
		add("spf", a.SPFHelo.Result, "smtp.helo", helo)
	}
	add("arc", a.ARC.Result, "reason", plain(a.ARC.Reason, 120), "header.d", a.ARC.Sealer)
	switch {
	case a.Origin != "":
		add("iprev", a.IPRev, "policy.iprev", a.Origin)
	case env.Remote.IsValid():
		add("iprev", a.IPRev, "policy.iprev", env.Remote.String())
	}
	return list
}

// plain keeps what cannot be mistaken for syntax.
func plain(s string, most int) string {
	b := make([]byte, 0, min(len(s), most))
	for _, c := range []byte(s[:min(len(s), most)]) {
		switch {
		case c < ' ' || c > '~', c == '"', c == '\\', c == '(', c == ')', c == ';':
			c = '?'
		}
		b = append(b, c)
	}
	return string(b)
}

// Forged lists the header fields of m that speak in our name and are to be left out, in order: every
// Authentication-Results whose authserv-id is ours or cannot be read (RFC 8601 section 5), every X-Gatepost-* field,
// and X-Spam-Flag, which we write ourselves (D-26, D-27).
func Forged(m *mail.Message, authservID string) []mail.Span {
	var spans []mail.Span
	own := canonicalID(authservID)
	for i := range m.Header {
		f := &m.Header[i]
		name := strings.ToLower(f.Name)
		switch {
		case strings.HasPrefix(name, "x-gatepost-"), name == "x-spam-flag":
		case name == "authentication-results":
			if id, ok := readAuthservID(f.Value); ok && canonicalID(id) != own {
				continue
			}
		default:
			continue
		}
		spans = append(spans, f.Span)
	}
	return spans
}

// canonicalID is the form in which authserv-ids are compared.
func canonicalID(id string) string {
	if d, err := mail.CanonicalDomain(id); err == nil {
		return d
	}
	return strings.ToLower(strings.TrimRight(id, "."))
}

// readAuthservID reads the authserv-id at the start of a value: comments and folds skipped, quoted or not, a version
// behind it left out. ok is false if there is nothing that could be one.
func readAuthservID(v string) (id string, ok bool) {
	i, ok := skipCFWS(v, 0)
	if !ok || i == len(v) {
		return "", false
	}
	if v[i] == '"' {
		return quotedID(v, i+1)
	}
	start := i
	for i < len(v) && v[i] > ' ' && v[i] != ';' && v[i] != '(' && v[i] != '/' && v[i] != '"' && v[i] != '=' {
		i++
	}
	id = v[start:i]
	if i, ok = skipCFWS(v, i); !ok || id == "" {
		return "", false
	}
	// Behind the id stands a version, a semicolon or nothing.
	for i < len(v) && (v[i] == '/' || digit(v[i]) || isFWS(v[i])) {
		i++
	}
	if i, ok = skipCFWS(v, i); !ok || i < len(v) && v[i] != ';' {
		return "", false
	}
	return id, true
}

// quotedID reads a quoted authserv-id from behind its first quote.
func quotedID(v string, i int) (string, bool) {
	var b []byte
	for ; i < len(v); i++ {
		switch v[i] {
		case '"':
			return string(b), len(b) > 0
		case '\\':
			if i++; i == len(v) {
				return "", false
			}
		}
		b = append(b, v[i])
	}
	return "", false
}

// skipCFWS skips white space and comments, which may nest; ok is false if a comment does not end.
func skipCFWS(v string, i int) (next int, ok bool) {
	depth := 0
	for ; i < len(v); i++ {
		switch c := v[i]; {
		case c == '(':
			depth++
		case depth > 0 && c == ')':
			depth--
		case depth > 0 && c == '\\':
			i++
		case depth == 0 && !isFWS(c):
			return i, true
		}
	}
	return len(v), depth == 0
}
