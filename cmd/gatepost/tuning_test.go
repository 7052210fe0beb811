package main

import (
	"crypto/tls"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/gateway/access"
	"gatepost/gateway/certs"
	"gatepost/gateway/config"
	"gatepost/gateway/smtp"
)

// B-14, P-18: each listener has a configuration of its own, made once; another oldest version makes another.
func TestAListenersFaceIsMadeOnce(t *testing.T) {
	store, _, err := certs.Load(nil, "mx.example.com", t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var least atomic.Uint32
	least.Store(tls.VersionTLS12)
	one, two := newFace(store, &least), newFace(store, &least)
	first := one.config()
	if first != one.config() || first == two.config() {
		t.Error("a listener's configuration is made again, or shared")
	}
	least.Store(tls.VersionTLS13)
	if c := one.config(); c == first || c.MinVersion != tls.VersionTLS13 {
		t.Error("the new oldest version does not hold")
	}
}

// Every limit and timeout of the file reaches the part that enforces it: they are the same values.
func TestNoLimitIsLostBetweenTheFileAndItsUser(t *testing.T) {
	var c config.Config
	fill(reflect.ValueOf(&c.Limits).Elem(), 1)
	fill(reflect.ValueOf(&c.Timeouts).Elem(), 1000)
	fill(reflect.ValueOf(&c.Greylist).Elem(), 2000)
	got := crowd(&c)
	want := access.Config{Limits: c.Limits.ClientLimits, Connections: c.Limits.SessionLimits.Connections, Greet: c.Timeouts.Greet, StressGreet: c.Timeouts.StressGreet, Greylist: c.Greylist}
	if !reflect.DeepEqual(got, want) || got.Connections == 0 || got.Greet == 0 {
		t.Errorf("gate: %+v", got)
	}
	m := reflect.ValueOf(messageLimits(&c))
	for i := range m.NumField() {
		if m.Field(i).Int() == 0 {
			t.Errorf("%s of a message is lost", m.Type().Field(i).Name)
		}
	}
	if c.Limits.SessionLimits == (smtp.Limits{}) || reflect.ValueOf(c.Timeouts.Normal).FieldByName("Proxy").Int() == 0 {
		t.Error("limits of sessions are lost")
	}
}

// fill gives every number in v another value.
func fill(v reflect.Value, n int64) int64 {
	if v.Kind() == reflect.Struct {
		for i := range v.NumField() {
			n = fill(v.Field(i), n)
		}
		return n
	}
	v.SetInt(n)
	return n + 1
}

// What must wait for a restart is named, and nothing else: not what only moved within the file.
func TestWhatIsBoundToTheProcessIsNamed(t *testing.T) {
	const base = "hostname: mx.example.com\ndomains: [{name: example.com, downstream: [\"127.0.0.1:1\"]}]\n"
	load := func(text string) *config.Config {
		c, problems := config.Parse("f", []byte(text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return c
	}
	for text, want := range map[string]string{
		"": "", "\n\n# moved\nlimits: {recipients: 101}\ntimeouts: {greet_delay: 1s}\n": "", "listeners: [{address: \":25\", tls: observe}]\n": "",
		"listeners: [{address: \":25\", tls: implicit}]\n": "listeners", "state: {gateways: 3}\n": "state", "admin: {session_idle: 20m}\n": "admin",
		"dns: {servers: [127.0.0.1]}\n": "dns", "quarantine: {max_bytes: 1GiB}\nhold: {lifetime: 1d}\n": "quarantine hold", "store: {url: \"sqlite:x\"}\ndata_dir: /d\n": "data_dir store",
	} {
		if got := strings.Join(bound(load(base), load("# first\n"+base+text)), " "); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
