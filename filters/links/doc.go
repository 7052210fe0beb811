// Package links states where a message's links lead and in what way they deceive: what is shown against what is asked for, look-alike
// names, disguised addresses, borrowed shelter, pictures that hold a link.
//
// It does not ask anybody: lists of bad names are the business of filter dnsbl, and who wrote the message is that of filter spoof.
package links
