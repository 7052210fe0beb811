package conf

import (
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// text is a scalar as text: in quotes, a plain word, or a number or date as it is written.
func (d *decoder) text(n Node) (string, bool) {
	s, p := n.text()
	if p != nil {
		d.add(*p)
		return "", false
	}
	return s, true
}

func (n Node) text() (string, *Problem) {
	switch {
	case n.Kind() != Scalar || n.IsNull():
		p := n.expected("text")
		return "", &p
	case n.isBool():
		p := n.Problemf("expected text, found %s; if text is meant, write %q", n.String(), n.String())
		return "", &p
	}
	return n.String(), nil
}

// wellKnown decodes the types of the standard library that have a form of their own here.
func (d *decoder) wellKnown(n Node, v reflect.Value) bool {
	switch v.Type() {
	case typeDuration:
		var x Duration
		d.add(x.UnmarshalConf(n)...)
		v.SetInt(int64(x))
	case typePrefix:
		if p, ok := d.prefix(n); ok {
			v.Set(reflect.ValueOf(p))
		}
	case typeAddr:
		if s, ok := d.text(n); ok {
			a, err := netip.ParseAddr(s)
			if err != nil {
				d.add(n.expected("an IP address"))
			}
			v.Set(reflect.ValueOf(a.Unmap()))
		}
	case typeTime:
		if s, ok := d.text(n); ok {
			t, ok := parseTime(s)
			if !ok {
				d.add(n.expected("a date such as 2027-01-31, or 2027-01-31T18:00:00Z"))
			}
			v.Set(reflect.ValueOf(t))
		}
	default:
		return false
	}
	return true
}

func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// prefix reads a network. A bare address is a network of one; IPv4 in IPv6 form becomes IPv4, so that a list cannot be
// passed by by writing an address the other way.
func (d *decoder) prefix(n Node) (netip.Prefix, bool) {
	s, ok := d.text(n)
	if !ok {
		return netip.Prefix{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		d.add(n.expected("an IP address or a network such as 192.0.2.0/24 or 2001:db8::/32"))
		return netip.Prefix{}, false
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if m := p.Masked(); m != p {
		q := n.Problemf("%s has address bits beyond its length", p)
		q.Hint = m.String()
		d.add(q)
		return netip.Prefix{}, false
	}
	return p, true
}

// scalar decodes by the Go kind of v.
func (d *decoder) scalar(n Node, v reflect.Value) {
	switch k := v.Kind(); {
	case k == reflect.String:
		if s, ok := d.text(n); ok {
			v.SetString(s)
		}
	case k == reflect.Bool:
		d.boolean(n, v)
	case v.CanInt(), v.CanUint():
		d.integer(n, v)
	case v.CanFloat():
		f, err := strconv.ParseFloat(n.String(), 64)
		if n.Kind() != Scalar || n.Quoted() || !decimal(n.String(), true) || err != nil || math.IsInf(f, 0) {
			d.add(n.expectedNumber("a number"))
			return
		}
		v.SetFloat(f)
	default:
		d.add(n.Problemf("cannot be decoded into a %s", v.Type()))
	}
}

func (d *decoder) boolean(n Node, v reflect.Value) {
	if n.Kind() == Scalar && !n.Quoted() {
		switch n.String() {
		case "true", "True", "TRUE":
			v.SetBool(true)
			return
		case "false", "False", "FALSE":
			v.SetBool(false)
			return
		}
	}
	p := n.expected("true or false")
	switch strings.ToLower(n.String()) {
	case "true", "false":
		p.Message += "; leave out the quotes"
	case "yes", "on", "y", "1":
		p.Hint = "true"
	case "no", "off", "n", "0":
		p.Hint = "false"
	}
	d.add(p)
}

func (d *decoder) integer(n Node, v reflect.Value) {
	s := n.String()
	if n.Kind() != Scalar || n.Quoted() || !decimal(s, false) {
		d.add(n.expectedNumber("a whole number"))
		return
	}
	if v.CanUint() {
		u, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			d.add(n.Problemf("%s is not between 0 and %d", bare(s), uint64(math.MaxUint64)>>(64-v.Type().Bits())))
			return
		}
		v.SetUint(u)
		return
	}
	i, err := strconv.ParseInt(s, 10, v.Type().Bits())
	if err != nil {
		d.add(n.Problemf("%s is too large a number", bare(s)))
		return
	}
	v.SetInt(i)
}

// decimal reports whether s is a number as people write it. Forms that YAML versions read differently (017, 1_000, 0x1f,
// 1:30) are not.
func decimal(s string, fraction bool) bool {
	s = strings.TrimPrefix(s, "-")
	whole, frac, point := strings.Cut(s, ".")
	if point && (!fraction || !digits(frac)) {
		return false
	}
	return digits(whole) && (whole == "0" || whole[0] != '0')
}

func digits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// expectedNumber says what to do about the usual slips with numbers.
func (n Node) expectedNumber(what string) Problem {
	p := n.expected(what)
	switch s := n.String(); {
	case n.Kind() != Scalar || s == "":
	case n.Quoted() && decimal(s, true):
		p.Message += "; leave out the quotes"
	case !decimal(s, true) && !n.Quoted() && (n.n.Tag == "!!int" || n.n.Tag == "!!float"):
		p.Message += "; write it in decimal digits alone"
	}
	return p
}

// plainScalar is the scalar as a Go value.
func (n Node) plainScalar() any {
	s := n.String()
	if n.IsNull() {
		return nil
	}
	if n.Quoted() {
		return s
	}
	if n.n.Tag == "!!bool" {
		return strings.EqualFold(s, "true")
	}
	if decimal(s, false) {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
	}
	if decimal(s, true) {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	}
	return s
}
