// Package badsink is a next hop for tests, demonstrations and load: an SMTP or LMTP server on a free loopback port that
// keeps what it is given and misbehaves as it is told.
//
// It is not a mail server: it checks nothing, delivers nowhere and should face nobody but us.
package badsink
