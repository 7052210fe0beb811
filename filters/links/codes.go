package links

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "links.mismatch", Meaning: "A link shows the address of one site and leads to another.", Chinese: "链接显示的网址与实际指向的网站不同。"},
		{Name: "links.mismatch-brand", Meaning: "A link shows the address of a firm whose name is often borrowed and leads elsewhere.", Chinese: "链接显示常被冒用的公司网址，实际指向他处。"},
		{Name: "links.tracked", Meaning: "A link shows one address and leads through a click counter, as newsletters do.", Chinese: "链接经由点击统计服务跳转，新闻邮件通常如此。"},
		{Name: "links.lookalike", Meaning: "The name of a linked site looks like that of a known one and is another.", Chinese: "链接的网站名称与知名网站相似，但并非同一网站。"},
		{Name: "links.lookalike-own", Meaning: "The name of a linked site resembles a domain of this site or of somebody it often writes with.", Chinese: "链接的网站名称与本站或常用联系方的域名相似。"},
		{Name: "links.brand-name", Meaning: "The name of a linked site bears the name of a firm that does not own it.", Chinese: "链接的网站名称含有并不拥有该网站的公司名称。"},
		{Name: "links.homograph", Meaning: "The name of a linked site mixes alphabets or imitates Latin letters with others.", Chinese: "链接的网站名称混用多种文字或用其他字母冒充拉丁字母。"},
		{Name: "links.userinfo", Meaning: "A link hides its target behind a user name before an @ sign.", Chinese: "链接用 @ 前的用户名掩盖真正的目标。"},
		{Name: "links.bare-ip", Meaning: "A link leads to an IP address rather than to a name.", Chinese: "链接指向 IP 地址而非域名。"},
		{Name: "links.obscured-ip", Meaning: "A link leads to an IP address in a notation that hides it: one number, octal or hexadecimal.", Chinese: "链接以单一数字、八进制或十六进制掩饰其 IP 地址。"},
		{Name: "links.disguised", Meaning: "A link is written in a way that only hides where it leads: encoded letters in the host, backslashes, characters that browsers map away.", Chinese: "链接写法意在掩饰目标：主机名含编码字符、反斜杠或会被浏览器转换的字符。"},
		{Name: "links.odd-port", Meaning: "A link leads to a port that no public web server uses.", Chinese: "链接指向公共网站不使用的端口。"},
		{Name: "links.shortener", Meaning: "A link goes through a service that hides its target.", Chinese: "链接经由短网址服务，目标被隐藏。"},
		{Name: "links.redirector", Meaning: "A link uses a large site's redirector to lead to another.", Chinese: "链接利用大型网站的跳转功能指向其他网站。"},
		{Name: "links.hosting", Meaning: "A link leads to a page on a service where anybody can put one.", Chinese: "链接指向任何人都可发布页面的服务。"},
		{Name: "links.bucket", Meaning: "A link leads to rented storage or a rented machine under its provider's name.", Chinese: "链接指向云存储或云主机上的地址。"},
		{Name: "links.dynamic", Meaning: "A link leads to a free name for changing addresses.", Chinese: "链接指向免费动态域名。"},
		{Name: "links.cheap", Meaning: "A link leads to a name under an ending that is abused far beyond its share.", Chinese: "链接指向滥用率很高的顶级域名。"},
		{Name: "links.random", Meaning: "A link leads to a name that looks made by a machine.", Chinese: "链接指向看似机器生成的域名。"},
		{Name: "links.deep", Meaning: "A link leads to a name with unusually many labels or an unusually long one.", Chinese: "链接的域名层级过多或过长。"},
		{Name: "links.image-host", Meaning: "The message shows pictures from a service where anybody can put one.", Chinese: "邮件显示来自任何人都可上传的图床的图片。"},
		{Name: "links.image-ip", Meaning: "The message fetches pictures from an IP address rather than from a name.", Chinese: "邮件从 IP 地址而非域名加载图片。"},
		{Name: "links.elsewhere", Meaning: "Every link to click leads away from the author's domain, and all to one place.", Chinese: "所有可点击链接都指向作者域以外的同一处。"},
		{Name: "links.foreign", Meaning: "Links to click lead to several places, none of which is the author's or a known mailing service.", Chinese: "可点击的链接指向多处，均不属于作者或已知的群发服务。"},
		{Name: "links.away", Meaning: "Nothing leads to the author's domain, neither a link nor an address in the text, and all lead to a few other places.", Chinese: "邮件中没有任何链接或网址指向作者的域，全部指向少数其他网站。"},
		{Name: "links.borrowed", Meaning: "The message shows pictures of a well-known firm's site, and its links lead to neither that firm nor the author.", Chinese: "邮件显示知名公司网站的图片，但链接既不指向该公司也不指向作者。"},
		{Name: "links.data", Meaning: "A link to click holds a whole page or script instead of leading to one.", Chinese: "可点击的链接内含整个网页或脚本。"},
		{Name: "links.program", Meaning: "A link starts a program or opens a share on the reader's machine.", Chinese: "链接会在读者电脑上启动程序或打开共享文件夹。"},
		{Name: "links.address-in-url", Meaning: "A link to another site than the author's carries a recipient's address.", Chinese: "指向作者以外网站的链接携带收件人地址。"},
		{Name: "links.download", Meaning: "A link leads directly to a file that runs.", Chinese: "链接直接指向可执行文件。"},
		{Name: "links.never-seen", Meaning: "A link leads to a domain that was in no message to this site before.", Chinese: "链接指向本站此前从未见过的域。"},
		{Name: "links.qr", Meaning: "A picture or document holds a QR code with a link.", Chinese: "图片或文档中含有带链接的二维码。"},
		{Name: "links.pictures", Meaning: "There are more or larger pictures than are looked at for QR codes.", Chinese: "图片数量或尺寸超过二维码检查上限。"},
		{Name: "links.limit", Meaning: "There are more links, or there is more text, than is listed and looked at.", Chinese: "链接数量或文本长度超过列出与检查的上限。"},
		{Name: "links.unscannable.limit", Meaning: "A page is larger, or holds more links, than is looked at.", Chinese: "网页过大或链接过多，未能完整检查。"},
	}
}
