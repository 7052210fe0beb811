package quarantine

// schema is the steps of the quarantine's tables. Released steps are never edited.
//
// entries has what lists show and search; the whole record, with its result, stands beside the content, so that these
// tables can be made again from the files, where there are files. owner is the canonical address, by which a View restricts. gone holds what
// was removed and whose files may still be there.
var schema = []string{`
CREATE TABLE entries (
	seq INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	time INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	class TEXT NOT NULL,
	refused INTEGER NOT NULL,
	score INTEGER NOT NULL,
	mail_from TEXT NOT NULL,
	author TEXT NOT NULL,
	name TEXT NOT NULL,
	subject TEXT NOT NULL,
	size INTEGER NOT NULL,
	sha256 TEXT NOT NULL,
	client TEXT NOT NULL,
	helo TEXT NOT NULL,
	found TEXT NOT NULL
);
CREATE INDEX entries_class ON entries (class, id);
CREATE INDEX entries_sha256 ON entries (sha256, id);
CREATE INDEX entries_expires ON entries (expires);
CREATE INDEX entries_time ON entries (time);
CREATE TABLE recipients (
	entry INTEGER NOT NULL REFERENCES entries (seq) ON DELETE CASCADE,
	place INTEGER NOT NULL,
	address TEXT NOT NULL,
	owner TEXT NOT NULL,
	domain TEXT NOT NULL,
	state TEXT NOT NULL,
	reply TEXT NOT NULL,
	by TEXT NOT NULL,
	at INTEGER NOT NULL,
	key TEXT NOT NULL,
	PRIMARY KEY (entry, place)
) WITHOUT ROWID;
CREATE INDEX recipients_owner ON recipients (owner, entry);
CREATE INDEX recipients_domain ON recipients (domain, entry);
CREATE INDEX recipients_state ON recipients (state, entry) WHERE state <> 'waiting';
CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, stored INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE gone (id TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
`, `
ALTER TABLE entries ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN code TEXT NOT NULL DEFAULT '';
`}
