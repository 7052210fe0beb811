package web

import (
	"strings"

	"gatepost/filters/mail"
)

// A Use is what a reader's program does with a link.
type Use int

// The uses.
const (
	Click   Use = iota // followed when the reader clicks: a link, a form, or text that programs make a link of
	Load               // fetched to show the message: pictures, styles
	Mention            // neither: a name space, a citation, a link in a script or in text that is not shown
)

// A Link is one link of a message.
type Link struct {
	Target
	URL    string // Target in its one spelling
	Domain string // the registered domain of its host
	Raw    string // as mail.Link has it
	Text   string // what the reader sees
	Where  string // where it stands: see mail.Link
	Use    Use
	Part   *mail.Part
	Inside string // the URL around it, if it is the target inside of another
	File   string // the picture or document that it was found in; empty for a text
}

// Links reads the links of a message's texts: at most 5,000, of at most 1,000 hosts, in the order in which they stand, with
// the targets that links to redirectors carry in them. Those that lead nowhere beyond the message, such as cid:, are not among them.
func Links(m *mail.Message) []Link {
	raw := m.Links()
	r := Reader{domains: make(map[string]string, 16)}
	list := make([]Link, 0, len(raw))
	for i := range raw {
		list = r.read(list, &raw[i])
	}
	return list
}

// A Reader reads links and remembers what it has found out about their hosts. Its zero value is ready.
type Reader struct{ domains map[string]string }

// Read reads one URL that was found in a file, followed by the targets inside of it.
func (r *Reader) Read(url, where, file string) []Link {
	list := r.read(nil, &mail.Link{URL: url, Text: url, Where: where})
	for i := range list {
		list[i].File = file
	}
	return list
}

func (r *Reader) read(list []Link, raw *mail.Link) []Link {
	t, ok := Parse(raw.URL)
	if !ok || t.Scheme == "cid" || t.Scheme == "mid" {
		return list
	}
	l := Link{Target: t, URL: t.String(), Raw: raw.URL, Text: raw.Text, Where: raw.Where, Use: useOf(raw.Where), Part: raw.Part}
	l.Domain = r.domain(&t)
	list = append(list, l)
	outer := &l.Target
	for depth := 0; depth < maxInner; depth++ {
		inner, ok := Inner(outer)
		if !ok {
			break
		}
		list = append(list, Link{Target: inner, URL: inner.String(), Domain: r.domain(&inner), Raw: raw.URL, Text: raw.Text,
			Where: raw.Where, Use: l.Use, Part: raw.Part, Inside: outer.String()})
		outer = &inner
	}
	return list
}

// maxInner is how deep targets inside of targets are looked for (HOSTILE H-09).
const maxInner = 2

// domain is the registered domain of a target's host.
func (r *Reader) domain(t *Target) string {
	if t.Host == "" || t.Odd&(BadHost|BlankHost) != 0 {
		return ""
	}
	if d, ok := r.domains[t.Host]; ok {
		return d
	}
	if r.domains == nil {
		r.domains = map[string]string{}
	}
	d := t.Domain()
	r.domains[t.Host] = d
	return d
}

// useOf is what programs do with a link that stands there.
func useOf(where string) Use {
	switch where {
	case "a href", "a xlink:href", "area href", "form action", "button formaction", "input formaction", "text", "bare", "meta refresh", "qr", "pdf":
		return Click
	case "comment", "script", "hidden":
		return Mention
	}
	tag, key, _ := strings.Cut(where, " ")
	if key == "cite" || key == "longdesc" || key == "classid" || tag == "base" || where == "html manifest" {
		return Mention
	}
	return Load
}

// Inner is the target that a link carries inside of it, as redirectors, click counters and rewriting gateways have it.
func Inner(t *Target) (Target, bool) {
	if !t.Web() {
		return Target{}, false
	}
	if strings.HasSuffix(t.Host, "urldefense.proofpoint.com") {
		if u := param(t.Query, "u"); u != "" {
			return web(decode(strings.NewReplacer("-", "%", "_", "/").Replace(u)))
		}
	}
	if _, rest, ok := strings.Cut(t.Path, "/v3/__"); ok && strings.HasPrefix(t.Host, "urldefense.") {
		rest, _, _ = strings.Cut(rest, "__;")
		return web(decode(rest))
	}
	if strings.HasPrefix(t.Host, "www.google.") || strings.HasPrefix(t.Host, "google.") {
		if _, rest, ok := strings.Cut(t.Path, "/amp/"); ok {
			rest = strings.TrimPrefix(rest, "s/")
			return web("https://" + rest)
		}
	}
	if inner, ok := query(t.Query); ok {
		return inner, true
	}
	path := strings.ToLower(t.Path)
	for _, mark := range [...]string{"/https:/", "/http:/", "/https%3a", "/http%3a"} {
		if n := strings.Index(path, mark); n >= 0 {
			rest := decode(t.Path[n+1:])
			if t.Query != "" {
				rest += "?" + t.Query
			}
			return web(rest)
		}
	}
	return Target{}, false
}

// query looks for a target among the parameters.
func query(q string) (Target, bool) {
	if !strings.Contains(q, "=") {
		return Target{}, false
	}
	for n := 0; q != "" && n < 32; n++ {
		var one string
		one, q, _ = strings.Cut(q, "&")
		_, val, _ := strings.Cut(one, "=")
		if len(val) < 8 {
			continue
		}
		val = decode(val)
		if strings.HasPrefix(val, "http%") || strings.HasPrefix(val, "https%") {
			val = decode(val)
		}
		if len(val) > 7 && (strings.EqualFold(val[:7], "http://") || len(val) > 8 && strings.EqualFold(val[:8], "https://")) {
			return web(val)
		}
	}
	return Target{}, false
}

// param is one parameter's value.
func param(q, name string) string {
	for n := 0; q != "" && n < 32; n++ {
		var one string
		one, q, _ = strings.Cut(q, "&")
		if key, val, ok := strings.Cut(one, "="); ok && key == name {
			return val
		}
	}
	return ""
}

// web is the target of a URL that leads to a server.
func web(url string) (Target, bool) {
	t, ok := Parse(url)
	return t, ok && t.Web() && t.Odd&(BadHost|BlankHost) == 0 && (t.IP.IsValid() || strings.IndexByte(t.Host, '.') > 0)
}

// Shown reads text that stands in a link's place as a URL or a domain, if it is nothing else. A reader takes it for the target.
func Shown(text string) (Target, bool) {
	text = strings.TrimFunc(text, func(r rune) bool { return r <= ' ' || strings.ContainsRune("\u00a0\u200b<>()[]\"'.,:;!", r) })
	if len(text) < 4 || len(text) > maxTarget || strings.ContainsAny(text, " \u00a0\r\n\t") {
		return Target{}, false
	}
	url := text
	low := strings.ToLower(text[:min(len(text), 8)])
	switch {
	case strings.HasPrefix(low, "http://"), strings.HasPrefix(low, "https://"):
	case strings.ContainsAny(text, "@"):
		return Target{}, false
	default:
		url = "http://" + text
	}
	t, ok := web(url)
	if !ok || t.IP.IsValid() && url != text {
		return Target{}, false
	}
	if url != text && !strings.HasPrefix(low, "www.") && !icann(t.Host) {
		return Target{}, false
	}
	return t, true
}
