// Package yara has VirusTotal's YARA look at a message and at every file that can be got out of it, by the site's own rules.
//
// YARA runs as a program of its own, once for a message: a parser in C that reads hostile bytes never shares memory with the
// gateway. The package holds no rules and matches nothing itself; when the program cannot look, that is an error, never a clean
// message.
package yara
