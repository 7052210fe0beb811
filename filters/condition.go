package filters

import "context"

// A Condition is how well something can work that a filter depends on.
type Condition struct {
	Filter string // whose it is; set by the chain
	Name   string // such as "clamd unix:/run/clamav/clamd.ctl"
	Detail string // what it is, when it is well
	Err    error  // nil: it is well
	Down   bool   // it cannot work at all, so that what policy says for the filter's failure is what happens to mail
	Hint   string // what to do, one sentence
}

// A Reporter is a filter that depends on something outside and can say how that is, now.
type Reporter interface {
	Conditions(ctx context.Context) []Condition
}

// Conditions asks every filter that depends on something outside, in chain order.
func (c *Chain) Conditions(ctx context.Context) []Condition {
	var list []Condition
	for _, stage := range c.stages {
		for _, l := range stage.links {
			r, ok := l.Filter.(Reporter)
			if !ok {
				continue
			}
			for _, one := range r.Conditions(ctx) {
				one.Filter = l.Name
				list = append(list, one)
			}
		}
	}
	return list
}
