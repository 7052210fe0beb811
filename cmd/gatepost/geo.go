package main

import (
	"time"

	"gatepost/gateway"
	"gatepost/gateway/geo"
)

// oldGeo is the age at which a file of countries and networks is stale; they are published every week.
const oldGeo = 60 * 24 * time.Hour

// What a stale file does to mail, and what to do.
const (
	geoEffect = "Clients may be taken for being elsewhere."
	geoHint   = "Let a program such as geoipupdate fetch a new file; it is read again by itself."
)

// oldest is the oldest file of countries and networks in a snapshot, and when it was made; the zero time without files.
func oldest(s *gateway.Snapshot) (path string, made time.Time) {
	if l, ok := s.Geo.(*geo.Locator); ok {
		return l.Oldest()
	}
	return "", time.Time{}
}

// geoHealth looks at the age of the files.
func (s *site) geoHealth(now time.Time) []diagnosis {
	path, made := oldest(s.snap)
	switch d := (diagnosis{Name: "countries and networks", State: isWell, Detail: path + " was made on " + made.UTC().Format(time.DateOnly)}); {
	case made.IsZero():
		return nil
	case now.Sub(made) > oldGeo:
		d.State, d.Effect, d.Hint = isWarning, geoEffect, geoHint
		return []diagnosis{d}
	default:
		return []diagnosis{d}
	}
}
