// Package faultproxy stands between a client and a server and breaks TCP the ways networks break it: it cuts, delays,
// splits and swallows.
//
// It is not a protocol proxy: it looks at bytes, never at commands.
package faultproxy
