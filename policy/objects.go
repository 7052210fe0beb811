package policy

import (
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gatepost/filters"
)

// The types of what expressions iterate over; read-only.
var (
	attachmentType = cel.ObjectType("attachment")
	urlType        = cel.ObjectType("url")
	selfType       = cel.OpaqueType("facts")
)

// A member is one field of an attachment or link.
type member struct {
	name string
	kind *cel.Type
	get  func(object any) any
}

// onAttachment makes a member of an attachment.
func onAttachment(name string, kind *cel.Type, get func(*filters.Attachment) any) member {
	return member{name, kind, func(o any) any { return get(o.(*filters.Attachment)) }}
}

// onURL makes a member of a link.
func onURL(name string, kind *cel.Type, get func(*filters.URL) any) member {
	return member{name, kind, func(o any) any { return get(o.(*filters.URL)) }}
}

// members are the fields by type name; read-only.
var members = map[string][]member{
	"attachment": {
		onAttachment("name", cel.StringType, func(a *filters.Attachment) any { return types.String(a.Name) }),
		onAttachment("names", words, func(a *filters.Attachment) any {
			if len(a.Names) == 0 {
				return textList([]string{a.Name})
			}
			return textList(a.Names)
		}),
		onAttachment("extension", cel.StringType, func(a *filters.Attachment) any { return types.String(extension(a.Name)) }),
		onAttachment("type", cel.StringType, func(a *filters.Attachment) any { return types.String(a.Type) }),
		onAttachment("declared", cel.StringType, func(a *filters.Attachment) any { return types.String(a.Declared) }),
		onAttachment("size", cel.IntType, func(a *filters.Attachment) any { return types.Int(a.Size) }),
		onAttachment("sha256", cel.StringType, func(a *filters.Attachment) any { return types.String(a.SHA256) }),
		onAttachment("path", words, func(a *filters.Attachment) any { return textList(a.Path) }),
		onAttachment("macro", cel.BoolType, func(a *filters.Attachment) any { return types.Bool(a.Macro) }),
		onAttachment("encrypted", cel.BoolType, func(a *filters.Attachment) any { return types.Bool(a.Encrypted) }),
		onAttachment("executable", cel.BoolType, func(a *filters.Attachment) any { return types.Bool(a.Executable) }),
		onAttachment("defects", words, func(a *filters.Attachment) any { return textList(a.Defects) }),
	},
	"url": {
		onURL("url", cel.StringType, func(u *filters.URL) any { return types.String(u.URL) }),
		onURL("host", cel.StringType, func(u *filters.URL) any { return types.String(u.Host) }),
		onURL("domain", cel.StringType, func(u *filters.URL) any { return types.String(u.Domain) }),
		onURL("text", cel.StringType, func(u *filters.URL) any { return types.String(u.Text) }),
	},
}

// extension is what follows the last dot of a file name, in lower case.
func extension(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	return strings.ToLower(name[dot+1:])
}

// A provider tells the checker and the interpreter about attachments and links.
type provider struct{ types.Provider }

// FindStructType finds a type by name.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if members[name] == nil {
		return p.Provider.FindStructType(name)
	}
	return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
}

// FindStructFieldNames lists a type's fields.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if members[name] == nil {
		return p.Provider.FindStructFieldNames(name)
	}
	return memberNames(name), true
}

// memberNames lists the fields of a type.
func memberNames(name string) []string {
	var out []string
	for _, m := range members[name] {
		out = append(out, m.name)
	}
	return out
}

// FindStructFieldType finds a field.
func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	i := slices.IndexFunc(members[name], func(m member) bool { return m.name == field })
	if i < 0 {
		return p.Provider.FindStructFieldType(name, field)
	}
	m := members[name][i]
	return &types.FieldType{Type: m.kind, IsSet: func(any) bool { return true },
		GetFrom: func(o any) (any, error) { return m.get(o), nil }}, true
}

// attachmentVal is an attachment as a CEL value.
type attachmentVal struct{ *filters.Attachment }

// ConvertToNative is not supported: attachments do not leave an expression.
func (a attachmentVal) ConvertToNative(reflect.Type) (any, error) { return nil, errOpaque }

// ConvertToType is not supported either.
func (a attachmentVal) ConvertToType(ref.Type) ref.Val { return types.WrapErr(errOpaque) }

// Equal is identity.
func (a attachmentVal) Equal(other ref.Val) ref.Val { return types.Bool(other == ref.Val(a)) }

// Type is the attachment type.
func (a attachmentVal) Type() ref.Type { return attachmentType }

// Value is the attachment.
func (a attachmentVal) Value() any { return a.Attachment }

// urlVal is a link as a CEL value.
type urlVal struct{ *filters.URL }

// ConvertToNative is not supported: links do not leave an expression.
func (u urlVal) ConvertToNative(reflect.Type) (any, error) { return nil, errOpaque }

// ConvertToType is not supported either.
func (u urlVal) ConvertToType(ref.Type) ref.Val { return types.WrapErr(errOpaque) }

// Equal is identity.
func (u urlVal) Equal(other ref.Val) ref.Val { return types.Bool(other == ref.Val(u)) }

// Type is the url type.
func (u urlVal) Type() ref.Type { return urlType }

// Value is the link.
func (u urlVal) Value() any { return u.URL }
