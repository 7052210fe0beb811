package failpoint

// A Point is one place in the code. Its String is the id of the list of hostile cases, such as FP-06.
type Point string

// The points, in the order in which one message comes past them.
const (
	Connected     Point = "FP-01" // a client has connected; it has no banner yet
	MailTaken     Point = "FP-02" // the reply to MAIL is sent
	FirstByte     Point = "FP-03" // the first bytes of a message are about to be kept
	MoreBytes     Point = "FP-04" // some are kept, more are about to be
	Received      Point = "FP-05" // the message is whole; nothing has looked at it
	BeforeSync    Point = "FP-06" // content is written to a file, not synced
	BetweenSyncs  Point = "FP-07" // content is durable, what belongs to it is not
	BeforeRename  Point = "FP-08" // everything is durable under a name that does not count
	BeforeDirSync Point = "FP-09" // the name is right, and not durable
	BeforeReply   Point = "FP-10" // everything is durable; the client does not know
	AfterReply    Point = "FP-11" // the client has its 250
	AtClose       Point = "FP-12" // a written file is closed
	BeforeConnect Point = "FP-13" // the next hop is about to be connected to
	AfterRcpts    Point = "FP-14" // the next hop has taken the recipients
	AfterDot      Point = "FP-15" // the end of data went out; no reply came yet
	AfterTaken    Point = "FP-16" // the next hop has answered for the message; nobody noted it
	Noted         Point = "FP-17" // what became of a held message is noted; that its file is gone is not durable
	BetweenRcpts  Point = "FP-18" // some recipients of a message are settled, others are not
	BeforeIndex   Point = "FP-19" // files of a quarantined message are durable; the index does not have it
	AtRelease     Point = "FP-20" // copies are claimed for release, and not sent
	GaveUp        Point = "FP-21" // a message that could not be delivered is in the quarantine, and still on hold
	SharedState   Point = "FP-22" // Redis is about to be asked
	AtSwap        Point = "FP-23" // a reload has built everything and put nothing in place
	AtRecord      Point = "FP-24" // a record is about to be appended to the journal
)

// Points are all of them.
func Points() []Point {
	return []Point{
		Connected, MailTaken, FirstByte, MoreBytes, Received, BeforeSync, BetweenSyncs, BeforeRename, BeforeDirSync,
		BeforeReply, AfterReply, AtClose, BeforeConnect, AfterRcpts, AfterDot, AfterTaken, Noted, BetweenRcpts,
		BeforeIndex, AtRelease, GaveUp, SharedState, AtSwap, AtRecord,
	}
}
