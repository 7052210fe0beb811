// Package kinds holds letters of the kinds that the public sets of mail lack, and judges them by all that is shipped: other
// years, sources and languages, unwanted and wanted. They were written for this test: some before the rules that they judge and
// looked at only when those were done (testdata/judged-*), some to write rules by (testdata/open-*), some when the rules were
// there (testdata/later-*), and some without a look at any rule, in proportion to what people get (testdata/blind-*; of blind2-*,
// when the first had been learnt from). Each set was first judged unseen, and then what it taught was mended.
//
// A file holds letters after each other. The line "== NAME MARKS" begins one; its header and its text follow as a reader
// sees them, and what a mail program adds is added when it is read. Marks:
//
//	2008                 the year of its date; without one, 2020
//	gb2312, koi8-r …     the character set it is sent in; without one, UTF-8
//	html, alt            an HTML part alone; one and plain text beside it. A text that begins with < is html without a mark
//	gif                  a picture inside, named by cid:pic@1
//	file=NAME            a file is attached
//	oe                   the header fields of Outlook Express
//	U, L, R              a newsletter's way out; a mailing list's name; an answer to another letter
package kinds
