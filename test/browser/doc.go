// Package browser drives the review pages in a real Chromium, over its DevTools protocol, against a house full of mail
// that was made up for it.
//
// It is not a browser library: it knows just enough of the protocol to look, click and take pictures.
package browser
