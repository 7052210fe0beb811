// Package certs is the certificates that listeners show: loaded from files, reloaded when they change, made by ourselves
// where there are none.
//
// It does not fetch certificates from an authority, and it does not decide who must use TLS.
package certs
