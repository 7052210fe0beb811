package catalog

import (
	"time"

	"gatepost/filters"
	"gatepost/filters/hook"
	"gatepost/filters/milter"
	"gatepost/filters/rspamd"
	"gatepost/filters/spamd"
	"gatepost/rules/conf"
)

// engineTime is the most that a filter may take that asks an engine beside us; its own timeout, within this one, is configurable.
const engineTime = 42 * time.Second

func milterEntry() entry {
	return entry{filters.AtDepth, engineTime, milter.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
		var c milter.Config
		problems := s.Decode("milter", &c)
		c.Hostname = d.AuthServID
		if f := milter.New(c); f != nil {
			return f, problems
		}
		return nil, problems
	}}
}

func rspamdEntry() entry {
	return entry{filters.AtDepth, engineTime, rspamd.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
		var c rspamd.Config
		problems := s.Decode("rspamd", &c)
		c.Hostname = d.AuthServID
		if f := rspamd.New(c); f != nil {
			return f, problems
		}
		return nil, problems
	}}
}

func spamdEntry() entry {
	return entry{filters.AtDepth, engineTime, spamd.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
		var c spamd.Config
		problems := s.Decode("spamd", &c)
		c.Hostname = d.AuthServID
		if f := spamd.New(c); f != nil {
			return f, problems
		}
		return nil, problems
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
