// Package qr reads QR codes, and addresses to click, out of pictures and PDF documents within a budget for each message.
//
// It does not judge what it reads, and it is no viewer: whatever is broken, large or rare is left alone.
package qr
