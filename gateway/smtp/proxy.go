package smtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// errProxy is what readProxyHeader returns for anything but a whole, well-formed header.
var errProxy = errors.New("malformed PROXY header")

// proxySignature opens a header of version 2.
var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

const (
	maxProxyV1 = 107  // with CRLF, by the protocol's text
	maxProxyV2 = 2048 // addresses and additional fields; the protocol's own bound is 64 KiB
)

// A proxied is what a PROXY header says. If local is true the proxy speaks for itself, as in its health checks, and
// the connection's own addresses hold.
type proxied struct {
	local    bool
	src, dst netip.AddrPort
}

// readProxyHeader reads one PROXY header, version 1 or 2, from r and not an octet more.
func readProxyHeader(r io.Reader) (proxied, error) {
	var start [12]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return proxied{}, err
	}
	if bytes.Equal(start[:], proxySignature) {
		return readProxyV2(r)
	}
	if !bytes.HasPrefix(start[:], []byte("PROXY ")) {
		return proxied{}, errProxy
	}
	line := make([]byte, len(start), maxProxyV1)
	copy(line, start[:])
	for line[len(line)-1] != '\n' {
		if len(line) == maxProxyV1 {
			return proxied{}, errProxy
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return proxied{}, err
		}
	}
	return parseProxyV1(string(line))
}

// parseProxyV1 reads a line such as "PROXY TCP4 192.0.2.1 192.0.2.2 50000 25" with its CRLF.
func parseProxyV1(line string) (proxied, error) {
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(line, "\r\n") {
		return proxied{}, errProxy
	}
	f := strings.Split(line, " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return proxied{local: true}, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return proxied{}, errProxy
	}
	src, err1 := proxyAddrPort(f[2], f[4])
	dst, err2 := proxyAddrPort(f[3], f[5])
	six := f[1] == "TCP6"
	if err1 != nil || err2 != nil || src.Addr().Is6() != six || dst.Addr().Is6() != six {
		return proxied{}, errProxy
	}
	return proxied{src: unmap(src), dst: unmap(dst)}, nil
}

// proxyAddrPort reads an address and a port as version 1 writes them.
func proxyAddrPort(addr, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" {
		return netip.AddrPort{}, errProxy
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return netip.AddrPort{}, errProxy
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// readProxyV2 reads what follows the signature of version 2.
func readProxyV2(r io.Reader) (proxied, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return proxied{}, err
	}
	n := int(binary.BigEndian.Uint16(head[2:]))
	if head[0]>>4 != 2 || n > maxProxyV2 {
		return proxied{}, errProxy
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return proxied{}, err
	}
	switch command, family := head[0]&0xf, head[1]; {
	case command == 0: // LOCAL
		return proxied{local: true}, nil
	case command != 1:
		return proxied{}, errProxy
	case family == 0x11 && n >= 12: // TCP over IPv4
		return proxied{
			src: netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[0:4])), binary.BigEndian.Uint16(body[8:])),
			dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[4:8])), binary.BigEndian.Uint16(body[10:])),
		}, nil
	case family == 0x21 && n >= 36: // TCP over IPv6
		return proxied{
			src: unmap(netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[0:16])), binary.BigEndian.Uint16(body[32:]))),
			dst: unmap(netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[16:32])), binary.BigEndian.Uint16(body[34:]))),
		}, nil
	}
	return proxied{}, errProxy
}

// unmap makes an IPv4-mapped IPv6 address IPv4 and drops the zone, so that one client has one address.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
