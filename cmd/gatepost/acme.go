package main

import (
	"context"

	"gatepost/gateway/certs"
	"gatepost/gateway/config"
	"gatepost/gateway/dns"
)

// newAuthority prepares to get certificates, where the configuration says so; nil elsewhere.
func newAuthority(cfg *config.Config, dir string) (*certs.Authority, error) {
	a := &cfg.TLS.ACME
	if !a.Agree {
		return nil, nil
	}
	return certs.NewAuthority(certs.ACME{
		Directory: a.Directory, Email: a.Email, Roots: string(a.Roots), Names: a.Names, Keys: a.Keys, ReuseKeys: a.ReuseKeys,
		Challenge: a.Challenge, Listen: a.Listen,
		Records: &dns.Updater{
			Server: a.DNS.Server, Zone: a.DNS.Zone, Key: a.DNS.Key, Secret: a.DNS.Secret.Reveal(), Algorithm: a.DNS.Algorithm, Settle: a.DNS.Settle,
		},
	}, dir)
}

// pairs are the certificates to show under a configuration: those that it names, or those of the authority.
func (w *works) pairs(cfg *config.Config) []certs.Pair {
	if w.authority != nil {
		return w.authority.Pairs()
	}
	return filesOf(cfg)
}

// filesOf are the certificates that a configuration names.
func filesOf(cfg *config.Config) []certs.Pair {
	var list []certs.Pair
	for _, c := range cfg.TLS.Certificates {
		list = append(list, certs.Pair{Cert: string(c.Cert), Key: string(c.Key)})
	}
	return list
}

// getCertificates keeps the certificates of the authority fresh and shows each as soon as it has come.
func (w *works) getCertificates(ctx context.Context) {
	if w.authority == nil {
		return
	}
	w.authority.Run(ctx, func(name string, err error) {
		w.troubles.note("authority for "+name, err)
		if err != nil {
			w.log.Warn("no certificate has come from the authority", "name", name, "error", err.Error())
			return
		}
		_, err = w.certs.Reload()
		w.troubles.note("certificates", err)
		w.log.Info("a certificate has come from the authority", "name", name)
	})
	w.authority.Close()
}
