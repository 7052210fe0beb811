package smtp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"gatepost/gateway/smtp"
	"gatepost/test/harness/badsink"
)

func certificate(t testing.TB, until time.Duration, names ...string) *badsink.Certificate {
	t.Helper()
	c, err := badsink.SelfSigned(time.Now().Add(until), names...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTLSModesNeverContinueWeaker(t *testing.T) { // R-11, P-16
	good := certificate(t, time.Hour, "127.0.0.1")
	other := certificate(t, time.Hour, "127.0.0.1")
	named := certificate(t, time.Hour, "elsewhere.test")
	expired := certificate(t, -time.Hour, "127.0.0.1")
	for _, c := range []struct {
		mode   smtp.Protection
		server *badsink.Certificate // nil: STARTTLS is not offered, or was stripped
		trust  *badsink.Certificate
		ok, on bool
	}{
		{smtp.Unprotected, good, nil, true, false},
		{smtp.Opportunistic, nil, nil, true, false},
		{smtp.Opportunistic, good, nil, true, true},
		{smtp.Encrypted, nil, nil, false, false},
		{smtp.Encrypted, expired, nil, true, true},
		{smtp.Verified, nil, good, false, false},
		{smtp.Verified, good, good, true, true},
		{smtp.Verified, good, other, false, false},
		{smtp.Verified, named, named, false, false},
		{smtp.Verified, expired, expired, false, false},
		{smtp.Pinned, nil, good, false, false},
		{smtp.Pinned, good, good, true, true},
		{smtp.Pinned, named, named, true, true},
		{smtp.Pinned, good, other, false, false},
	} {
		script := badsink.Script{}
		if c.server != nil {
			script.TLS = c.server.Server
		}
		s := start(t, script)
		opts := smtp.ClientOptions{Address: s.Address(), Hello: "gate.test", Security: smtp.Security{Mode: c.mode}}
		if c.trust != nil {
			opts.Security.Config = &tls.Config{RootCAs: c.trust.Roots}
			opts.Security.Pins = [][32]byte{{1}, c.trust.Pin}
		}
		k, err := smtp.Dial(t.Context(), opts)
		if c.ok != (err == nil) {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if err != nil {
			if e := (*smtp.StepError)(nil); !errors.As(err, &e) || e.Step != "STARTTLS" {
				t.Errorf("%v: %v", c.mode, err)
			}
			for _, line := range s.Lines() {
				if line[2:6] == "MAIL" {
					t.Error("the envelope was sent")
				}
			}
			continue
		}
		if _, err := k.Send(t.Context(), transaction(t, "x\r\n", "b@b.test")); err != nil {
			t.Fatal(err)
		}
		if s.Messages()[0].TLS != c.on || k.TLS().On() != c.on {
			t.Errorf("%v: TLS %v", c.mode, k.TLS())
		}
		if !k.Ready() {
			t.Errorf("%v: not ready for another", c.mode)
		}
		k.Quit()
	}
}

func TestVerifyCannotBeSwitchedOffByTheConfig(t *testing.T) {
	s := start(t, badsink.Script{TLS: certificate(t, time.Hour, "127.0.0.1").Server})
	_, err := smtp.Dial(t.Context(), smtp.ClientOptions{Address: s.Address(), Hello: "gate.test", Security: smtp.Security{
		Mode: smtp.Verified, Config: &tls.Config{InsecureSkipVerify: true},
	}})
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Error(err)
	}
}

func TestPlaintextAfterSTARTTLSAborts(t *testing.T) {
	s := start(t, badsink.Script{
		TLS:     certificate(t, time.Hour, "127.0.0.1").Server,
		Replies: map[string]string{badsink.StartTLS: "220 ready\r\n250-FAKE\r\n"},
	})
	_, err := smtp.Dial(t.Context(), smtp.ClientOptions{Address: s.Address(), Hello: "gate.test", Security: smtp.Security{Mode: smtp.Encrypted}})
	if !errors.Is(err, smtp.ErrOutOfStep) && !errors.Is(err, smtp.ErrInjected) {
		t.Error(err)
	}
}

func TestWhatIsOfferedInClearDoesNotCount(t *testing.T) { // B-02 on our side
	offered := 0
	s := start(t, badsink.Script{TLS: certificate(t, time.Hour, "127.0.0.1").Server, On: func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Ehlo && !e.TLS {
			offered++
			return &badsink.Action{Reply: "250-x\r\n250-SIZE 5\r\n250 STARTTLS\r\n"}
		}
		return nil
	}})
	c := connect(t, smtp.ClientOptions{Address: s.Address(), Security: smtp.Security{Mode: smtp.Encrypted}})
	if e := c.Extensions(); offered != 1 || e.Size == 5 || !e.SMTPUTF8 {
		t.Errorf("%+v", e)
	}
}
