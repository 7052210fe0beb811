package catalog

import (
	"time"

	"gatepost/filters"
	"gatepost/filters/attach"
	"gatepost/filters/clamd"
	"gatepost/filters/hook"
	"gatepost/filters/icap"
	"gatepost/filters/milter"
	"gatepost/filters/rspamd"
	"gatepost/filters/spamd"
	"gatepost/filters/yara"
	"gatepost/rules/conf"
)

// engineTime is the most that a filter may take that asks an engine beside us; its own timeout, within this one, is configurable.
const engineTime = 42 * time.Second

// engineEntry is of a filter that is only there where its section C says whom to ask.
func engineEntry[C any, F interface {
	comparable
	filters.Filter
}](name string, codes func() []filters.Code, build func(C, Deps) F) entry {
	return entry{filters.AtDepth, engineTime, codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
		var c C
		problems := s.Decode(name, &c)
		var none F
		if f := build(c, d); f != none {
			return f, problems
		}
		return nil, problems
	}}
}

// engines are the entries of the programs beside us, by name.
func engines() map[string]entry {
	return map[string]entry{
		"clamd": engineEntry("clamd", clamd.Codes, func(c clamd.Config, _ Deps) *clamd.Filter { return clamd.New(c) }),
		"icap":  engineEntry("icap", icap.Codes, func(c icap.Config, _ Deps) *icap.Filter { return icap.New(c, nil) }),
		"milter": engineEntry("milter", milter.Codes, func(c milter.Config, d Deps) *milter.Filter {
			c.Hostname = d.AuthServID
			return milter.New(c)
		}),
		"rspamd": engineEntry("rspamd", rspamd.Codes, func(c rspamd.Config, d Deps) *rspamd.Filter {
			c.Hostname = d.AuthServID
			return rspamd.New(c)
		}),
		"spamd": engineEntry("spamd", spamd.Codes, func(c spamd.Config, d Deps) *spamd.Filter {
			c.Hostname = d.AuthServID
			return spamd.New(c)
		}),
		"yara": yaraEntry(),
		"hook": hookEntry(),
	}
}

// yaraEntry gives the filter a walk of its own through what attach opens, by attach's settings. Rules are only compiled where the
// filter is on.
func yaraEntry() entry {
	return entry{filters.AtDepth, engineTime, yara.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
		var c yara.Config
		problems := s.Decode("yara", &c)
		var a attach.Config
		if len(problems) > 0 || !s.Enabled("yara") || len(s.Decode("attach", &a)) > 0 {
			return nil, problems
		}
		f, problems := yara.New(c, attach.New(a), d.YARA)
		if f == nil {
			return nil, problems
		}
		return f, problems
	}}
}

func hookEntry() entry {
	return entry{filters.AtDepth, engineTime, hook.Codes, func(s Sections, _ Deps) (filters.Filter, []conf.Problem) {
		var c hook.Config
		problems := s.Decode("hook", &c)
		if len(problems) > 0 {
			return nil, problems
		}
		f, err := hook.New(c)
		if err != nil {
			problems = append(problems, conf.Problem{Message: err.Error()})
		}
		if f == nil {
			return nil, problems
		}
		return f, problems
	}}
}

// ownCodes are the findings of a site's own milters and hook.
func ownCodes(s Sections) []filters.Code {
	var codes []filters.Code
	var m milter.Config
	if len(s.Decode("milter", &m)) == 0 {
		codes = milter.OwnCodes(m)
	}
	var h hook.Config
	if len(s.Decode("hook", &h)) == 0 {
		codes = append(codes, hook.OwnCodes(h)...)
	}
	return codes
}
