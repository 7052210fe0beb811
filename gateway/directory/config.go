package directory

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"gatepost/rules/conf"
)

// Config is the ldap section of a domain's recipients.
type Config struct {
	URLs     []string      `yaml:"urls" required:"true" doc:"Servers in order of preference: ldaps://HOST, or ldap://HOST."`
	TLS      string        `yaml:"tls" enum:"starttls|off" default:"starttls" doc:"For ldap: URLs; off sends the password and everybody's addresses in the clear, and is for servers on this machine."`
	CA       conf.Path     `yaml:"ca" doc:"Certificates (PEM) that sign the servers'; default: those that this machine trusts."`
	BindDN   string        `yaml:"bind_dn" doc:"Who asks; empty: anonymous."`
	Password conf.Secret   `yaml:"password" doc:"The password of bind_dn."`
	Base     string        `yaml:"base" required:"true" doc:"Below which entry recipients are."`
	Filter   string        `yaml:"filter" default:"(|(mail={address})(proxyAddresses=smtp:{address}))" doc:"What finds a recipient: {address}, its {local} part and {domain}, or its {user} (the local part up to the first +). They are escaped."`
	Timeout  time.Duration `yaml:"timeout" default:"5s" min:"100ms" max:"30s" doc:"How long a server may take for one answer."`
	Keep     time.Duration `yaml:"keep" default:"1h" min:"0s" doc:"How long a yes is good without asking again."`
	KeepNo   time.Duration `yaml:"keep_no" default:"5m" min:"0s" doc:"How long a no is good."`
	Stale    time.Duration `yaml:"stale" default:"24h" min:"0s" doc:"How long an old yes counts while no server answers."`
}

// places are what a filter may hold, each with an example.
func places(s string, address, local, domain string) string {
	user, _, _ := strings.Cut(local, "+")
	return strings.NewReplacer("{address}", ldap.EscapeFilter(address), "{local}", ldap.EscapeFilter(local),
		"{domain}", ldap.EscapeFilter(domain), "{user}", ldap.EscapeFilter(user)).Replace(s)
}

// CheckConf looks for what cannot work.
func (c *Config) CheckConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	if len(c.URLs) == 0 {
		problems = append(problems, n.Key("urls").Problemf("at least one server is needed"))
	}
	for i, s := range c.URLs {
		at := n.Key("urls").Item(i)
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
			problems = append(problems, at.Problemf("expected ldaps://HOST or ldap://HOST, with a port if it is another than 636 and 389"))
		case u.Scheme == "ldap" && c.TLS == "off" && !here(u.Hostname()):
			problems = append(problems, at.Problemf("tls: off is for servers on this machine; use ldaps:// or tls: starttls"))
		}
	}
	if (c.BindDN == "") != c.Password.IsZero() {
		problems = append(problems, n.Key("bind_dn").Problemf("bind_dn and password belong together"))
	}
	if _, err := ldap.ParseDN(c.Base); err != nil {
		problems = append(problems, n.Key("base").Problemf("%q is not the name of an entry, such as ou=people,dc=example,dc=com", c.Base))
	}
	if _, err := ldap.CompileFilter(places(c.Filter, "a@b.example", "a", "b.example")); err != nil {
		problems = append(problems, n.Key("filter").Problemf("it is not a search filter (RFC 4515): %v", err))
	} else if places(c.Filter, "a@b.example", "a", "b.example") == places(c.Filter, "c@d.example", "c", "d.example") {
		problems = append(problems, n.Key("filter").Problemf("it asks for nobody: {address}, {local} or {user} is missing"))
	}
	return problems
}

// here reports whether a host is certainly this machine.
func here(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
