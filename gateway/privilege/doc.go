// Package privilege gives up what a mail gateway needs only while it starts: the power of root, capabilities, and every way
// back to them.
//
// It does not decide who the gateway becomes, and it confines nothing but this process.
package privilege
