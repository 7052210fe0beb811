package quarantine

import (
	"time"

	"gatepost/policy"
	"gatepost/rules/conf"
)

// Config is the section quarantine of gatepost.yaml. Zero fields take the defaults.
type Config struct {
	Retention Retention `yaml:"retention" doc:"How long held messages are kept, by class."`
	MaxBytes  conf.Size `yaml:"max_bytes" doc:"Most bytes of compressed content that the quarantine may hold; mail that would have to be held beyond it is deferred with 452. 0 means as much as the disk allows."`
}

// Retention is how long messages are kept after they came in.
type Retention struct {
	Spam    conf.Duration `yaml:"spam" doc:"Spam; default 30d."`
	Phish   conf.Duration `yaml:"phish" doc:"Phishing and spoofing; default 30d."`
	Malware conf.Duration `yaml:"malware" doc:"Malware; default 14d."`
	Policy  conf.Duration `yaml:"policy" doc:"Held by a rule of the site, or for no class; default 30d."`
	Refused conf.Duration `yaml:"refused" doc:"Copies of refused messages, of any class; default 14d."`
}

const day = conf.Duration(24 * time.Hour)

// Defaults are the values that zero fields of a Config stand for.
func Defaults() Config {
	return Config{Retention: Retention{Spam: 30 * day, Phish: 30 * day, Malware: 14 * day, Policy: 30 * day, Refused: 14 * day}}
}

// For is how long an entry is kept.
func (r Retention) For(class policy.Class, refused bool) time.Duration {
	d := Defaults().Retention
	set, otherwise := r.Policy, d.Policy
	switch {
	case refused:
		set, otherwise = r.Refused, d.Refused
	case class == policy.Spam:
		set, otherwise = r.Spam, d.Spam
	case class == policy.Phish:
		set, otherwise = r.Phish, d.Phish
	case class == policy.Malware:
		set, otherwise = r.Malware, d.Malware
	}
	if set <= 0 {
		set = otherwise
	}
	return time.Duration(set)
}
