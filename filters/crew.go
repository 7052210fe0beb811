package filters

import "time"

// A Crew runs functions at once, each in a goroutine of its own, like the go statement. But goroutines that are through wait a
// while for more to do: to begin one costs little, to let its stack grow as deep as filters need it more than many a filter.
// A nil Crew keeps nobody.
type Crew struct{ work chan func() }

// patience is how long a goroutine waits for more to do.
const patience = 2 * time.Second

// NewCrew returns a Crew in which nobody waits yet.
func NewCrew() *Crew { return &Crew{work: make(chan func())} }

// Go begins f and does not wait for it. A panic that f does not recover ends the program, as it does behind a go statement.
func (c *Crew) Go(f func()) {
	if c == nil {
		go f()
		return
	}
	select {
	case c.work <- f: // one that waits has it
	default:
		go c.serve(f)
	}
}

// serve runs f, and then what else there is to do, until nothing comes for a while.
func (c *Crew) serve(f func()) {
	idle := time.NewTimer(patience)
	defer idle.Stop()
	for {
		f()
		idle.Reset(patience)
		select {
		case f = <-c.work:
		case <-idle.C:
			return
		}
	}
}
