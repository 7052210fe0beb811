package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/gateway/access"
	"gatepost/gateway/admin"
	"gatepost/gateway/smtp"
	"gatepost/gateway/webhook"
	"gatepost/rules/conf"
)

// A Config is gatepost.yaml. One that Load returned without problems can be served.
type Config struct {
	Node conf.Node `yaml:",node"`
	File string    `yaml:"-"` // as Load was asked for it

	Version  int       `yaml:"version" default:"1" doc:"Format of this file."`
	Hostname string    `yaml:"hostname" required:"true" doc:"The gateway's own name, as its MX record has it: in the banner, in Received and as the authserv-id of Authentication-Results."`
	DataDir  conf.Path `yaml:"data_dir" default:"/var/lib/gatepost" doc:"Where the quarantine, the hold queue, the journal, the self-signed certificate and an SQLite store live."`

	User string `yaml:"user" doc:"The account that a gateway started by root becomes once it listens; data_dir must be its own, and the files that are read must be readable for it. Empty: it stays who started it."`

	Listeners Listeners `yaml:"listeners" default:"[{address: \":25\"}]" doc:"Where mail is received."`
	TLS       TLS       `yaml:"tls" doc:"What the listeners show. Without certificates a self-signed one is made and kept in data_dir."`
	Domains   []Domain  `yaml:"domains" required:"true" doc:"Whom mail is accepted for; everything else is relaying, and refused. Mail to <postmaster>, without a domain, goes to the postmaster of the first."`

	TrustedNetworks Networks `yaml:"trusted_networks" default:"[]" doc:"Clients without greet delay, bot test, greylist and rate limit. They are still filtered and may not relay. A network of more than 4096 addresses needs to be written as {network: …, i_know: true}; private ones do not."`
	AllowOwnName    bool     `yaml:"allow_own_name" doc:"Let clients greet with this gateway's own name or address. It cannot be theirs, so they are refused with 550 5.7.1; trusted networks and this machine may."`
	NormalizeBareLF Networks `yaml:"normalize_bare_lf" default:"[]" doc:"Clients whose bare line feeds are made CRLF instead of being refused: old appliances."`

	DNS   DNS   `yaml:"dns" doc:"Who answers our questions."`
	Store Store `yaml:"store" doc:"What must last: quarantine, journal, accounts, what was learned."`
	Geo   Geo   `yaml:"geo" doc:"Where clients are, for envelope.country and envelope.asn in rules, and for access entries."`
	State State `yaml:"state" doc:"What gateways of one site share and may forget: counters, greylist, caches."`

	ARCSeal ARCSeal `yaml:"arc_seal" doc:"Seal what is forwarded by ARC (RFC 8617), for a mail server that trusts this gateway's word about how a message authenticated here. Without this section nothing is sealed."`

	Filters    Filters      `yaml:"filters" doc:"One section per filter, by its name; enabled: false turns one off."`
	Quarantine Quarantine   `yaml:"quarantine" doc:"What is held for people to look at."`
	Hold       Hold         `yaml:"hold" doc:"Accepted mail of domains with when_down: hold, while its next hop is down."`
	Admin      admin.Config `yaml:"admin" doc:"Review pages, API, metrics and health."`
	Limits     Limits       `yaml:"limits" doc:"Bounds of the SMTP dialogue. Of two that must not be more than each other, the one that is not named follows the one that is."`
	Timeouts   Timeouts     `yaml:"timeouts" doc:"How long the SMTP server waits."`

	Greylist access.Greylist `yaml:"greylist" doc:"How long doubtful mail of unknown senders waits; the policy says what is doubtful: thresholds.greylist and rules with then: greylist."`

	Policy conf.Path   `yaml:"policy" doc:"The policy file. Without one the shipped policy judges alone."`
	Rules  []conf.Path `yaml:"rules" default:"[]" doc:"Rule packs of this site, beside the shipped ones: files, or directories whose *.yaml files are packs. A rule of the same name takes a shipped rule's place."`

	Webhooks []webhook.Config `yaml:"webhooks" default:"[]" doc:"Programs that are told over HTTP what happens: signed, tried again for a while, never in the way of mail. docs/webhooks.md says what they get."`

	Log Log `yaml:"log" doc:"What is told to standard error."`

	// Notes are no problems: the gateway runs, and its administrator should know. They are in the order of the file.
	Notes []conf.Problem `yaml:"-"`
}

// version is the format that this program reads.
const version = 1

// maxFile is the most that is read of a file; one byte more than a document may have tells that it has too many.
const maxFile = 1<<20 + 1

// Load reads the file at path. Every problem is returned at once, in the order of the file; the Config is complete, with
// its defaults, if there is none. Notes are kept in the Config.
func Load(path string) (*Config, []conf.Problem) { return load(path, time.Now()) }

func load(path string, now time.Time) (*Config, []conf.Problem) {
	data, err := read(path)
	if err != nil {
		return blank(path), []conf.Problem{{Pos: conf.Pos{File: path}, Message: err.Error()}}
	}
	return parse(path, data, now)
}

// Parse reads data as if it were the content of the file at path.
func Parse(path string, data []byte) (*Config, []conf.Problem) { return parse(path, data, time.Now()) }

func parse(path string, data []byte, now time.Time) (*Config, []conf.Problem) {
	c := blank(path)
	problems := conf.Decode(path, data, c)
	if c.Node.Kind() != conf.Mapping {
		return c, problems
	}
	r := &review{c: c, now: now}
	r.all()
	c.Notes = conf.Sorted(r.notes)
	return c, conf.Sorted(append(problems, r.problems...))
}

// blank is what stands before the file is read. A section whose owner sets its own defaults in code gets them here.
func blank(path string) *Config {
	return &Config{
		File:     path,
		Limits:   Limits{SessionLimits: smtp.DefaultLimits(), ClientLimits: access.DefaultLimits()},
		Timeouts: Timeouts{Timeouts: smtp.DefaultTimeouts()},
		Greylist: access.DefaultGreylist(),
	}
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such file; gatepost init writes one, and -c names another")
	}
	if err != nil {
		return nil, fmt.Errorf("open configuration: %w", errors.Unwrap(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", errors.Unwrap(err))
	}
	return data, nil
}

// StoreURL is the store's URL with the path of an SQLite file made whole: it is relative to data_dir.
func (c *Config) StoreURL() string {
	url := c.Store.URL.Reveal()
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || filepath.IsAbs(path) {
		return url
	}
	return "sqlite:" + filepath.Join(string(c.DataDir), path)
}
