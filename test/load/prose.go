package main

import (
	mathrand "math/rand/v2"
	"strings"
)

// vocabulary is what letters are written with, the most frequent words first.
const vocabulary = `the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which
one you were her all she there would their we him been has when who will more no if out so said what up its about into than them can
only other new some could time these two may then do first any my now such like our over me even most made after also did many before
must through back years where much your way well down should because each just those people how too little state good very make world
still own see men work long get here between both life being under never day same another know while last might us great old year off
come since against go came right used take three order invoice report meeting project customer delivery account payment service team
office price product market week month contract offer request answer number letter department manager company schedule agreement update
document review change plan budget quarter training support question information please thank regards attached below following shipping
address details available possible important next future result change system software server network machine power water paper book
story music garden kitchen window summer winter spring autumn morning evening street river mountain station train bridge market school
teacher student doctor nurse patient hospital family mother father brother sister friend neighbour house room table chair door light
colour green yellow silver heavy narrow quiet bright early late quick slow careful simple clear certain different several general special
local foreign public private final common whole complete similar recent current former various likely central open close begin finish
write read speak listen carry bring build break choose decide describe develop discuss explain follow improve include increase inform
introduce invite join keep learn leave measure mention move notice offer organise pay prepare present produce promise protect prove
provide publish receive reduce remember remove repair repeat replace return search sell send serve share show solve spend stand start
stay stop study suggest teach test travel understand visit wait walk watch win wonder`

// pitches are what one letter in three has among its lines.
var pitches = [...]string{
	"Act now: this offer ends tonight and will not be repeated.",
	"You were chosen among all visitors to receive a free gift card.",
	"Your mailbox is almost full, confirm your password to keep your messages.",
	"Earn money from home without leaving your chair, no experience needed.",
	"Lose weight in two weeks, satisfaction guaranteed or your money back.",
	"I write to you in confidence about an inheritance of eleven million dollars.",
}

// A writer makes up letters, the same ones in every run.
type writer struct {
	*mathrand.Rand
	words []string
}

func newWriter(seed uint64) *writer {
	return &writer{mathrand.New(mathrand.NewPCG(seed, 2)), strings.Fields(vocabulary)}
}

// word is a word; the first ones of the vocabulary come more often than the last.
func (w *writer) word() string {
	f := w.Float64()
	return w.words[int(f*f*f*float64(len(w.words)))]
}

// phrase is n words.
func (w *writer) phrase(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = w.word()
	}
	return strings.Join(words, " ")
}

// title is a phrase whose words begin with capitals.
func (w *writer) title(n int) string {
	words := strings.Fields(w.phrase(n))
	for i, s := range words {
		words[i] = strings.ToUpper(s[:1]) + s[1:]
	}
	return strings.Join(words, " ")
}

// prose is about n bytes of sentences, a line each, with a link now and then and, if pitch is set, what sells.
func (w *writer) prose(n int, pitch bool) string {
	var b strings.Builder
	for b.Len() < n {
		s := w.phrase(6 + w.IntN(8))
		s = strings.ToUpper(s[:1]) + s[1:]
		switch {
		case pitch && w.IntN(5) == 0:
			s = pitches[w.IntN(len(pitches))]
		case w.IntN(25) == 0:
			s += " http://www." + domainOf(w.IntN(domains)) + "/" + w.word()
		default:
			s += string("...!?,"[w.IntN(6)])
		}
		b.WriteString(s + "\r\n")
		if w.IntN(8) == 0 {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

// noise is n bytes that do not compress.
func (w *writer) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.Uint32())
	}
	return b
}
