package main

import (
	"crypto/tls"
	"time"

	"gatepost/gateway/config"
	"gatepost/gateway/smtp"
	"gatepost/rules/conf"
)

func dur(d time.Duration) conf.Duration { return conf.Duration(d) }

// smtpLimits are the limits that the wire knows.
func smtpLimits(l config.Limits) smtp.Limits {
	return smtp.Limits{
		MessageBytes: int64(l.MessageBytes), Recipients: l.Recipients, Connections: l.Connections, Reserve: l.Reserve, Messages: l.Messages,
		CommandBytes: l.CommandBytes, LineBytes: int64(l.LineBytes), HeaderBytes: int64(l.HeaderBytes), FieldBytes: int64(l.FieldBytes), Fields: l.Fields,
		SoftErrors: l.SoftErrors, Errors: l.Errors, UnknownCommands: l.UnknownCommands, Junk: l.Junk,
		SoftUnknownRcpts: l.SoftUnknownRcpts, UnknownRcpts: l.UnknownRcpts, ExcessRcpts: l.ExcessRcpts, NullSenderRcpts: l.NullSenderRcpts,
		StressErrors: l.StressErrors, StressJunk: l.StressJunk,
	}
}

// smtpTimeouts are both columns of timeouts.
func smtpTimeouts(t config.Timeouts) smtp.Timeouts {
	n, s := t.Normal, t.Stress
	return smtp.Timeouts{
		Normal: smtp.Pace{
			Idle: n.Idle, IdleDoubt: n.IdleDoubt, Command: n.Command, Handshake: n.Handshake, DataIdle: n.DataIdle, DataTotal: n.DataTotal,
			DataRate: int64(n.DataRate), DataGrace: n.DataGrace, Session: n.Session, Write: n.Write, Verdict: n.Verdict, ErrorDelay: n.Delay, Proxy: n.Proxy,
		},
		Stress: smtp.Pace{
			Idle: s.Idle, IdleDoubt: s.IdleDoubt, Command: s.Command, Handshake: s.Handshake, DataIdle: s.DataIdle, DataTotal: s.DataTotal,
			DataRate: int64(s.DataRate), DataGrace: s.DataGrace, Session: s.Session, Write: s.Write, Verdict: s.Verdict, ErrorDelay: s.Delay, Proxy: s.Proxy,
		},
	}
}

// tlsConfig gives the server its certificates; a reload takes effect at the next handshake.
func (w *works) tlsConfig() func() *tls.Config {
	c := w.certs.Config(w.cfg.TLS.Oldest())
	return func() *tls.Config { return c }
}
