// Package e2e tells stories about whole messages: the real binary, real packets, and what arrived in the end.
package e2e
