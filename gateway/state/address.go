package state

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// errURL does not repeat the URL, which may hold a password.
var errURL = errors.New("expected redis://HOST:PORT/NUMBER, redis-sentinel://HOST:PORT,HOST:PORT/MASTER/NUMBER or redis-cluster://HOST:PORT,HOST:PORT; with rediss in place of redis under TLS")

// CheckURL reports whether a URL names a Redis, without connecting to it.
func CheckURL(s string) error {
	_, err := parseURL(s)
	return err
}

// parseURL reads where Redis is: one server, a master that sentinels know, or a cluster.
func parseURL(s string) (*redis.UniversalOptions, error) {
	scheme, rest, _ := strings.Cut(s, "://")
	var many func(o *redis.UniversalOptions, path []string) bool
	switch strings.Replace(scheme, "rediss", "redis", 1) {
	case "redis-sentinel":
		many = sentinelPath
	case "redis-cluster":
		many = func(o *redis.UniversalOptions, path []string) bool { o.IsClusterMode = true; return len(path) == 0 }
	default:
		return parseSingle(s)
	}
	o := &redis.UniversalOptions{}
	rest, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, password, _ := strings.Cut(rest[:i], ":")
		var err1, err2 error
		o.Username, err1 = url.PathUnescape(user)
		o.Password, err2 = url.PathUnescape(password)
		if err1 != nil || err2 != nil {
			return nil, errURL
		}
		rest = rest[i+1:]
	}
	for _, hop := range strings.Split(rest, ",") {
		host, port, err := net.SplitHostPort(hop)
		if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || host == "" {
			return nil, errURL
		}
		o.Addrs = append(o.Addrs, hop)
		if strings.HasPrefix(scheme, "rediss") && o.TLSConfig == nil {
			o.TLSConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
		}
	}
	if !many(o, strings.FieldsFunc(path, func(r rune) bool { return r == '/' })) {
		return nil, errURL
	}
	return o, nil
}

// sentinelPath reads MASTER/NUMBER.
func sentinelPath(o *redis.UniversalOptions, path []string) bool {
	if len(path) == 0 || len(path) > 2 {
		return false
	}
	o.MasterName = path[0]
	if len(path) == 2 {
		n, err := strconv.ParseUint(path[1], 10, 8)
		if err != nil {
			return false
		}
		o.DB = int(n)
	}
	// The sentinels of a site have the site's password, as a rule; they ignore one that they do not ask for.
	o.SentinelUsername, o.SentinelPassword = o.Username, o.Password
	return true
}

// parseSingle reads the URL of one server.
func parseSingle(s string) (*redis.UniversalOptions, error) {
	_, rest, ok := strings.Cut(s, "://")
	if !ok || rest == "" {
		return nil, errURL
	}
	o, err := redis.ParseURL(s)
	if err != nil {
		return nil, errURL // its own words may hold the password
	}
	return &redis.UniversalOptions{Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig}, nil
}

// dialLimit is the longest that a connection to Redis may take to open. Callers do not wait so long: see RedisConfig.Deadline.
const dialLimit = 300 * time.Millisecond

// bound sets how long is waited, how often is tried, and how much is read.
func bound(o *redis.UniversalOptions, deadline time.Duration) {
	o.ContextTimeoutEnabled = true
	o.DialerRetries, o.MaxRetries = 1, -1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialLimit, deadline, deadline, deadline
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DisableIdentity = true
	secret := o.TLSConfig
	o.TLSConfig = nil // the dialer's affair
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial(ctx, network, addr, secret)
	}
}

// dial opens a connection of which no more than maxReply is read for one request.
func dial(ctx context.Context, network, addr string, secret *tls.Config) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialLimit}
	if secret == nil {
		nc, err := plain.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &capped{Conn: nc}, nil
	}
	cfg := secret.Clone()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		cfg.ServerName = host // each of several servers has its own name
	}
	nc, err := (&tls.Dialer{NetDialer: plain, Config: cfg}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &capped{Conn: nc}, nil
}

// maxReply is the most that is read for one request (HOSTILE M-06): what Redis holds, others may have written.
const maxReply = 1 << 20

// errReply ends a connection whose other end says more than any answer of ours has.
var errReply = fmt.Errorf("redis answers more than %d bytes", maxReply)

// capped is a connection that reads at most maxReply between two writes. One goroutine at a time uses it, as the client
// library does.
type capped struct {
	net.Conn
	read int
}

// Write begins a request.
func (c *capped) Write(p []byte) (int, error) {
	c.read = 0
	return c.Conn.Write(p)
}

// Read reads the answer to it.
func (c *capped) Read(p []byte) (int, error) {
	if c.read >= maxReply {
		return 0, errors.Join(errReply, c.Close())
	}
	n, err := c.Conn.Read(p[:min(len(p), maxReply-c.read)])
	c.read += n
	return n, err
}

// SyscallConn lets the pool see whether the other end has closed, without reading. There is none under TLS.
func (c *capped) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
