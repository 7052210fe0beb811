package state

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAURLNamesOneRedisItsSentinelsOrACluster(t *testing.T) {
	for url, want := range map[string]string{
		"redis://h:1/3":                             "[h:1] db 3 user  password  master  cluster false tls ",
		"rediss://u:p%40s@h":                        "[h:6379] db 0 user u password p@s master  cluster false tls h",
		"redis-sentinel://:p@a:1,b:2/mymaster/4":    "[a:1 b:2] db 4 user  password p master mymaster cluster false tls ",
		"rediss-sentinel://a:1/m":                   "[a:1] db 0 user  password  master m cluster false tls a",
		"redis-cluster://a:1,[::1]:2":               "[a:1 [::1]:2] db 0 user  password  master  cluster true tls ",
		"rediss-cluster://u:p@a:1,b:2":              "[a:1 b:2] db 0 user u password p master  cluster true tls a",
		"redis:6379":                                "",
		"redis://":                                  "",
		"http://h:1":                                "",
		"redis-sentinel://a:1,b/m":                  "",
		"redis-sentinel://a:1,b:2":                  "",
		"redis-sentinel://a:1/m/300":                "",
		"redis-sentinel://a:1/m/1/2":                "",
		"redis-cluster://a:1/m":                     "",
		"redis-cluster://a:0":                       "",
		"redis-cluster://a:1,":                      "",
		"redis-cluster://%zz:p@a:1":                 "",
		"rediss-elsewhere://a:1":                    "",
		"redis-sentinel://u:secret@a:1,b:port/name": "",
	} {
		o, err := parseURL(url)
		if want == "" {
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		name := ""
		if o.TLSConfig != nil {
			name = o.TLSConfig.ServerName
		}
		if got := fmt.Sprintf("%s db %d user %s password %s master %s cluster %v tls %s", o.Addrs, o.DB, o.Username, o.Password, o.MasterName, o.IsClusterMode, name); got != want {
			t.Errorf("%s:\n got %s\nwant %s", url, got, want)
		}
	}
}

// common is what gateways need of any Redis.
func common(t *testing.T, url string) {
	t.Helper()
	var two [2]*Redis
	for i := range two {
		r, err := NewRedis(RedisConfig{URL: url, Gateways: 2, Keys: 1000, Now: time.Now, Deadline: unhurried})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		two[i] = r
	}
	eventually(t, "it answers", func() bool { return two[0].client.Set(t.Context(), "probe", 1, time.Minute).Err() == nil })
	for key := range 10 { // the keys of a cluster are on different servers
		allowed := 0
		for i := range 8 {
			if ok, _ := two[i%2].Take(t.Context(), fmt.Sprint(key), 1, Rate{5, time.Minute}); ok {
				allowed++
			}
		}
		if allowed != 5 {
			t.Errorf("key %d: %d of 5 allowed", key, allowed)
		}
		v := visitor
		v.Rcpt = fmt.Sprint("rcpt", key)
		two[0].Wait(t.Context(), v.Rcpt, v, Terms{Delay: time.Hour, Window: 2 * time.Hour, Life: time.Hour})
	}
	two[0].Remember(t.Context(), "mark", time.Hour)
	if !two[1].Known(t.Context(), "mark") {
		t.Error("a mark is not shared")
	}
	if list, err := two[1].Visits(t.Context()); err != nil || len(list) != 10 {
		t.Errorf("%d visits listed: %v", len(list), err)
	}
	if s := two[0].Stats(); s.Failures+s.Local+s.Bad != 0 {
		t.Errorf("%+v", s)
	}
}

func TestARealCluster(t *testing.T) {
	addr := freeAddress(t)
	_, port, _ := net.SplitHostPort(addr)
	bus := freeAddress(t)
	_, busPort, _ := net.SplitHostPort(bus)
	runRedis(t, addr, "--port", port, "--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes", "--cluster-port", busPort)
	r, err := NewRedis(RedisConfig{URL: "redis://" + addr, Keys: 1, Now: time.Now, Deadline: unhurried})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.client.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster stands", func() bool {
		info, err := r.client.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	common(t, "redis-cluster://"+addr)
}

func TestRealSentinels(t *testing.T) {
	master := startRedis(t, "")
	host, port, _ := net.SplitHostPort(master.addr)
	addr := freeAddress(t)
	_, own, _ := net.SplitHostPort(addr)
	conf := filepath.Join(t.TempDir(), "sentinel.conf") // it is written to
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor site %s %s 1\n", own, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runRedis(t, addr, conf, "--sentinel")
	common(t, "redis-sentinel://"+freeAddress(t)+","+addr+"/site/2") // the first sentinel is away
}
