package mail

import (
	"net/mail"
	"strings"
	"time"
)

// maxDate bounds what is read of a date: parsers for what is rarely long are rarely linear.
const maxDate = 1 << 10

// Date is the Date field; the zero time if it is missing or cannot be read.
func (m *Message) Date() time.Time { return m.date.get(m.readDate) }

func (m *Message) readDate() time.Time { return readDate(m.Get("Date")) }

// readDate reads a date as mail programs and servers write it; the zero time if it cannot.
func readDate(s string) time.Time {
	if s == "" || len(s) > maxDate {
		return time.Time{}
	}
	if t, ok := plainDate(s); ok {
		return t
	}
	if t, err := mail.ParseDate(s); err == nil {
		return t
	}
	s = strings.Join(strings.Fields(squeezeComments(s)), " ")
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// plainDate reads what nearly all mail programs write: "Mon, 2 Jan 2006 15:04:05 -0700", the day of the week left out
// or not, a comment such as "(CET)" behind it or not (RFC 5322 section 3.3). mail.ParseDate reads it alike, by trying
// one layout after the other and making an error for each that does not fit.
func plainDate(s string) (t time.Time, ok bool) {
	if len(s) > 5 && s[3] == ',' && s[4] == ' ' && strings.Index("MonTueWedThuFriSatSun", s[:3])%3 == 0 {
		s = s[5:]
	}
	if len(s) > 2 && s[1] == ' ' {
		s = "0" + s
	}
	if len(s) > 28 && s[26] == ' ' && s[27] == '(' && s[len(s)-1] == ')' && isWord(s[28:len(s)-1]) {
		s = s[:26]
	}
	const form = "02 Jan 2006 15:04:05 -0700"
	if len(s) != len(form) || s[2] != ' ' || s[6] != ' ' || s[11] != ' ' || s[14] != ':' || s[17] != ':' || s[20] != ' ' || s[21] != '+' && s[21] != '-' {
		return t, false
	}
	month := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", s[3:6])
	n := [...]int{number(s[0:2]), number(s[7:11]), number(s[12:14]), number(s[15:17]), number(s[18:20]), number(s[22:24]), number(s[24:26])}
	for _, v := range n {
		if v < 0 {
			return t, false
		}
	}
	if month%3 != 0 || n[2] > 23 || n[3] > 59 || n[4] > 59 || n[5] > 23 || n[6] > 59 {
		return t, false
	}
	east := n[5]*3600 + n[6]*60
	if s[21] == '-' {
		east = -east
	}
	zone := time.UTC
	if east != 0 {
		zone = time.FixedZone("", east)
	}
	t = time.Date(n[1], time.Month(month/3+1), n[0], n[2], n[3], n[4], 0, zone)
	return t, t.Day() == n[0] // else there is no such day
}

// number is the value of a string of digits, -1 if it is something else.
func number(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = 10*n + int(s[i]-'0')
	}
	return n
}

func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return true
}

// dateLayouts are what mail programs wrote instead of RFC 5322 section 3.3.
var dateLayouts = [...]string{
	"Mon, 2 Jan 2006 15:04:05", "Mon, 2 Jan 2006 15:04 -0700", "Mon, 2 Jan 06 15:04:05 -0700", "Mon, 2-Jan-2006 15:04:05 -0700",
	"Mon Jan 2 15:04:05 2006", "Mon Jan 2 15:04:05 2006 -0700", "Mon Jan 2 15:04:05 MST 2006", "2 Jan 2006 15:04:05 MST",
	"Monday, 2 January 2006 15:04:05 -0700", "2006-01-02 15:04:05 -0700", time.RFC3339, "Mon, 2 Jan 2006 15:04:05 GMT-0700",
}

func squeezeComments(s string) string {
	for i := strings.IndexByte(s, '('); i >= 0; i = strings.IndexByte(s, '(') {
		end := commentEnd(s, i)
		if end == 0 {
			return s[:i]
		}
		s = s[:i] + s[end:]
	}
	return s
}
