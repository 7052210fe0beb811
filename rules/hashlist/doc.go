// Package hashlist knows files by their SHA-256 and by fuzzy hashes that stay alike when a file is changed a little.
//
// It is not a scanner: it sees whole contents and looks them up, and knows nothing of mail.
package hashlist
