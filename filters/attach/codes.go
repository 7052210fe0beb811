package attach

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "attach.eicar", Meaning: "The EICAR test file was found.", Chinese: "发现 EICAR 测试文件。"},
		{Name: "attach.malware", Meaning: "An attachment is on the site's list of malware.", Chinese: "附件在本站的恶意文件名单上。"},
		{Name: "attach.password-in-text", Meaning: "The password of an encrypted attachment stands in the message.", Chinese: "加密附件的密码写在邮件正文中。"},
		{Name: "attach.executable", Meaning: "An attachment is a program by its content.", Chinese: "附件的内容是可执行程序。"},
		{Name: "attach.executable-name", Meaning: "An attachment is a program by its name.", Chinese: "附件的名称表明它是可执行程序。"},
		{Name: "attach.script", Meaning: "An attachment is a script.", Chinese: "附件是脚本。"},
		{Name: "attach.source", Meaning: "An attachment is the text of a program, which runs only where somebody has an interpreter run it.", Chinese: "附件是程序源文本，只有用解释器执行时才会运行。"},
		{Name: "attach.shortcut", Meaning: "An attachment is a shortcut that runs something.", Chinese: "附件是会运行程序的快捷方式。"},
		{Name: "attach.bookmark", Meaning: "An attachment is a shortcut to a page of the web.", Chinese: "附件是指向网页的快捷方式。"},
		{Name: "attach.disk-image", Meaning: "An attachment is a disk image, whose files escape the marks of the web.", Chinese: "附件是磁盘映像。"},
		{Name: "attach.double-extension", Meaning: "A dangerous file name pretends to be a harmless one.", Chinese: "危险的文件名伪装成无害的文件名。"},
		{Name: "attach.hidden-extension", Meaning: "A file name hides the extension that some systems use.", Chinese: "文件名隐藏了真正的扩展名。"},
		{Name: "attach.bidi-name", Meaning: "A file name hides characters or turns the direction of reading.", Chinese: "文件名含有隐藏字符或改变阅读方向的字符。"},
		{Name: "attach.name-conflict", Meaning: "Programs see different names of one file, and one is dangerous.", Chinese: "不同程序看到不同的文件名，其中有危险的名称。"},
		{Name: "attach.path-name", Meaning: "A file name holds a path.", Chinese: "文件名含有路径。"},
		{Name: "attach.type-mismatch", Meaning: "The declared type is not what the content is.", Chinese: "声明的类型与内容不符。"},
		{Name: "attach.polyglot", Meaning: "One attachment is two kinds of file at once.", Chinese: "一个附件同时是两种文件。"},
		{Name: "attach.macro", Meaning: "An office document holds macros.", Chinese: "办公文档含有宏。"},
		{Name: "attach.macro-auto", Meaning: "A macro runs by itself.", Chinese: "宏会自动运行。"},
		{Name: "attach.macro-suspicious", Meaning: "A macro calls what malware calls.", Chinese: "宏调用了恶意软件常用的功能。"},
		{Name: "attach.remote-template", Meaning: "An office document loads something from elsewhere when it is opened.", Chinese: "办公文档打开时会加载外部内容。"},
		{Name: "attach.dde", Meaning: "An office document starts a program by DDE.", Chinese: "办公文档通过 DDE 启动程序。"},
		{Name: "attach.embedded-object", Meaning: "A document holds another file.", Chinese: "文档内嵌有其他文件。"},
		{Name: "attach.active-content", Meaning: "A document runs a script when it is opened.", Chinese: "文档打开时会运行脚本。"},
		{Name: "attach.html-smuggling", Meaning: "A web page puts a file together in the browser.", Chinese: "网页在浏览器中拼装文件。"},
		{Name: "attach.encrypted", Meaning: "An attachment is encrypted.", Chinese: "附件已加密。"},
		{Name: "attach.archive-overlap", Meaning: "Files of an archive overlap, as in a decompression bomb.", Chinese: "压缩包内的文件相互重叠，类似压缩炸弹。"},
		{Name: "attach.archive-ambiguous", Meaning: "Programs see different files in this archive.", Chinese: "不同程序在此压缩包中看到不同的文件。"},
		{Name: "attach.archive-corrupt", Meaning: "An archive is broken, so programs may see different files in it.", Chinese: "压缩包已损坏，不同程序可能看到不同的文件。"},
		{Name: "attach.unscannable.encrypted", Meaning: "An attachment is encrypted, so nobody looked into it.", Chinese: "附件已加密，无法检查。"},
		{Name: "attach.unscannable.corrupt", Meaning: "An attachment is broken, so not all of it was seen.", Chinese: "附件已损坏，未能完整检查。"},
		{Name: "attach.unscannable.limit", Meaning: "An attachment needs more than the gateway spends on one message.", Chinese: "附件超出检查限额，未能完整检查。"},
		{Name: "attach.unscannable.format", Meaning: "An attachment is an archive of a kind that the gateway does not open.", Chinese: "附件是无法打开的压缩格式。"},
	}
}
