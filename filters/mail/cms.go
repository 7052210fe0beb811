package mail

import (
	"bytes"
	"strings"
)

// What a CMS structure holds (RFC 5652 section 3).
type cmsKind int

const (
	cmsBroken cmsKind = iota
	cmsSigned
	cmsEncrypted
	cmsCompressed
)

// The content types of CMS that mail uses, as DER writes their object identifiers (RFC 8551 section 2.4, RFC 3274).
var (
	oidSigned        = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}
	oidEnveloped     = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03}
	oidEncrypted     = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06}
	oidCompressed    = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x09}
	oidAuthEnveloped = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x17}
)

// Tags of BER (X.690 section 8.1.2): class, whether it is made of others, number.
const (
	tagOctets      = 0x04
	tagOctetsMade  = 0x24
	tagIdentifier  = 0x06
	tagSequence    = 0x30
	tagContent     = 0xa0 // [0], made of others
	tagNumberMask  = 0x1f
	maxNestedBER   = 16
	maxLengthBytes = 4
)

// isSMIME reports whether programs take a part for S/MIME: by its type, or as a file of that name (RFC 8551 section 3.2.1).
func isSMIME(p *Part, kind string) bool {
	switch kind {
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return true
	case "application/octet-stream":
		for _, n := range p.names {
			if len(n) > 4 && strings.EqualFold(n[len(n)-4:], ".p7m") {
				return true
			}
		}
	}
	return false
}

// smime looks into S/MIME: what is only signed is a message like any other, and is read; what is encrypted cannot be.
func (w *walker) smime(j job, p *Part) {
	w.leaf(p)
	s := w.decodedSpace(p)
	if s == nil {
		w.note(p, "mime.smime-broken")
		return
	}
	b, err := s.bytes(Span{0, s.size})
	if err != nil {
		w.m.fail(err)
		return
	}
	kind, content := readCMS(b)
	switch {
	case kind == cmsEncrypted:
		w.note(p, "mime.smime")
	case kind == cmsSigned && len(content) == 0:
		// Only certificates, or a signature that stands apart from what it signs.
	case kind == cmsSigned && j.messages >= maxMessages:
		w.note(p, "mime.messages-too-deep")
	case kind == cmsSigned:
		w.note(p, "mime.smime-signed")
		j.messages++
		j.digest, j.outer = false, nil
		inside := &space{data: content, size: int64(len(content)), base: s.base}
		if child := w.entity(inside, Span{0, inside.size}, j, p.childPath("1"), ofPart); child != nil {
			p.Children = append(p.Children, child)
		}
	case kind == cmsCompressed:
		w.note(p, "mime.encoding-unsupported")
	default:
		w.note(p, "mime.smime-broken")
	}
}

// readCMS tells what a CMS structure is and, of a signed one, what was signed.
func readCMS(b []byte) (cmsKind, []byte) {
	info, _, ok := readBER(b, 0)
	if !ok || info.tag != tagSequence {
		return cmsBroken, nil
	}
	kind, rest, ok := readBER(info.content, 1)
	if !ok || kind.tag != tagIdentifier {
		return cmsBroken, nil
	}
	switch {
	case bytes.Equal(kind.content, oidEnveloped), bytes.Equal(kind.content, oidEncrypted), bytes.Equal(kind.content, oidAuthEnveloped):
		return cmsEncrypted, nil
	case bytes.Equal(kind.content, oidCompressed):
		return cmsCompressed, nil
	case !bytes.Equal(kind.content, oidSigned):
		return cmsBroken, nil
	}
	wrapped, _, ok := readBER(rest, 1)
	if !ok || wrapped.tag != tagContent {
		return cmsBroken, nil
	}
	data, _, ok := readBER(wrapped.content, 2)
	if !ok || data.tag != tagSequence {
		return cmsBroken, nil
	}
	return signedContent(data.content)
}

// signedContent finds the content in SignedData (RFC 5652 section 5.1): behind the version and the digest algorithms.
func signedContent(b []byte) (cmsKind, []byte) {
	var field ber
	for range 3 {
		var ok bool
		if field, b, ok = readBER(b, 3); !ok {
			return cmsBroken, nil
		}
	}
	if field.tag != tagSequence {
		return cmsBroken, nil
	}
	_, rest, ok := readBER(field.content, 4) // the type of the content
	if !ok {
		return cmsBroken, nil
	}
	if len(rest) == 0 {
		return cmsSigned, nil
	}
	wrapped, _, ok := readBER(rest, 4)
	if !ok || wrapped.tag != tagContent {
		return cmsBroken, nil
	}
	octets, _, ok := readBER(wrapped.content, 5)
	if !ok {
		return cmsBroken, nil
	}
	content, ok := octetString(octets, 5)
	if !ok {
		return cmsBroken, nil
	}
	return cmsSigned, content
}

// octetString is the value of an OCTET STRING, which streaming writers cut into pieces (X.690 section 8.7).
func octetString(v ber, depth int) ([]byte, bool) {
	switch {
	case v.tag == tagOctets:
		return v.content, true
	case v.tag != tagOctetsMade || depth >= maxNestedBER:
		return nil, false
	}
	var whole []byte
	for b := v.content; len(b) > 0; {
		piece, rest, ok := readBER(b, depth+1)
		if !ok {
			return nil, false
		}
		octets, ok := octetString(piece, depth+1)
		if !ok {
			return nil, false
		}
		whole, b = append(whole, octets...), rest
	}
	return whole, true
}

// A ber is one value of ASN.1's Basic Encoding Rules.
type ber struct {
	tag     byte
	content []byte
}

// readBER cuts the first value from b. A value of indefinite length is walked through to find its end, to a depth of 16.
func readBER(b []byte, depth int) (ber, []byte, bool) {
	if len(b) < 2 || depth > maxNestedBER || b[0]&tagNumberMask == tagNumberMask {
		return ber{}, nil, false
	}
	tag, short := b[0], b[1]
	b = b[2:]
	switch {
	case short < 0x80:
		return cutBER(tag, b, int(short))
	case short == 0x80:
		return readIndefinite(tag, b, depth)
	}
	n := int(short & 0x7f)
	if n > maxLengthBytes || n > len(b) {
		return ber{}, nil, false
	}
	length := 0
	for _, c := range b[:n] {
		length = length<<8 | int(c)
	}
	return cutBER(tag, b[n:], length)
}

// cutBER cuts a value of known length.
func cutBER(tag byte, b []byte, length int) (ber, []byte, bool) {
	if length > len(b) {
		return ber{}, nil, false
	}
	return ber{tag, b[:length:length]}, b[length:], true
}

// readIndefinite cuts a value that ends with two zero octets (X.690 section 8.1.3.6); only a value made of others may.
func readIndefinite(tag byte, b []byte, depth int) (ber, []byte, bool) {
	if tag&0x20 == 0 {
		return ber{}, nil, false
	}
	rest := b
	for {
		if len(rest) >= 2 && rest[0] == 0 && rest[1] == 0 {
			n := len(b) - len(rest)
			return ber{tag, b[:n:n]}, rest[2:], true
		}
		var ok bool
		if _, rest, ok = readBER(rest, depth+1); !ok {
			return ber{}, nil, false
		}
	}
}
