// Package hook asks a web service of the site's own about a message: it posts a JSON document with what is known of it, and the
// service answers with findings of kinds that the configuration declares.
//
// The service decides nothing and changes nothing: what it finds are facts, which policy weighs, and when it did not answer as
// it should, that is an error, never a clean message.
package hook
