package route

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "route.client-dynamic", Meaning: "The client's host is named after its address, as connections of homes and rented pools are; mail servers have names of their own.", Chinese: "客户端主机名由其地址生成，属家庭宽带或动态地址池，而邮件服务器通常有自己的名称。"},
		{Name: "route.client-helo-address", Meaning: "The client called itself by a bare address, or by another address than its own (RFC 5321 section 4.1.3).", Chinese: "客户端在 HELO 中使用裸地址，或并非自己的地址。"},
		{Name: "route.client-helo-unqualified", Meaning: "The client called itself by a name that is no full domain name (RFC 5321 section 2.3.5).", Chinese: "客户端在 HELO 中使用的名称不是完整域名。"},
		{Name: "route.client-helo-provider", Meaning: "The client called itself a host of a great provider whose hosts are named otherwise.", Chinese: "客户端自称大型服务商的主机，但主机名不属于该服务商。"},
		{Name: "route.dynamic", Meaning: "A server on the way took the message from a host that is named after its address, and has nothing to do with that host or the author.", Chinese: "途经的服务器从以地址命名的主机（动态地址）收取了邮件，而它与该主机及发件人均无关系。"},
		{Name: "route.helo-address", Meaning: "A host on the way called itself by a bare address.", Chinese: "途经的主机在 HELO 中使用裸地址。"},
		{Name: "route.helo-provider", Meaning: "A host on the way called itself one of a great provider, and was none.", Chinese: "途经的主机冒称大型服务商的主机。"},
		{Name: "route.date-ahead", Meaning: "The date is more than five hours later than the first server had the message.", Chinese: "邮件日期比首个服务器收到的时间晚五小时以上。"},
		{Name: "route.date-behind", Meaning: "The date is more than four days earlier than the first server had the message.", Chinese: "邮件日期比首个服务器收到的时间早四天以上。"},
		{Name: "route.date-no-zone", Meaning: "The date does not say in which time zone it is (RFC 5322 section 3.3).", Chinese: "邮件日期未注明时区。"},
	}
}
