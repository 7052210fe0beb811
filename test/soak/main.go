// Command soak runs the gateway for a long time under faults and says whether journal, next hop and quarantine agree. Mail
// stays on loopback. With -oracle it is the oracle run instead: a number of letters through a gateway that is killed at
// every failpoint and at random, in both modes of custody.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"gatepost/gateway/failpoint"
	"gatepost/test/oracle"
)

func main() {
	letters := flag.Int("oracle", 0, "letters of an oracle run, in each mode; 0: soak instead")
	seed := flag.Uint64("seed", uint64(time.Now().Unix()), "of everything random")
	flag.Parse()
	run := func() error { return oracleRun(*letters, *seed) }
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// oracleRun kills the gateway at every point that mail comes past, five times in each mode at least.
func oracleRun(letters int, seed uint64) error {
	dir, err := os.MkdirTemp("", "gatepost-oracle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := oracle.Build(dir)
	if err != nil {
		return err
	}
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
