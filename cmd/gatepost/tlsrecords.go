package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/gateway/certs"
	"gatepost/gateway/config"
	"gatepost/gateway/dns"
	"gatepost/rules/conf"
)

// tlsRecordsCmd is `gatepost tls records`.
type tlsRecordsCmd struct {
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

// A dnsRecord is one record that protects mail on its way to us, and whether the world can see it.
type dnsRecord struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Data  string `json:"data"`
	For   string `json:"for"`
	State string `json:"state"` // published, missing, differs, "" if nobody looked, or why it could not be seen
}

// Run prints the records and asks the DNS which of them are there.
func (c *tlsRecordsCmd) Run(a *app) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	resolver, err := dns.New(dns.Config{Servers: cfg.DNS.Servers, Timeout: conf.Duration(cfg.DNS.Timeout)})
	if err != nil {
		return err
	}
	list, err := recordsFor(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, 30*time.Second)
	defer cancel()
	for i := range list {
		list[i].look(ctx, resolver)
	}
	if !c.JSON {
		return printRecords(a.out, list)
	}
	for _, r := range list {
		if err := writeLine(a.out, r); err != nil {
			return err
		}
	}
	return nil
}

// recordsFor are the records to publish under a configuration.
func recordsFor(cfg *config.Config) ([]dnsRecord, error) {
	var list []dnsRecord
	pairs := filesOf(cfg)
	if au, err := newAuthority(cfg, string(cfg.DataDir)); err != nil {
		return nil, err
	} else if au != nil {
		pairs = au.Pairs()
		au.Close()
	}
	for _, p := range pairs {
		if p.Missing() {
			continue
		}
		info, err := certs.Examine(p)
		if err != nil {
			return nil, err
		}
		for _, name := range info.Names {
			if !strings.HasPrefix(name, "*.") {
				list = append(list, dnsRecord{Name: "_25._tcp." + name, Type: "TLSA", Data: "3 1 1 " + info.TLSA, For: "DANE (RFC 7672), where the zone is signed: " + info.Algorithm})
			}
		}
	}
	for i := range cfg.Domains {
		name := cfg.Domains[i].Name
		if cfg.Admin.MTASTS.Policy() != "" {
			list = append(list, dnsRecord{Name: "_mta-sts." + name, Type: "TXT", Data: "v=STSv1; id=" + cfg.Admin.MTASTS.ID(), For: "MTA-STS (RFC 8461); the policy is at https://mta-sts." + name + "/.well-known/mta-sts.txt"})
		}
		list = append(list, dnsRecord{Name: "_smtp._tls." + name, Type: "TXT", Data: "v=TLSRPTv1; rua=mailto:postmaster@" + name, For: "reports about TLS (RFC 8460), to an address of your choice"})
	}
	return list, nil
}

// look asks the DNS. TLSA records are for a validating resolver to see, and are only shown.
func (r *dnsRecord) look(ctx context.Context, resolver *dns.Resolver) {
	if r.Type != "TXT" {
		return
	}
	texts, err := resolver.LookupTXT(ctx, r.Name+".")
	version, _, _ := strings.Cut(r.Data, ";")
	at := slices.IndexFunc(texts, func(t string) bool { return strings.HasPrefix(t, version) })
	var missing *net.DNSError
	switch {
	case errors.As(err, &missing) && missing.IsNotFound, err == nil && at < 0:
		r.State = "missing"
	case err != nil:
		r.State = err.Error()
	case texts[at] == r.Data, version == "v=TLSRPTv1":
		r.State = "published"
	default:
		r.State = "differs"
	}
}

// printRecords writes the list for people.
func printRecords(w io.Writer, list []dnsRecord) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tTYPE\tDATA\tSTATE\tFOR")
	for _, r := range list {
		data := r.Data
		if r.Type == "TXT" {
			data = fmt.Sprintf("%q", data)
		}
		fmt.Fprintf(t, "%s.\t%s\t%s\t%s\t%s\n", r.Name, r.Type, data, orDash(r.State), r.For)
	}
	return t.Flush()
}
