package gateway

import (
	"encoding/hex"
	"log/slog"

	"gatepost/gateway/smtp"
	"gatepost/gateway/spool"
	"gatepost/policy"
)

const (
	levelInfo  = slog.LevelInfo
	levelError = slog.LevelError
)

func errAttr(err error) slog.Attr { return slog.String("error", err.Error()) }
func idAttr(id string) slog.Attr  { return slog.String("id", id) }

// replyOf speaks policy's reply on the wire.
func replyOf(r policy.Reply) *smtp.Reply { return smtp.Custom(r.Code, r.Enhanced, r.Text) }

// policyReply records what was said on the wire.
func policyReply(r *smtp.Reply) policy.Reply {
	return policy.Reply{Code: r.Code, Enhanced: r.Enhanced, Text: r.Text}
}

// fateOf names what a refusal means for a recipient.
func fateOf(r *smtp.Reply) string {
	if r.Temporary() {
		return "deferred"
	}
	return "refused"
}

func hexOf(sum [32]byte) string { return hex.EncodeToString(sum[:]) }

// release closes the content once the last filter has let go of it.
func (g *Gateway) release(content *spool.Body, ended <-chan struct{}) {
	select {
	case <-ended:
		content.Close()
	default:
		go func() {
			<-ended
			content.Close()
		}()
	}
}
