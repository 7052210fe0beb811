package geo

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxFile bounds a file; the largest that are published have less than a third of it.
const maxFile = 512 << 20

// A Locator answers from files that were read once. It is immutable and safe for concurrent use; the nil Locator knows
// nothing.
type Locator struct{ files []database }

// A database is one file in memory. It is not mapped: a file that is replaced in place must not crash who reads it.
type database struct {
	path string
	db   *maxminddb.Reader
}

// Open reads files. What a file knows shows when it is asked: countries, networks or both.
func Open(paths []string) (*Locator, error) {
	l := &Locator{}
	for _, path := range paths {
		data, err := read(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if err := l.add(path, data); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// add takes in the content of one file.
func (l *Locator) add(path string, data []byte) error {
	db, err := maxminddb.OpenBytes(data)
	if err != nil {
		return fmt.Errorf("read %s: it is not a file of the MaxMind format, or not whole: %w", path, err)
	}
	l.files = append(l.files, database{path, db})
	return nil
}

// read reads a file whole.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	return data, nil
}

// Locate is the country of an address, two upper-case letters, and the number of its network; empty and 0 where no file
// knows. The first file that knows counts.
func (l *Locator) Locate(a netip.Addr) (country string, asn uint32) {
	if l == nil || !a.IsValid() {
		return "", 0
	}
	for i := range l.files {
		r := l.files[i].db.Lookup(a.WithZone(""))
		if !r.Found() {
			continue
		}
		if country == "" {
			country = countryOf(r)
		}
		if asn == 0 {
			asn = networkOf(r)
		}
		if country != "" && asn != 0 {
			break
		}
	}
	return country, asn
}

// countryPaths are where files keep the country: where an address is used, where its network is registered, and the
// flat form of others than MaxMind; read-only.
var countryPaths = [][]any{{"country", "iso_code"}, {"registered_country", "iso_code"}, {"country_code"}, {"country"}}

// countryOf is the country of a record.
func countryOf(r maxminddb.Result) string {
	for _, path := range countryPaths {
		var code string
		if r.DecodePath(&code, path...) != nil || len(code) != 2 {
			continue
		}
		if code = strings.ToUpper(code); code[0] >= 'A' && code[0] <= 'Z' && code[1] >= 'A' && code[1] <= 'Z' {
			return code
		}
	}
	return ""
}

// networkOf is the number of the network of a record: a number, or AS and a number.
func networkOf(r maxminddb.Result) uint32 {
	var n uint32
	if r.DecodePath(&n, "autonomous_system_number") == nil && n != 0 {
		return n
	}
	var text string
	if r.DecodePath(&text, "asn") != nil {
		return 0
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(text, "AS"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(number)
}

// Oldest is when the oldest of the files was made, and which it is; the zero time without files.
func (l *Locator) Oldest() (path string, made time.Time) {
	if l == nil {
		return "", time.Time{}
	}
	for _, f := range l.files {
		if t := f.db.Metadata.BuildTime(); made.IsZero() || t.Before(made) {
			path, made = f.path, t
		}
	}
	return path, made
}
