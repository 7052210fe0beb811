package dnsbl

import (
	"strings"
	"testing"
)

// What is asked of a list is a registered domain in its one spelling, whatever a link looks like.
func FuzzLinkedDomain(f *testing.F) {
	for _, s := range []string{"https://www.bad.example/x", "http://u:p@a.b.bad.example:80\\@good.example/", "HTTPS:/\\[::1]:8/", "http://xn--bcher-kva.example", "ftp://%62ad.example", "http://10.0.0.1", "mailto:a@b.example"} {
		f.Add(s)
	}
	filter := &Filter{own: map[string]bool{"own.example": true}}
	f.Fuzz(func(t *testing.T, link string) {
		host := webHost(link)
		if strings.ContainsAny(host, "/?#@\\") {
			t.Errorf("host %q", host)
		}
		d := filter.domain(host)
		if d == "" {
			return
		}
		if len(d) > 120 || d != strings.ToLower(d) || !strings.Contains(d, ".") || strings.Contains(d, "..") || strings.ContainsAny(d, " \x00:[]%/") || filter.domain(d) != d {
			t.Errorf("%q leads to %q", link, d)
		}
	})
}
