// Package certs is the certificates that listeners show: loaded from files, reloaded when they change, made by ourselves
// where there are none, or had from an authority by ACME.
//
// It does not decide who must use TLS, and it answers no question about mail.
package certs
