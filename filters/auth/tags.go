package auth

import (
	"errors"
	"strings"
)

const (
	maxTags     = 64       // tags in one list
	maxTagList  = 16 << 10 // bytes of one list (D-25)
	maxTagValue = 8 << 10
)

var (
	errTagSyntax = errors.New("malformed tag list")
	errTagTwice  = errors.New("a tag stands twice")
	errTagLimit  = errors.New("tag list is too long")
)

// A tag is one name=value of a tag list (RFC 6376 section 3.2).
type tag struct {
	name  string
	value string // as written, without white space around it
	start int    // offset behind the "="
	end   int    // offset of the ";" or of the end
}

// A tagList is a list of tags, each name at most once.
type tagList []tag

// parseTags reads a tag list. Tag names are case-sensitive.
func parseTags(s string) (tagList, error) {
	if len(s) > maxTagList {
		return nil, errTagLimit
	}
	list := make(tagList, 0, 12)
	for at := 0; at <= len(s); {
		end := strings.IndexByte(s[at:], ';')
		if end < 0 {
			end = len(s)
		} else {
			end += at
		}
		spec := s[at:end]
		if trimFWS(spec) == "" {
			if end < len(s) {
				return nil, errTagSyntax // only the last may be empty
			}
			break
		}
		eq := strings.IndexByte(spec, '=')
		if eq < 0 {
			return nil, errTagSyntax
		}
		t := tag{name: trimFWS(spec[:eq]), value: trimFWS(spec[eq+1:]), start: at + eq + 1, end: end}
		switch {
		case !isTagName(t.name) || !isTagValue(t.value):
			return nil, errTagSyntax
		case len(list) == maxTags || len(t.value) > maxTagValue:
			return nil, errTagLimit
		case list.find(t.name) != nil:
			return nil, errTagTwice
		}
		list = append(list, t)
		at = end + 1
	}
	if len(list) == 0 {
		return nil, errTagSyntax
	}
	return list, nil
}

// find returns the tag of that name, or nil.
func (l tagList) find(name string) *tag {
	for i := range l {
		if l[i].name == name {
			return &l[i]
		}
	}
	return nil
}

// value returns the value of a tag, or "".
func (l tagList) value(name string) string {
	if t := l.find(name); t != nil {
		return t.value
	}
	return ""
}

func isTagName(s string) bool {
	if s == "" || !alpha(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !alpha(s[i]) && !digit(s[i]) && s[i] != '_' {
			return false
		}
	}
	return true
}

// isTagValue allows printable bytes, UTF-8 (RFC 8616) and folding white space.
func isTagValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return false
		}
	}
	return true
}

func isFWS(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trimFWS(s string) string {
	for s != "" && isFWS(s[0]) {
		s = s[1:]
	}
	for s != "" && isFWS(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// dropFWS removes white space from anywhere in s.
func dropFWS(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if isFWS(s[i]) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if !isFWS(s[i]) {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// isDomain reports whether s can be a host name in the DNS: letters, digits, hyphen and underscore, labels of 1 to 63,
// 253 in total. Anything else never becomes a question (D-04, D-05).
func isDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '.' {
			if label == 0 {
				return false
			}
			label = 0
			continue
		}
		if !alpha(c) && !digit(c) && c != '-' && c != '_' {
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0
}
