// Package bayes learns what a site's own spam and ham look like and says of a message how much it is like either: the
// tokens of a message, the lessons that people taught, and the model made of them.
//
// It is not a store and teaches itself nothing: lessons come from people, by way of gateway/learn, and a model is a pure
// function of them.
package bayes
