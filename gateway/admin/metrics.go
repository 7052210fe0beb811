package admin

import (
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// handler serves what the meter counted, the checks, the gauges of the other rooms, and the process itself.
func (m *Meter) handler(checks func() []Check, gauges func() []Gauge) (http.Handler, error) {
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), stated{checks, gauges},
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(prometheus.Gatherers{m.registry, reg},
		promhttp.HandlerOpts{DisableCompression: true, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4}), nil
}

// stated collects what others state at the moment of asking.
type stated struct {
	checks func() []Check
	gauges func() []Gauge
}

// Describe implements prometheus.Collector; what is stated is not known in advance.
func (stated) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s stated) Collect(out chan<- prometheus.Metric) {
	if s.checks != nil {
		desc := prometheus.NewDesc("gatepost_check_ok", "1 if the check is well, 0 if not.", []string{"check", "severity"}, nil)
		for _, c := range s.checks() {
			out <- constant(desc, prometheus.GaugeValue, b2f(c.OK), c.Name, string(c.Severity))
		}
	}
	if s.gauges == nil {
		return
	}
	for _, g := range s.gauges() {
		kind := prometheus.GaugeValue
		if g.Counter {
			kind = prometheus.CounterValue
		}
		if g.Label == "" {
			out <- constant(prometheus.NewDesc(g.Name, g.Help, nil, nil), kind, g.Value)
		} else {
			out <- constant(prometheus.NewDesc(g.Name, g.Help, []string{g.Label}, nil), kind, g.Value, g.Of)
		}
	}
}

func constant(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// insider reports whether the caller may see how the machine is: one on the machine itself, or with the token.
func (d *desk) insider(v *visit) bool {
	if v.client.IsLoopback() && v.r.Header.Get("X-Forwarded-For") == "" && v.r.Header.Get("Forwarded") == "" {
		return true // behind a proxy on this machine, a caller from elsewhere is marked as such
	}
	given, ok := strings.CutPrefix(v.r.Header.Get("Authorization"), "Bearer ")
	return ok && !d.cfg.MetricsToken.IsZero() && subtle.ConstantTimeCompare([]byte(given), []byte(d.cfg.MetricsToken.Reveal())) == 1
}

func metrics(d *desk, v *visit) error {
	if !d.cfg.Metrics {
		return errNotFound
	}
	if !d.insider(v) {
		return errForbidden
	}
	d.prom.ServeHTTP(v.w, v.r)
	return nil
}

// health is the state of things in one word, and what is wrong.
type health struct {
	State   string // "well", "degraded", "refusing"
	Failing []Check
	All     []Check
}

func (d *desk) health() health {
	h := health{State: "well"}
	if d.deps.Health == nil {
		return h
	}
	h.All = d.deps.Health()
	for _, c := range h.All {
		if c.OK {
			continue
		}
		h.Failing = append(h.Failing, c)
		if c.Severity == Critical {
			h.State = "refusing"
		} else if h.State == "well" {
			h.State = "degraded"
		}
	}
	return h
}

func livez(d *desk, v *visit) error {
	d.writeJSON(v, http.StatusOK, map[string]any{"ok": true})
	return nil
}

// readyz says whether a message could be accepted and kept now; only an insider is told what fails.
func readyz(d *desk, v *visit) error {
	h := d.health()
	status, body := http.StatusOK, map[string]any{"ok": true}
	if h.State == "refusing" {
		status, body["ok"] = http.StatusServiceUnavailable, false
	}
	if d.insider(v) {
		body["state"] = h.State
		body["failing"] = append([]Check{}, h.Failing...)
	}
	d.writeJSON(v, status, body)
	return nil
}
