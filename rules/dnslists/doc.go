// Package dnslists knows DNS block and allow lists: where they are asked, what about, and what their answers mean. The
// lists that the program comes with are a data file.
//
// It asks nobody, and whether a list may be asked is not for it to say.
package dnslists
