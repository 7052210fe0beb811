package smtp

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// v2 makes a version 2 header.
func v2(command, family byte, body []byte) string {
	h := append(bytes.Clone(proxySignature), 0x20|command, family)
	h = binary.BigEndian.AppendUint16(h, uint16(len(body)))
	return string(append(h, body...))
}

// four and six are the address parts of version 2.
var (
	four = append([]byte{192, 0, 2, 1, 198, 51, 100, 2}, 0xc3, 0x50, 0, 25)
	six  = func() []byte {
		a, b := netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8::2").As16()
		return append(append(a[:], b[:]...), 0xc3, 0x50, 0, 25)
	}()
	mapped = func() []byte {
		a := netip.MustParseAddr("::ffff:192.0.2.1").As16()
		return append(append(a[:], a[:]...), 0xc3, 0x50, 0, 25)
	}()
)

// B-16, I-07.
func TestProxyHeader(t *testing.T) {
	for name, c := range map[string]struct {
		in    string
		src   string // empty: refused
		local bool
	}{
		"v1 TCP4":          {in: "PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n", src: "192.0.2.1:50000"},
		"v1 TCP6":          {in: "PROXY TCP6 2001:db8::1 2001:db8::2 50000 25\r\n", src: "[2001:db8::1]:50000"},
		"v1 mapped":        {in: "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 50000 25\r\n", src: "192.0.2.1:50000"},
		"v1 UNKNOWN":       {in: "PROXY UNKNOWN\r\n", local: true},
		"v1 UNKNOWN more":  {in: "PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n", local: true},
		"v1 longest":       {in: "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n", local: true},
		"v1 too long":      {in: "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n"},
		"v1 endless":       {in: "PROXY TCP4 " + strings.Repeat("1", 4000)},
		"v1 LF":            {in: "PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\n"},
		"v1 mixed":         {in: "PROXY TCP4 192.0.2.1 2001:db8::2 50000 25\r\n"},
		"v1 wrong family":  {in: "PROXY TCP6 192.0.2.1 192.0.2.2 50000 25\r\n"},
		"v1 leading zero":  {in: "PROXY TCP4 192.0.2.1 192.0.2.2 050000 25\r\n"},
		"v1 port":          {in: "PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n"},
		"v1 sign":          {in: "PROXY TCP4 192.0.2.1 192.0.2.2 +1 25\r\n"},
		"v1 zone":          {in: "PROXY TCP6 fe80::1%eth0 fe80::2 1 25\r\n"},
		"v1 blanks":        {in: "PROXY TCP4  192.0.2.1 192.0.2.2 1 25\r\n"},
		"v1 UDP":           {in: "PROXY UDP4 192.0.2.1 192.0.2.2 1 25\r\n"},
		"v1 lower case":    {in: "proxy tcp4 192.0.2.1 192.0.2.2 1 25\r\n"},
		"v2 IPv4":          {in: v2(1, 0x11, four), src: "192.0.2.1:50000"},
		"v2 IPv6":          {in: v2(1, 0x21, six), src: "[2001:db8::1]:50000"},
		"v2 mapped":        {in: v2(1, 0x21, mapped), src: "192.0.2.1:50000"},
		"v2 TLVs":          {in: v2(1, 0x11, append(bytes.Clone(four), make([]byte, maxProxyV2-12)...)), src: "192.0.2.1:50000"},
		"v2 TLVs too long": {in: v2(1, 0x11, append(bytes.Clone(four), make([]byte, maxProxyV2-11)...))},
		"v2 LOCAL":         {in: v2(0, 0, nil), local: true},
		"v2 short":         {in: v2(1, 0x11, four[:11])},
		"v2 unix":          {in: v2(1, 0x31, make([]byte, 216))},
		"v2 UDP":           {in: v2(1, 0x12, four)},
		"v2 command":       {in: v2(2, 0x11, four)},
		"v2 version":       {in: string(proxySignature) + "\x11\x11\x00\x0c" + string(four)},
		"v2 cut":           {in: v2(1, 0x11, four)[:20]},
		"a command":        {in: "EHLO client.example\r\n"},
		"nothing":          {in: ""},
	} {
		r := strings.NewReader(c.in + "EHLO")
		p, err := readProxyHeader(r)
		switch {
		case c.local:
			if err != nil || !p.local || r.Len() != 4 {
				t.Errorf("%s: %+v, %v, %d left", name, p, err, r.Len())
			}
		case c.src != "":
			if err != nil || p.local || p.src.String() != c.src || r.Len() != 4 {
				t.Errorf("%s: %+v, %v, %d left", name, p, err, r.Len())
			}
		case err == nil:
			t.Errorf("%s: taken as %+v", name, p)
		}
	}
}

// B-16: the header is believed from a trusted proxy, and nobody else is served there.
func TestProxyListenerServesTrustedProxiesAlone(t *testing.T) {
	trusting := ListenerOptions{Name: "edge", ProxyProtocol: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	o := open(t, &recorder{}, Config{}, trusting)
	c := o.dial(t)
	c.send("PROXY TCP4 192.0.2.7 198.51.100.2 50000 25\r\n")
	c.want("220 ")
	c.inStep()
	if p := o.peers[0]; p.Remote.String() != "192.0.2.7" || p.Port != 50000 || p.Local.String() != "198.51.100.2:25" || p.Listener != "edge" {
		t.Errorf("peer %+v", p)
	}
	for _, garbage := range []string{"EHLO client.example\r\n", "PROXY TCP4 x y\r\n", "\x16\x03\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		c = o.dial(t)
		c.send(garbage)
		c.wantNothing()
	}
	strange := open(t, &recorder{}, Config{}, ListenerOptions{ProxyProtocol: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	c = strange.dial(t)
	c.wantNothing()
	if len(strange.peers) != 0 || strange.srv.Stats().Events["proxy_bad"] != 1 {
		t.Errorf("peers %v, stats %v", strange.peers, strange.srv.Stats().Events["proxy_bad"])
	}
	plain := open(t, &recorder{}, Config{}, ListenerOptions{})
	c = plain.dial(t)
	c.want("220 ")
	c.ask("PROXY TCP4 192.0.2.7 198.51.100.2 50000 25", "500 5.5.2")
	c.wantClosed()
}

// wantNothing wants the connection closed without a word; a reset will do, for there was something to read.
func (c *client) wantNothing() {
	c.t.Helper()
	if b, _ := io.ReadAll(c.r); len(b) > 0 {
		c.t.Fatalf("got %q", b)
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n", "PROXY UNKNOWN\r\n", v2(1, 0x11, four), v2(1, 0x21, six), v2(0, 0, nil),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		p, err := readProxyHeader(r)
		if used := len(data) - r.Len(); used > maxProxyV2+16 {
			t.Fatalf("%d octets read", used)
		}
		if err == nil && !p.local && (!p.src.IsValid() || p.src.Addr().Is4In6() || p.src.Addr().Zone() != "") {
			t.Fatalf("%q: %+v", data, p)
		}
	})
}
