// Package web reads links as browsers do: each spelling of a URL becomes the one that a browser would ask for, and what is odd about
// the spelling is told.
//
// It fetches nothing, knows no reputation and judges nobody.
package web
