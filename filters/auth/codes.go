package auth

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "spf.pass", Meaning: "The client may send for the domain of the reverse-path.", Chinese: "该客户端获准代表信封发件人域发信。"},
		{Name: "spf.fail", Meaning: "The domain of the reverse-path says that the client may not send for it.", Chinese: "信封发件人域声明该客户端无权代其发信。"},
		{Name: "spf.softfail", Meaning: "The domain of the reverse-path says that the client probably may not send for it.", Chinese: "信封发件人域声明该客户端很可能无权代其发信。"},
		{Name: "spf.neutral", Meaning: "The domain of the reverse-path does not say whether the client may send for it.", Chinese: "信封发件人域未说明该客户端能否代其发信。"},
		{Name: "spf.none", Meaning: "There is no SPF record to judge the reverse-path by.", Chinese: "没有可用于检查信封发件人的 SPF 记录。"},
		{Name: "spf.permerror", Meaning: "The SPF record is in error.", Chinese: "SPF 记录有错误。"},
		{Name: "spf.temperror", Meaning: "SPF could not be checked for now, because the DNS did not answer.", Chinese: "DNS 未应答，暂时无法检查 SPF。"},
		{Name: "spf.weak", Meaning: "SPF passes by a record that lets in everybody or more than 65536 addresses.", Chinese: "SPF 通过，但该记录允许所有人或超过 65536 个地址发信。"},
		{Name: "spf.helo-fail", Meaning: "The domain of the HELO name says that the client may not use it.", Chinese: "HELO 域声明该客户端无权使用此名称。"},
		{Name: "dkim.pass", Meaning: "A DKIM signature is valid.", Chinese: "DKIM 签名有效。"},
		{Name: "dkim.fail", Meaning: "A DKIM signature is not valid: changed content, an expired signature or a forgeable key.", Chinese: "DKIM 签名无效：内容被改动、签名过期或密钥可被伪造。"},
		{Name: "dkim.policy", Meaning: "A DKIM signature is correct but not acceptable: it leaves a part of the body unsigned, or its key is out of bounds.", Chinese: "DKIM 签名正确但不可接受：部分正文未签名，或密钥长度超出允许范围。"},
		{Name: "dkim.neutral", Meaning: "A DKIM signature does not verify, and its domain is only testing.", Chinese: "DKIM 签名未通过验证，且该域仅处于测试状态。"},
		{Name: "dkim.none", Meaning: "The message has no DKIM signature.", Chinese: "邮件没有 DKIM 签名。"},
		{Name: "dkim.permerror", Meaning: "A DKIM signature or its key is malformed, missing or revoked.", Chinese: "DKIM 签名或其密钥格式错误、缺失或已撤销。"},
		{Name: "dkim.temperror", Meaning: "A DKIM key could not be fetched for now, because the DNS did not answer.", Chinese: "DNS 未应答，暂时无法获取 DKIM 密钥。"},
		{Name: "dkim.weak", Meaning: "A valid DKIM signature leaves fields such as Subject, To or Content-Type unsigned, or open to additions.", Chinese: "有效的 DKIM 签名未覆盖主题、收件人或内容类型等字段，或允许追加这些字段。"},
		{Name: "dkim.length", Meaning: "A valid DKIM signature limits the signed length of the body (l=).", Chinese: "有效的 DKIM 签名限制了已签名的正文长度（l=）。"},
		{Name: "dkim.short-key", Meaning: "A valid DKIM signature uses an RSA key of less than 2048 bits.", Chinese: "有效的 DKIM 签名使用短于 2048 位的 RSA 密钥。"},
		{Name: "dkim.testing", Meaning: "The domain of a valid DKIM signature says that it is only testing.", Chinese: "有效 DKIM 签名的域声明仅在测试。"},
		{Name: "dkim.future", Meaning: "A valid DKIM signature claims to have been made in the future.", Chinese: "有效的 DKIM 签名声称签署于将来。"},
		{Name: "dkim.recipient-not-named", Meaning: "A valid DKIM signature covers To, and none of the recipients stands in To or Cc: a blind copy, a list, or a replay.", Chinese: "有效的 DKIM 签名覆盖收件人字段，但实际收件人均不在收件人或抄送中：可能是密送、邮件列表或重放。"},
		{Name: "dkim.limit", Meaning: "There are more DKIM signatures than are looked at.", Chinese: "DKIM 签名数量超过检查上限。"},
		{Name: "dmarc.pass", Meaning: "The author's domain is proven.", Chinese: "作者域已得到证实。"},
		{Name: "dmarc.fail", Meaning: "The author's domain publishes a DMARC policy, and nothing proves that the message is its own.", Chinese: "作者域发布了 DMARC 策略，但没有任何证据表明邮件出自该域。"},
		{Name: "dmarc.fail-quarantine", Meaning: "DMARC fails, and the author's domain asks to quarantine such mail.", Chinese: "DMARC 未通过，作者域要求隔离此类邮件。"},
		{Name: "dmarc.fail-reject", Meaning: "DMARC fails, and the author's domain asks to reject such mail.", Chinese: "DMARC 未通过，作者域要求拒收此类邮件。"},
		{Name: "dmarc.none", Meaning: "The author's domain publishes no DMARC policy.", Chinese: "作者域未发布 DMARC 策略。"},
		{Name: "dmarc.permerror", Meaning: "There is no author domain for which DMARC could be evaluated.", Chinese: "没有可用于评估 DMARC 的作者域。"},
		{Name: "dmarc.temperror", Meaning: "DMARC could not be evaluated for now, because the DNS did not answer.", Chinese: "DNS 未应答，暂时无法评估 DMARC。"},
		{Name: "dmarc.fail-overridden", Meaning: "DMARC fails, but a forwarder trusted to seal by ARC says that it passed when the message arrived there.", Chinese: "DMARC 未通过，但受信任的 ARC 转发方声明邮件到达时已通过。"},
		{Name: "arc.pass", Meaning: "The ARC chain is intact; that says nothing about who made it.", Chinese: "ARC 链完整；这不说明链由谁建立。"},
		{Name: "arc.fail", Meaning: "The ARC chain is broken.", Chinese: "ARC 链已损坏。"},
		{Name: "arc.temperror", Meaning: "The ARC chain could not be checked for now, because the DNS did not answer.", Chinese: "DNS 未应答，暂时无法检查 ARC 链。"},
		{Name: "iprev.pass", Meaning: "The client's reverse name leads back to its address.", Chinese: "客户端的反向域名能解析回其地址。"},
		{Name: "iprev.fail", Meaning: "The client's reverse name does not lead back to its address.", Chinese: "客户端的反向域名不能解析回其地址。"},
		{Name: "iprev.none", Meaning: "The client has no reverse name.", Chinese: "客户端没有反向域名。"},
		{Name: "iprev.temperror", Meaning: "The client's reverse name could not be checked for now.", Chinese: "暂时无法检查客户端的反向域名。"},
		{Name: "auth.own-domain-from-outside", Meaning: "The author claims to be from a domain of this site, and nothing proves it.", Chinese: "作者自称来自本站的域，但没有任何证据。"},
	}
}
