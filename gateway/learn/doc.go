// Package learn keeps what people taught of their mail: the lessons in the durable store, and the model that is made of
// them, in memory and in a file beside it.
//
// It is not a judge and does not know what a token is; that is filters/bayes.
package learn
