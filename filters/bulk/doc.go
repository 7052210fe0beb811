// Package bulk states what mail to many says of itself: lists, newsletters, bounces, automatic answers, and whether a reader can
// get off them.
//
// It does not judge whether anybody wants them, nor who sent them: what these facts are worth, once the sender is proven, is policy.
package bulk
