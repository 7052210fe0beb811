package mail

// Markup is the text of a text part as it was written, HTML with its tags, in UTF-8 and by the likeliest reading; empty
// if the part is no text. It is as hostile as its sender.
func (p *Part) Markup() string {
	if !p.textual() {
		return ""
	}
	readings := p.Decoded()
	if len(readings) == 0 {
		return ""
	}
	data := readings[0].Data
	data = data[:min(len(data), maxViewed)]
	label := charsetName(p.Param("charset"))
	if label == "" && p.isHTML() {
		label = metaCharset(data)
	}
	text, _ := toUTF8(label, data)
	return text
}
