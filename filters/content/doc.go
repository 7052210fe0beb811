// Package content states what a message's words and form are like, by the rules of package rules: phrases of fraud and
// advertising, tricks of HTML, forged headers.
//
// It does not judge links, attachments or who sent the message: filters links, attach, auth and spoof do.
package content
