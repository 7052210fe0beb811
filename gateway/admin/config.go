package admin

import (
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"gatepost/rules/conf"
)

// Config is the admin section of gatepost.yaml. The zero Config is not served: an empty Address switches the pages off.
type Config struct {
	Address      string        `yaml:"address" doc:"where the review pages, the API, metrics and health are served; loopback unless public is set" default:"127.0.0.1:8025"`
	Public       bool          `yaml:"public" doc:"allow an address that is not loopback; put a proxy that speaks TLS before it" default:"false"`
	BaseURL      string        `yaml:"base_url" doc:"the address that people type, such as https://mail-review.example.com; needed behind a proxy"`
	Metrics      bool          `yaml:"metrics" doc:"serve /metrics, to loopback or with metrics_token" default:"true"`
	MetricsToken string        `yaml:"metrics_token" doc:"bearer token that opens /metrics and the details of /readyz from elsewhere; a secret"`
	SessionIdle  conf.Duration `yaml:"session_idle" doc:"a session ends after so long without a request" default:"30m"`
	SessionLife  conf.Duration `yaml:"session_life" doc:"a session ends after so long whatever happens" default:"12h"`
	Language     string        `yaml:"language" doc:"language for a browser that asks for none that we speak: en or zh" default:"en"`
}

// Defaults is the Config of a gatepost.yaml that says nothing about admin.
func Defaults() Config {
	return Config{
		Address: "127.0.0.1:8025", Metrics: true, Language: "en",
		SessionIdle: conf.Duration(30 * time.Minute), SessionLife: conf.Duration(12 * time.Hour),
	}
}

// Validate reports what is wrong with c, naming the key.
func (c Config) Validate() error {
	if c.Address != "" && !c.Public && !loopbackAddress(c.Address) {
		return fmt.Errorf("admin.address %q is not loopback: set admin.public to serve it anyway, behind a proxy that speaks TLS", c.Address)
	}
	if c.BaseURL != "" {
		u, err := url.Parse(c.BaseURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" && u.Path != "/" {
			return fmt.Errorf("admin.base_url %q: want https://host or https://host:port", c.BaseURL)
		}
	}
	if c.SessionIdle < conf.Duration(time.Minute) || c.SessionLife < c.SessionIdle {
		return fmt.Errorf("admin.session_idle: want at least 1m and no more than session_life")
	}
	if c.Language != "en" && c.Language != "zh" {
		return fmt.Errorf("admin.language %q: want en or zh", c.Language)
	}
	return nil
}

func loopbackAddress(s string) bool {
	u, err := url.Parse("http://" + s)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.Unmap().IsLoopback()
}
