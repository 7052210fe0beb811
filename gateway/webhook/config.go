package webhook

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"gatepost/rules/conf"
)

// Config is one item of webhooks in gatepost.yaml: who is told of what.
type Config struct {
	Name     string         `yaml:"name" doc:"What it is called on the health page and in doctor; its host, if nothing is said."`
	URL      conf.Secret    `yaml:"url" required:"true" doc:"Where events are POSTed: https://HOST/PATH, or http:// to a host in networks. Shown to nobody: some receivers have their key in it."`
	Events   []Event        `yaml:"events" default:"[]" doc:"Which events are told: message.held, message.released, message.deleted, health.changed, policy.applied, policy.refused, login.burst. Without any, all."`
	Secret   conf.Secret    `yaml:"secret" required:"true" doc:"Key of the signature in the field Gatepost-Signature, 16 bytes at least, such as openssl rand -hex 32 makes."`
	Networks []netip.Prefix `yaml:"networks" default:"[]" doc:"Networks of your own that the host may be in: an address that is not public is called only if it is listed here, whatever name led to it."`
	Details  bool           `yaml:"details" default:"false" doc:"Tell addresses and subjects, too, not only ids, classes and reasons."`
}

// minSecret is the least length of a secret, in bytes.
const minSecret = 16

// CheckConf looks for what could never work. The URL is not repeated in a problem.
func (c *Config) CheckConf(n conf.Node) []conf.Problem {
	var out []conf.Problem
	if why := faultOf(c.URL.Reveal()); why != "" && !c.URL.IsZero() {
		out = append(out, n.Key("url").Problemf("%s", why))
	}
	if !c.Secret.IsZero() && len(c.Secret.Reveal()) < minSecret {
		out = append(out, n.Key("secret").Problemf("it has %d bytes, and %d are the least", len(c.Secret.Reveal()), minSecret))
	}
	for _, e := range c.Events {
		if !slices.Contains(Events(), e) {
			words := make([]string, len(Events()))
			for i, k := range Events() {
				words[i] = string(k)
			}
			out = append(out, n.Key("events").Problemf("unknown event %q; there are %s", string(e), strings.Join(words, ", ")))
		}
	}
	return out
}

// faultOf says what is wrong with an address to POST to; "" if nothing is.
func faultOf(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return "expected a URL such as https://hooks.example.com/gatepost"
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Sprintf("only https and http are called, not %q", u.Scheme)
	case u.User != nil:
		return "a user name in the URL is not sent: receivers check the signature"
	case u.Fragment != "":
		return "a fragment (#…) is never sent"
	}
	return ""
}

// Title is what people call the hook.
func (c *Config) Title() string {
	if c.Name != "" {
		return c.Name
	}
	u, err := url.Parse(c.URL.Reveal())
	if err != nil {
		return ""
	}
	return u.Host
}

// wants reports whether the hook is told of e. A test is told to whom it is sent.
func (c *Config) wants(e Event) bool {
	return len(c.Events) == 0 || e == Test || slices.Contains(c.Events, e)
}
