package learn

// schema is the steps of the tables. Released steps are never edited.
//
// learning has one row: the key of the site's tokens, and a number that every change of the lessons raises. A lesson is
// known by its content's digest, so that one message counts once, however often it is taught and whatever mail servers
// wrote above it.
var schema = []string{`
CREATE TABLE learning (one INTEGER PRIMARY KEY CHECK (one = 1), seed INTEGER NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE lessons (
	seq INTEGER PRIMARY KEY,
	digest BLOB NOT NULL UNIQUE,
	spam INTEGER NOT NULL,
	at INTEGER NOT NULL,
	by TEXT NOT NULL,
	tokens BLOB NOT NULL
);
CREATE INDEX lessons_kind ON lessons (spam, at);
CREATE INDEX lessons_by ON lessons (by, at);
`}
