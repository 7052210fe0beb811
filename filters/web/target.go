package web

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"gatepost/filters/mail"
)

// A Target is where a link leads, in the one spelling that all spellings of it have in common.
type Target struct {
	Scheme string     // lower case: "http"
	User   string     // what stands before @ in the authority, as written; at most 200 octets
	Host   string     // lower-case A-labels without trailing dot, or an IP address; empty for schemes without one
	IP     netip.Addr // the address, if Host is one in whatever notation
	Port   uint16     // 0: the scheme's own
	Path   string     // begins with / if there is a host; percent-encoding in its shortest form, no dot segments
	Query  string     // behind ?, likewise
	Odd    Oddity
}

// An Oddity is a set of things that are odd about how a URL is written. No honest program writes any of them.
type Oddity uint16

// The oddities.
const (
	UserInfo   Oddity = 1 << iota // http://www.bank.example@evil.example/
	Notation                      // an IPv4 address as one number, in octal or in hexadecimal
	EscapedURL                    // percent-encoded letters in the host
	Backslash                     // \ where / belongs
	BadHost                       // a host that no DNS server could be asked for
	BlankHost                     // no host where one belongs
	Wide                          // a host in characters that only become ASCII by a browser's mapping: full-width letters, invisible ones
)

// maxTarget is how many octets of a URL are read (HOSTILE H-09).
const maxTarget = 2 << 10

// Parse reads a URL as the WHATWG URL standard has browsers read it. ok is false for what has no scheme.
func Parse(raw string) (t Target, ok bool) {
	s := clean(raw)
	colon := schemeEnd(s)
	if colon <= 0 {
		return Target{}, false
	}
	t.Scheme = strings.ToLower(s[:colon])
	s = s[colon+1:]
	if n := strings.IndexByte(s, '#'); n >= 0 {
		s = s[:n] // what follows stays in the browser
	}
	if !special(t.Scheme) {
		t.Path = s
		if rest, is := strings.CutPrefix(s, "//"); is {
			t.authority(rest[:cut(rest, "/?")])
			t.Path = rest[cut(rest, "/?"):]
		}
		return t, true
	}
	slashes := 0
	for slashes < len(s) && (s[slashes] == '/' || s[slashes] == '\\') {
		if s[slashes] == '\\' {
			t.Odd |= Backslash
		}
		slashes++
	}
	s = s[slashes:]
	end := cut(s, `/\?`)
	t.authority(s[:end])
	path, query, _ := strings.Cut(s[end:], "?")
	if strings.IndexByte(path, '\\') >= 0 {
		path = strings.ReplaceAll(path, `\`, "/")
	}
	t.Path, t.Query = cleanPath(path), escape(query)
	return t, true
}

// clean drops what browsers drop: controls and blanks at both ends, tabs and line ends everywhere.
func clean(s string) string {
	if len(s) > maxTarget {
		s = strings.ToValidUTF8(s[:maxTarget], "")
	}
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	if strings.ContainsAny(s, "\t\r\n") {
		s = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
	}
	return s
}

// schemeEnd is where the colon behind the scheme stands (RFC 3986 section 3.1), -1 if there is no scheme.
func schemeEnd(s string) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ':':
			return i
		case c|0x20 >= 'a' && c|0x20 <= 'z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return -1
		}
	}
	return -1
}

// special reports whether a scheme has a host by the rules for the web.
func special(scheme string) bool {
	switch scheme {
	case "http", "https", "ftp", "ws", "wss":
		return true
	}
	return false
}

// cut is where the first of chars stands, or the end.
func cut(s, chars string) int {
	if n := strings.IndexAny(s, chars); n >= 0 {
		return n
	}
	return len(s)
}

// authority reads user, host and port.
func (t *Target) authority(s string) {
	if n := strings.LastIndexByte(s, '@'); n >= 0 {
		t.User = s[:min(n, 200)]
		t.Odd |= UserInfo
		s = s[n+1:]
	}
	host, port := s, ""
	if n := strings.LastIndexByte(s, ':'); n >= 0 && strings.IndexByte(s[n:], ']') < 0 {
		host, port = s[:n], s[n+1:]
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && uint16(n) != defaultPort(t.Scheme) {
			t.Port = uint16(n)
		}
	}
	t.host(host)
}

// defaultPort is the port of a scheme.
func defaultPort(scheme string) uint16 {
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	case "ftp":
		return 21
	}
	return 0
}

// host reads a host: percent-decoded, mapped, as a name or an address.
func (t *Target) host(s string) {
	if s == "" {
		t.Odd |= BlankHost
		return
	}
	if s[0] == '[' {
		t.ipv6(s)
		return
	}
	if strings.IndexByte(s, '%') >= 0 {
		decoded := decode(s)
		if decoded != s {
			t.Odd |= EscapedURL
		}
		s = decoded
	}
	name, err := mail.CanonicalDomain(s)
	if err != nil && strings.HasSuffix(s, "..") {
		name, err = mail.CanonicalDomain(strings.TrimRight(s, "."))
	}
	if err != nil {
		t.Odd |= BadHost
		t.Host = strings.ToLower(mail.Printable(s, 253))
		return
	}
	if !ascii(s) && ascii(fromA(name)) {
		t.Odd |= Wide
	}
	t.Host = name
	if number(name) {
		t.ipv4(name)
	}
}

// fromA is the Unicode form of a name in A-labels.
func fromA(name string) string {
	if !strings.Contains(name, "xn--") {
		return name
	}
	u, err := idna.Punycode.ToUnicode(name)
	if err != nil {
		return name
	}
	return u
}

// Readable is the host as a reader might be shown it: its A-labels in Unicode.
func (t *Target) Readable() string { return fromA(t.Host) }

// Domain is the part of the host that somebody registered; empty for an address or no host.
func (t *Target) Domain() string {
	if t.IP.IsValid() || t.Host == "" {
		return ""
	}
	return mail.OrganizationalDomain(t.Host)
}

// Web reports whether a browser would ask a server for the link.
func (t *Target) Web() bool {
	return (t.Scheme == "http" || t.Scheme == "https" || t.Scheme == "ftp") && t.Host != ""
}

// String is the URL in its one spelling, without user and fragment.
func (t *Target) String() string {
	var b strings.Builder
	b.Grow(len(t.Scheme) + len(t.Host) + len(t.Path) + len(t.Query) + 16)
	b.WriteString(t.Scheme)
	b.WriteByte(':')
	if t.Host != "" {
		b.WriteString("//")
		if t.IP.Is6() {
			b.WriteString("[" + t.Host + "]")
		} else {
			b.WriteString(t.Host)
		}
		if t.Port != 0 {
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(int(t.Port)))
		}
	}
	b.WriteString(t.Path)
	if t.Query != "" {
		b.WriteByte('?')
		b.WriteString(t.Query)
	}
	return b.String()
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
