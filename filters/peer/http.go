package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"gatepost/rules/conf"
)

// URLs are where programs listen that speak HTTP; a document writes one or a list.
type URLs []string

// UnmarshalConf reads one URL or a list of them.
func (u *URLs) UnmarshalConf(n conf.Node) []conf.Problem {
	list, problems := oneOrMore(n, "http://HOST:PORT, https://HOST or unix:/path", func(s string) error { _, err := ParseURL(s); return err })
	*u = append(*u, list...)
	return problems
}

// ConfType says what a document may write.
func (URLs) ConfType() string { return "http://, https:// or unix:/path, or a list of them" }

// ConfSchema says what a document may write.
func (URLs) ConfSchema() map[string]any { return textOrTexts() }

// A Site is where a program listens that speaks HTTP.
type Site struct {
	URL    string // the beginning of every request's URL, without a slash at its end
	Secure bool   // https
	Local  bool   // a socket of this machine or a loopback address, so that what is sent is seen by nobody else
	socket string
}

// ParseURL reads http://HOST:PORT/PATH, https://HOST/PATH or unix:/path. Passwords, queries and fragments have no place in such a
// URL, which is shown and logged.
func ParseURL(s string) (Site, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && strings.HasPrefix(path, "/") {
		return Site{URL: "http://localhost", Local: true, socket: path}, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(s, " \r\n\t"):
		return Site{}, fmt.Errorf("expected http://HOST:PORT, https://HOST or unix:/path, found %q", ASCII(s, 100))
	case u.User != nil:
		return Site{}, errors.New("a user or password has no place in this URL")
	case u.Fragment != "" || u.RawQuery != "" || u.ForceQuery:
		return Site{}, errors.New("a query or fragment has no place in this URL")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return Site{URL: strings.TrimSuffix(s, "/"), Secure: u.Scheme == "https", Local: u.Hostname() == "localhost" || err == nil && ip.IsLoopback()}, nil
}

// The bounds of HTTP.
const (
	maxHeader = 64 << 10 // octets of the answer's header fields
	idleTime  = 30 * time.Second
	maxNested = 64 // levels of JSON
)

// Client makes a client for one site. It keeps at most so many connections for reuse, follows no redirect, asks no proxy, and
// goes to no address that only machines on the same wire have (169.254.0.0/16, fe80::/10), where clouds keep their secrets.
// roots, if not nil, is who vouches for the site.
func Client(s Site, connections int, roots *tls.Config) *http.Client {
	d := &net.Dialer{Control: func(network, address string, _ syscall.RawConn) error {
		if host, err := netip.ParseAddrPort(address); err == nil && (host.Addr().Unmap().IsLinkLocalUnicast() || host.Addr().IsMulticast()) {
			return fmt.Errorf("%s is not an address that is asked", host.Addr())
		}
		return nil
	}}
	t := &http.Transport{
		DialContext: d.DialContext, TLSClientConfig: roots, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: idleTime, ForceAttemptHTTP2: false,
	}
	if s.socket != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", s.socket) }
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Reply sends a request and returns the body of the answer, which must be 200, be JSON by its own words, and have at most
// so many octets.
func Reply(c *http.Client, r *http.Request, most int64) ([]byte, error) {
	resp, err := c.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL stands before it already
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it said %q", ASCII(resp.Status, 100))
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return nil, fmt.Errorf("its answer is of type %q", ASCII(kind, 60))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("the answer is longer than %d bytes", most)
	}
	return b, nil
}

// Decode reads a JSON document as into says. It refuses what two readers could take for different things: a name twice in
// one object, anything behind the document, more than 64 levels. strict refuses names that into does not have.
func Decode(b []byte, into any, strict bool) error {
	if err := once(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if strict {
		d.DisallowUnknownFields()
	}
	return d.Decode(into)
}

// once walks through a document and refuses a name that comes twice, by the folding of case by which names are matched.
func once(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil in a list
		value bool            // a value is next, not a name
	}
	var open []level
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return errors.New("there is no JSON in it")
		}
		if err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
		top := len(open) - 1
		if name, ok := t.(string); ok && top >= 0 && open[top].names != nil && !open[top].value {
			if name = strings.ToLower(strings.ToUpper(name)); open[top].names[name] {
				return fmt.Errorf("%q stands twice", ASCII(name, 60))
			}
			open[top].names[name], open[top].value = true, true
			continue
		}
		switch t {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
		if len(open) > maxNested {
			return fmt.Errorf("it has more than %d levels", maxNested)
		}
		if t == json.Delim('{') || t == json.Delim('[') {
			continue
		}
		if len(open) == 0 {
			break
		}
		open[len(open)-1].value = false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one document")
	}
	return nil
}

// Finite reports whether a number is one that can be compared and shown.
func Finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) && math.Abs(f) < 1e6 }
