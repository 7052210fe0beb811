package admin

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gatepost/rules/conf"
)

// Config is the admin section of gatepost.yaml.
type Config struct {
	Address      string        `yaml:"address" default:"127.0.0.1:8025" doc:"HOST:PORT of the review pages, the API, metrics and health; loopback, unless public is set."`
	Public       bool          `yaml:"public" default:"false" doc:"Allow an address that other machines can reach. The pages have no TLS of their own: put a proxy that speaks it before them."`
	BaseURL      string        `yaml:"base_url" doc:"How browsers reach the pages, if a proxy stands before them: https://gate.example.com."`
	Metrics      bool          `yaml:"metrics" default:"true" doc:"Serve /metrics, to this machine or with metrics_token."`
	MetricsToken conf.Secret   `yaml:"metrics_token" doc:"Bearer token that opens /metrics and the details of /readyz to other machines."`
	SessionIdle  time.Duration `yaml:"session_idle" default:"30m" min:"1m" doc:"A session ends after so long without a request."`
	SessionLife  time.Duration `yaml:"session_life" default:"12h" min:"1m" doc:"A session ends after so long whatever happens."`
	SecondFactor string        `yaml:"second_factor" enum:"optional|admins|everybody" default:"optional" doc:"Who must have a second factor, a code or a passkey, before anything else can be done."`
	OIDC         OIDC          `yaml:"oidc" doc:"Login by an OpenID provider, beside passwords."`
	MTASTS       MTASTS        `yaml:"mta_sts" doc:"Serve an MTA-STS policy (RFC 8461) at /.well-known/mta-sts.txt, for the proxy that answers as mta-sts.DOMAIN; gatepost tls records says what to publish beside it."`
	Language     string        `yaml:"language" enum:"en|zh" default:"en" doc:"For a browser that asks for no language that we speak."`
}

// Defaults is the Config of a gatepost.yaml that says nothing about admin.
func Defaults() Config {
	return Config{Address: "127.0.0.1:8025", Metrics: true, SecondFactor: secondOptional, Language: "en", SessionIdle: 30 * time.Minute, SessionLife: 12 * time.Hour}
}

// CheckConf looks for contradictions.
func (c *Config) CheckConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	for _, f := range c.faults() {
		at := n.Key(f.key)
		if at.IsNull() {
			at = n
		}
		problems = append(problems, at.Problemf("%s", f.why))
	}
	return problems
}

// Validate reports what is wrong with c, naming the key.
func (c Config) Validate() error {
	for _, f := range c.faults() {
		return fmt.Errorf("admin.%s: %s", f.key, f.why)
	}
	return nil
}

// A fault is a key that cannot stand, and why.
type fault struct{ key, why string }

func (c *Config) faults() []fault {
	var out []fault
	if c.Address != "" && !c.Public && !loopbackAddress(c.Address) {
		out = append(out, fault{"address", c.Address + " can be reached from other machines, and the pages have no TLS of their own: put a proxy that speaks it before them and set public: true"})
	}
	if c.BaseURL != "" {
		u, err := url.Parse(c.BaseURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" && u.Path != "/" {
			out = append(out, fault{"base_url", fmt.Sprintf("expected a URL such as https://gate.example.com, found %q", c.BaseURL)})
		}
	}
	if c.SessionLife < c.SessionIdle {
		out = append(out, fault{"session_life", "it is shorter than session_idle, which would never be reached"})
	}
	out = append(out, c.OIDC.faults()...)
	if c.Language != "en" && c.Language != "zh" {
		out = append(out, fault{"language", fmt.Sprintf("want en or zh, found %q", c.Language)})
	}
	return out
}

// loopbackAddress reports whether only this machine reaches s. What is no address at all is somebody else's to tell.
func loopbackAddress(s string) bool {
	u, err := url.Parse("http://" + s)
	if err != nil || !strings.Contains(s, ":") {
		return true
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.Unmap().IsLoopback()
}
