package mail

// A Severity says how much a defect can mislead; what follows from it is policy.
type Severity int

// The severities, mildest first.
const (
	Note      Severity = iota // odd, and all programs read it alike, or the readings do no harm
	Ambiguous                 // programs read it differently: what was scanned may not be what is shown
	Refuse                    // no honest program writes it
)

// String is the severity in one lower-case word.
func (s Severity) String() string { return [...]string{"note", "ambiguous", "refuse"}[s] }

// A DefectCode documents one code of a Defect.
type DefectCode struct {
	Code     string
	Meaning  string // one English sentence
	Chinese  string // the same in Simplified Chinese
	Severity Severity
}

// Defects lists every code that Parse may record, by code. The list is a copy.
func Defects() []DefectCode { return append([]DefectCode(nil), defectCodes[:]...) }

// SeverityOf is the severity of a code; a code that is not in the list is Ambiguous.
func SeverityOf(code string) Severity {
	if d, ok := defectIndex[code]; ok {
		return d.Severity
	}
	return Ambiguous
}

var defectIndex = func() map[string]DefectCode {
	m := make(map[string]DefectCode, len(defectCodes))
	for _, d := range defectCodes {
		m[d.Code] = d
	}
	return m
}()

const (
	maxDefects  = 500 // in all: a message may be wrong in more places than anyone wants to read
	maxSameCode = 20  // of one code
)

// defects gathers what is wrong while a message is parsed.
type defects struct{ list []Defect }

// add records a defect once for each place.
func (d *defects) add(code string, sp Span) {
	if len(d.list) >= maxDefects {
		return
	}
	count := 0
	for i := range d.list {
		if have := &d.list[i]; have.Code == code {
			if count++; count >= maxSameCode || have.Span == sp {
				return
			}
		}
	}
	d.list = append(d.list, Defect{Code: code, Text: defectIndex[code].Meaning, Span: sp})
}
