// Package oracle sends mail through a real gateway that is killed again and again, writes down every reply that a client
// got and every copy that arrived, and then says whether anything was lost, halved or doubled without cause.
//
// It is not for production code, and it knows nothing of how the gateway keeps mail: it judges by what went in, what came
// out, and what the quarantine and the journal say at the end.
package oracle
