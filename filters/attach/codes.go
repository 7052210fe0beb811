package attach

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "attach.eicar", Meaning: "The EICAR test file was found.", Chinese: "发现 EICAR 测试文件。"},
		{Name: "attach.executable", Meaning: "An attachment is a program by its content.", Chinese: "附件的内容是可执行程序。"},
		{Name: "attach.double-extension", Meaning: "A dangerous file name pretends to be a harmless one.", Chinese: "危险的文件名伪装成无害的文件名。"},
		{Name: "attach.macro", Meaning: "An office document holds macros.", Chinese: "办公文档含有宏。"},
	}
}
