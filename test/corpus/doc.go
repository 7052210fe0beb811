// Command corpus measures how well Gatepost tells spam from wanted mail, on public mail that lies beside the project:
// untrained, trained on one half and judged on the other, and trained on some sources and judged on others; beside it,
// in the same run, SpamAssassin and Rspamd where they are installed, trained on the same half.
//
//	make corpus
//	go run ./test/corpus -folds      # for decisions: only the halves that are learnt from, each fifth judged by the others
//
// It works offline: the one name server that is asked knows a sender's host and nothing else.
package main
