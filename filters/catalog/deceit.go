package catalog

import (
	"fmt"
	"time"

	"gatepost/filters"
	"gatepost/filters/bulk"
	"gatepost/filters/links"
	"gatepost/filters/spoof"
	"gatepost/filters/traffic"
	"gatepost/filters/web"
	"gatepost/rules/brands"
	"gatepost/rules/conf"
	"gatepost/rules/danger"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
)

// People is what the site remembers of those who write to it and of what they link to. gateway/people.Book is the real one.
type People interface {
	spoof.People
	links.Memory
}

// tables are the data that comes with the program.
type tables struct {
	sites  *sites.Table
	brands *brands.Table
	look   *lookalike.Table
	danger danger.Table
}

// loadTables reads the data; a test reads it, too, so that a problem here is one of the program.
func loadTables() (t tables, problems []conf.Problem) {
	problem := func(err error) {
		if err != nil {
			problems = append(problems, conf.Problem{Message: fmt.Sprintf("the program's own data: %v", err)})
		}
	}
	var err error
	t.sites, err = sites.Shipped()
	problem(err)
	t.look, err = lookalike.Shipped()
	problem(err)
	if err == nil {
		t.brands, err = brands.Shipped(t.look)
		problem(err)
	}
	t.danger, err = danger.Shipped()
	problem(err)
	return t, problems
}

// own is the set of the domains that mail is accepted for.
func (d Deps) own(t tables) *web.Kin {
	var names []string
	for name := range d.OurDomains {
		names = append(names, name)
	}
	return web.NewKin(t.look, names)
}

func linksEntry() entry {
	return entry{filters.AtMessage, 10 * time.Second, links.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
		var c links.Config
		problems := s.Decode("links", &c)
		t, more := loadTables()
		if len(more) > 0 {
			return nil, append(problems, more...)
		}
		k := links.Knowledge{Sites: t.sites, Brands: t.brands, Look: t.look, Danger: t.danger, Own: d.own(t)}
		if d.People != nil {
			k.Memory = d.People
		}
		return links.New(c, k), problems
	}}
}

func spoofEntry() entry {
	return entry{filters.AtMessage, 5 * time.Second, spoof.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
		var c spoof.Config
		problems := s.Decode("spoof", &c)
		t, more := loadTables()
		if len(more) > 0 {
			return nil, append(problems, more...)
		}
		k := spoof.Knowledge{Sites: t.sites, Brands: t.brands, Look: t.look, Ours: d.OurDomains, Own: d.own(t), VIPs: d.VIPs}
		if d.People != nil {
			k.People = d.People
		}
		return spoof.New(c, k), problems
	}}
}

func bulkEntry() entry {
	return entry{filters.AtMessage, 5 * time.Second, bulk.Codes, func(s Sections, _ Deps) (filters.Filter, []conf.Problem) {
		var c bulk.Config
		problems := s.Decode("bulk", &c)
		t, more := loadTables()
		if len(more) > 0 {
			return nil, append(problems, more...)
		}
		return bulk.New(c, t.sites), problems
	}}
}

// trafficEntry is at depth because it goes by what auth and spoof found.
func trafficEntry() entry {
	return entry{filters.AtDepth, 5 * time.Second, traffic.Codes, func(s Sections, d Deps) (filters.Filter, []conf.Problem) {
		var c traffic.Config
		problems := s.Decode("traffic", &c)
		return traffic.New(c, d.Traffic), problems
	}}
}
