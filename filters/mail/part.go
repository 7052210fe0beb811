package mail

import (
	"strconv"
	"strings"
	"sync"
)

// A Role says why a part is in the tree beside the declared ones.
type Role string

// The roles.
const (
	RolePart      Role = ""          // declared, and seen by every program
	RolePreamble  Role = "preamble"  // before the first boundary
	RoleEpilogue  Role = "epilogue"  // behind the last
	RoleAlternate Role = "alternate" // another reading of octets that also stand in a declared part
	RoleEmbedded  Role = "embedded"  // a file inside a part's content: uuencode, yEnc, TNEF
)

// A Part is one leaf or branch of the MIME tree: spans into the Source, decoded on first use.
type Part struct {
	Header   []Field
	Type     string // declared media type, lower case, such as "text/plain"
	Body     Span   // the part's content as transmitted; of a part inside an encoded one, the encoded one's
	Children []*Part
	Role     Role

	m            *Message
	hidden       []Field // header fields that only some programs see
	space        *space
	body         Span // in space
	path         string
	types        []typed
	dispositions []typed
	encodings    []string
	names        []string
	others       []*Part
	content      []byte // of an embedded part

	once     sync.Once
	readings []Reading
	own      [1]Reading // where readings stand that are what was sent
	kept     bool       // readings are
	clean    bool       // all decoders agree
	views    views
}

// Path is the part's number as IMAP counts (RFC 9051 section 6.4.5.1), such as "2.1"; empty for the whole message.
// Parts that no program need see have other signs: "~" alternate, "p" preamble, "e" epilogue, "f" embedded file.
func (p *Part) Path() string { return p.path }

// Others are the parts of p that stand beside Children: preamble and epilogue, other readings, embedded files.
func (p *Part) Others() []*Part { return p.others }

// Leaf reports whether p has content of its own rather than parts.
func (p *Part) Leaf() bool { return len(p.Children) == 0 }

// Encoding is the likeliest transfer encoding: "identity", "base64", "quoted-printable", "x-uuencode" or "x-yenc".
func (p *Part) Encoding() string {
	if len(p.encodings) == 0 {
		return "identity"
	}
	return p.encodings[0]
}

// Disposition is the Content-Disposition, lower case: "attachment", "inline", or empty.
func (p *Part) Disposition() string {
	if len(p.dispositions) == 0 {
		return ""
	}
	return p.dispositions[0].value
}

// Param is the likeliest value of a Content-Type parameter; the name is in lower case.
func (p *Part) Param(name string) string {
	for i := range p.types {
		if v := p.types[i].get(name); v != "" {
			return v
		}
	}
	return ""
}

// Get is the first field of the part's header with that name: unfolded, not decoded.
func (p *Part) Get(name string) string {
	for i := range p.Header {
		if f := &p.Header[i]; f.named(name) {
			return Unfold(f.Value)
		}
	}
	return ""
}

// Attachment reports whether a person could save the part as a file: it has a name, says so, or is no text.
func (p *Part) Attachment() bool {
	if p.Disposition() == "attachment" || len(p.names) > 0 || p.Role == RoleEmbedded {
		return true
	}
	return !strings.HasPrefix(p.Type, "text/")
}

// Raw is the part's content as transmitted. Nobody may write to it.
func (p *Part) Raw() []byte {
	if p.content != nil {
		return p.content
	}
	b, err := p.space.bytes(p.body)
	p.m.fail(err)
	return b
}

// Decoded is the part's content in every way that mail programs decode it, the likeliest first; usually one. It is
// kept while the message's budget lasts, else decoded again at each call.
func (p *Part) Decoded() []Reading {
	if p.content != nil {
		return []Reading{{"embedded", p.content}}
	}
	var list []Reading
	p.once.Do(func() {
		room := []Reading(nil)
		if p.kept = p.m.reserve(p.body.End - p.body.Start); p.kept {
			room = p.own[:0]
		}
		list, p.clean = p.decode(room)
		if p.kept {
			p.readings = list
		}
	})
	if p.kept {
		return p.readings
	}
	if list == nil {
		list, _ = p.decode(nil)
	}
	return list
}

// decode decodes the body by each encoding that it may have, and appends the readings to list.
func (p *Part) decode(list []Reading) (_ []Reading, clean bool) {
	raw := p.Raw()
	clean = true
	if len(p.encodings) == 1 && p.encodings[0] == "identity" {
		return append(list, Reading{"identity", raw}), true
	}
	for _, e := range p.encodings {
		readings, ok := decodeBody(e, raw)
		clean = clean && ok
		for _, r := range readings {
			list = addReading(list, r.How, r.Data)
		}
	}
	return list, clean
}

func (p *Part) place(sp Span) Span { return p.space.place(sp) }

// childPath is the path of the child with that number.
func (p *Part) childPath(n string) string {
	if p.path == "" || n[0] == '~' {
		return p.path + n
	}
	return p.path + "." + n
}

// filePath is the path of the next file embedded in p.
func filePath(p *Part) string { return p.childPath("f" + strconv.Itoa(len(p.others)+1)) }

// container reports whether p is a branch by its type, even if no child was found in it.
func (p *Part) container() bool {
	return strings.HasPrefix(p.Type, "multipart/") && len(p.others) > 0
}
