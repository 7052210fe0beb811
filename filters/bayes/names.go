package bayes

// label says where a token stood.
func (k place) label() string {
	switch k {
	case inHidden:
		return "hidden text"
	case inSubject:
		return "subject"
	case inName:
		return "author's name"
	case inFrom:
		return "author"
	case inReply:
		return "reply-to"
	case inField:
		return "header"
	case inProgram:
		return "program"
	case inShape:
		return "form"
	case inPart:
		return "part"
	case inMarkup:
		return "HTML"
	case inHost:
		return "link"
	case inPath:
		return "link path"
	case inFile:
		return "file"
	case inSource:
		return "source"
	}
	return "text"
}
