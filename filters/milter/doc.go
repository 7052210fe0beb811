// Package milter asks milters, the filters that Sendmail and Postfix know, what they think of a message: it plays the mail server's
// side of their protocol, version 6, and states their answers as facts.
//
// It applies no change that a milter asks for and takes none of its actions; when one did not answer as it should, that is an
// error, never a clean message.
package milter
