// Command soak runs the gateway for a long time under faults and says whether journal, next hop and quarantine agree. Mail
// stays on loopback. With -oracle it is the oracle run instead: a number of letters through a gateway that is killed at
// every failpoint and at random, in both modes of custody.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatepost/gateway/failpoint"
	"gatepost/test/oracle"
)

func main() {
	letters := flag.Int("oracle", 0, "letters of an oracle run, in each mode; 0: soak instead")
	length := flag.Duration("for", time.Hour, "how long to soak")
	every := flag.Duration("every", 40*time.Second, "rest between two faults, most of which take some 20 s")
	rate := flag.Int("rate", 10, "letters a second")
	seed := flag.Uint64("seed", uint64(time.Now().Unix()), "of everything random")
	flag.Parse()
	run := func(dir, binary string) error {
		if *letters > 0 {
			return oracleRun(dir, binary, *letters, *seed)
		}
		return soakRun(oracle.Soak{Binary: binary, Dir: filepath.Join(dir, "soak"), For: *length, Every: *every, Rate: *rate, Seed: *seed})
	}
	if err := within(run); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// within runs in a directory that is removed afterwards, with a binary that has failpoints.
func within(run func(dir, binary string) error) error {
	dir, err := os.MkdirTemp("", "gatepost-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := oracle.Build(dir)
	if err != nil {
		return err
	}
	return run(dir, binary)
}

// soakRun soaks and says what came of it.
func soakRun(p oracle.Soak) error {
	if err := os.Mkdir(p.Dir, 0o700); err != nil {
		return err
	}
	fmt.Printf("soak of %s, %d letters a second, seed %d\n", p.For, p.Rate, p.Seed)
	p.Log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	r, base, last, err := p.Do()
	if err != nil {
		return err
	}
	fmt.Printf("\n%sbaseline: %s\nat the end: %s\n", r, base, last)
	grown := last.Grown(base)
	for _, g := range grown {
		fmt.Println("grown:", g)
	}
	if len(r.Wrong)+len(grown) > 0 {
		return fmt.Errorf("%d things are wrong, %d have grown", len(r.Wrong), len(grown))
	}
	return nil
}

// oracleRun kills the gateway at every point that mail comes past, five times in each mode at least.
func oracleRun(dir, binary string, letters int, seed uint64) error {
	fmt.Printf("seed %d\n", seed)
	wrong := 0
	for _, mode := range []string{"defer", "hold"} {
		files, err := os.MkdirTemp(dir, mode)
		if err != nil {
			return err
		}
		p := oracle.Plan{
			Binary: binary, Dir: files, WhenDown: mode, Letters: letters, Seed: seed, Each: 5,
			Moods: oracle.Moods{LostReply: 5, Cut: 5, Later: 5},
		}
		for _, at := range failpoint.Points() {
			switch at {
			case failpoint.AtRelease, failpoint.SharedState: // no letter comes past
			case failpoint.GaveUp, failpoint.Noted:
				if mode == "hold" {
					p.Points = append(p.Points, string(at))
				}
			default:
				p.Points = append(p.Points, string(at))
			}
		}
		r, err := p.Do()
		if err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
		fmt.Printf("when_down: %s\n%s\n", mode, r)
		wrong += len(r.Wrong)
	}
	if wrong > 0 {
		return fmt.Errorf("%d things are wrong", wrong)
	}
	return nil
}
