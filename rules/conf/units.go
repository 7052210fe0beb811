package conf

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A unit is a word for a number of something.
type unit struct {
	name string
	n    int64
}

// The units, largest first.
var (
	durationUnits = []unit{{"w", int64(7 * 24 * time.Hour)}, {"d", int64(24 * time.Hour)}, {"h", int64(time.Hour)},
		{"m", int64(time.Minute)}, {"s", int64(time.Second)}, {"ms", int64(time.Millisecond)}}
	sizeUnits = []unit{{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6},
		{"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1}}
)

const (
	durationForm = "a duration such as 90s, 5m, 36h, 30d or 2w"
	sizeForm     = "a size such as 25MiB, 512KiB, 10MB or a number of bytes"
)

// UnmarshalConf reads a span of time: a number and a unit, or several of them, the larger unit first (1h30m).
func (d *Duration) UnmarshalConf(n Node) []Problem {
	if n.Kind() != Scalar || n.IsNull() {
		return []Problem{n.expected(durationForm)}
	}
	v, ok := ParseDuration(n.String())
	if !ok {
		p := n.expected(durationForm)
		if decimal(n.String(), true) {
			p.Message += "; a duration needs its unit"
		}
		return []Problem{p}
	}
	*d = Duration(v)
	return nil
}

// ParseDuration reads 90s, 1h30m, 30d, 2w or 0.
func ParseDuration(s string) (time.Duration, bool) {
	if s == "0" {
		return 0, true
	}
	var total int64
	next := 0 // units from here on may follow
	for s != "" || next == 0 {
		i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 || !decimal(s[:i], true) && !digits(s[:i]) {
			return 0, false
		}
		j := i
		for j < len(s) && s[j] >= 'a' && s[j] <= 'z' {
			j++
		}
		at := indexUnit(durationUnits, s[i:j])
		if at < next {
			return 0, false
		}
		v, ok := times(s[:i], durationUnits[at].n)
		if !ok || v > math.MaxInt64-total {
			return 0, false
		}
		total, next, s = total+v, at+1, s[j:]
	}
	return time.Duration(total), true
}

// indexUnit is the place of a unit, or -1.
func indexUnit(units []unit, name string) int {
	for i, u := range units {
		if u.name == name {
			return i
		}
	}
	return -1
}

// times multiplies a decimal number with a unit, if the product can be held.
func times(number string, n int64) (int64, bool) {
	if v, err := strconv.ParseInt(number, 10, 64); err == nil {
		return v * n, v <= math.MaxInt64/n
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*float64(n) >= math.MaxInt64 {
		return 0, false
	}
	return int64(math.Round(f * float64(n))), true
}

// String is the shortest form that a document could use.
func (d Duration) String() string {
	for _, u := range durationUnits {
		if d != 0 && int64(d)%u.n == 0 && (u.name != "w" || int64(d)/u.n < 52) {
			return strconv.FormatInt(int64(d)/u.n, 10) + u.name
		}
	}
	return time.Duration(d).String()
}

// ConfType describes the form.
func (Duration) ConfType() string { return "duration" }

// ConfSchema describes the form to an editor.
func (Duration) ConfSchema() map[string]any {
	return map[string]any{"type": []string{"string", "integer"}, "pattern": `^(0|([0-9]+(\.[0-9]+)?(ms|[wdhms]))+)$`, "minimum": 0, "maximum": 0}
}

// UnmarshalConf reads a number of bytes.
func (z *Size) UnmarshalConf(n Node) []Problem {
	if n.Kind() != Scalar || n.IsNull() {
		return []Problem{n.expected(sizeForm)}
	}
	v, ok := ParseSize(n.String())
	if !ok {
		p := n.expected(sizeForm)
		p.Hint = nearestSize(n.String())
		return []Problem{p}
	}
	*z = v
	return nil
}

// ParseSize reads 25MiB, 10MB, 512B or 1024. The units are exact: KiB is 1024 bytes, KB is 1000.
func ParseSize(s string) (Size, bool) {
	number := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	name := strings.TrimLeft(s[len(number):], " ")
	if name == "" {
		name = "B"
	}
	at := indexUnit(sizeUnits, name)
	if at < 0 || !decimal(number, true) || number[0] == '-' {
		return 0, false
	}
	v, ok := times(number, sizeUnits[at].n)
	return Size(v), ok
}

// nearestSize guesses what 25M, 25 mb or 25mib was meant to be.
func nearestSize(s string) string {
	number := strings.TrimRight(s, " ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	name := strings.ToUpper(strings.TrimSpace(s[len(number):]))
	if !decimal(number, true) || number[0] == '-' {
		return ""
	}
	for _, u := range sizeUnits {
		if up := strings.ToUpper(u.name); name == up || name+"IB" == up {
			return number + u.name
		}
	}
	return ""
}

// String is the shortest exact form that a document could use.
func (z Size) String() string {
	for _, u := range sizeUnits {
		if z != 0 && int64(z)%u.n == 0 && u.n > 1 {
			return strconv.FormatInt(int64(z)/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(z), 10)
}

// ConfType describes the form.
func (Size) ConfType() string { return "size" }

// ConfSchema describes the form to an editor.
func (Size) ConfSchema() map[string]any {
	return map[string]any{"type": []string{"string", "integer"}, "pattern": `^[0-9]+(\.[0-9]+)?([KMGT]i?B|B)?$`, "minimum": 0}
}
