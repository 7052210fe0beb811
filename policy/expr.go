package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"gatepost/rules/conf"
)

// Bounds of expressions. The cost is the language's own measure, about ten nanoseconds a step. An expression whose
// worst case stays below maxCost runs as it is; one that could exceed it (loops in loops) is counted while it runs
// and given up there, which makes it unknown; one that could exceed hopeless is refused at load.
const (
	maxItems      = 10_000 // of a list of attachments or links; more than the filters' own bounds let through
	maxInner      = 32     // of a list inside an item, for the estimate only
	maxText       = 256    // bytes of one value, for the estimate only
	maxCost       = 5_000_000
	hopeless      = 1_000_000_000_000
	maxExpression = 8192 // characters
)

// hasFinding is the function behind has("code"), the only one by which an expression sees findings.
const hasFinding = "@has"

// An expression is a compiled when.
type expression struct {
	program cel.Program
	score   bool     // it reads the score, so its value may differ between recipients and steps
	found   bool     // it reads findings, which may be put aside
	headers []string // names of header fields that it asks for, in lower case
}

// eval gives true, false or, with the fact that is not known, unknown.
func (e *expression) eval(f *facts) (matched bool, unknown string) {
	out, _, err := e.program.Eval(f)
	if err != nil {
		if fact := missing(err); fact != "" {
			return false, fact
		}
		return false, "the result of when (" + err.Error() + ")"
	}
	return out == types.True, ""
}

// newEnv is the language of when: standard CEL and the string functions over the facts.
func (c *compiler) newEnv() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("make type registry: %w", err)
	}
	opts := []cel.EnvOption{
		cel.StdLib(), ext.Strings(), cel.ClearMacros(), cel.Macros(c.macros()...),
		cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(64),
		cel.CustomTypeProvider(provider{registry}), cel.CustomTypeAdapter(registry),
		cel.Variable(self, selfType),
		cel.Function(hasFinding, cel.Overload("@has_facts_string", []*cel.Type{selfType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(func(f, code ref.Val) ref.Val { return f.(*facts).has(string(code.(types.String))) }))),
		cel.Function("@header", cel.Overload("@header_facts_string", []*cel.Type{selfType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(func(f, name ref.Val) ref.Val { return f.(*facts).header(string(name.(types.String))) }))),
		cel.Function("@headers", cel.Overload("@headers_facts_string", []*cel.Type{selfType, cel.StringType}, words,
			cel.BinaryBinding(func(f, name ref.Val) ref.Val { return f.(*facts).headers(string(name.(types.String))) }))),
		cel.Function("@in_list", cel.Overload("@in_list_facts_string_string",
			[]*cel.Type{selfType, cel.StringType, cel.StringType}, cel.BoolType, cel.FunctionBinding(c.inList()))),
	}
	for _, f := range factTypes {
		opts = append(opts, cel.Variable(f.name, f.kind), cel.Variable(presence+f.name, cel.BoolType))
	}
	for _, g := range factGroups {
		opts = append(opts, cel.Variable(presence+g, cel.BoolType))
	}
	env, err := cel.NewCustomEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("make expression language: %w", err)
	}
	return env, nil
}

// inList looks a value up in a list of the policy. The lists are complete before an expression runs.
func (c *compiler) inList() func(...ref.Val) ref.Val {
	lists := c.p.lists
	return func(args ...ref.Val) ref.Val {
		f, value, name := args[0].(*facts), args[1].(types.String), args[2].(types.String)
		l := lists[string(name)]
		return types.Bool(l != nil && l.holds(string(value), f.env.Time))
	}
}

// macros are has(), has_fact(), in_list(), message.header() and CEL's own loops.
func (c *compiler) macros() []cel.Macro {
	return []cel.Macro{
		cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, cel.MapMacro, cel.MapFilterMacro, cel.FilterMacro,
		cel.GlobalMacro("has", 1, c.expandHas), cel.GlobalMacro("has_fact", 1, c.expandHasFact),
		cel.GlobalMacro("in_list", 2, c.expandInList),
		cel.ReceiverMacro("header", 1, expandHeader("@header")), cel.ReceiverMacro("headers", 1, expandHeader("@headers")),
	}
}

// literal is the text of a constant.
func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

func (c *compiler) expandHas(m cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	code, ok := literal(args[0])
	if !ok {
		return nil, m.NewError(args[0].ID(), `has() takes a finding code in quotes, such as has("dmarc.fail"); for facts there is has_fact()`)
	}
	if hint, known := c.knownCode(code); !known {
		return nil, m.NewError(args[0].ID(), "there is no finding "+quoted(code)+asHint(hint))
	}
	return m.NewCall(hasFinding, m.NewIdent(self), args[0]), nil
}

func (c *compiler) expandHasFact(m cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	name, ok := dotted(args[0])
	if !ok {
		return nil, m.NewError(args[0].ID(), "has_fact() takes a fact, such as has_fact(auth.dmarc)")
	}
	if _, known := factIndex[name]; !known && !slices.Contains(factGroups, name) {
		return nil, m.NewError(args[0].ID(), "there is no fact "+name+asHint(conf.Suggest(name, factNames())))
	}
	return m.NewIdent(presence + name), nil
}

func (c *compiler) expandInList(m cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	name, ok := literal(args[1])
	if !ok {
		return nil, m.NewError(args[1].ID(), `in_list() takes a list's name in quotes, such as in_list(message.from, "partners")`)
	}
	if c.p.lists[name] == nil {
		return nil, m.NewError(args[1].ID(), "there is no list "+quoted(name)+asHint(suggestKey(name, c.p.lists)))
	}
	return m.NewCall("@in_list", m.NewIdent(self), args[0], args[1]), nil
}

// expandHeader makes message.header("name") a call over the facts; nil leaves other receivers alone.
func expandHeader(function string) cel.MacroFactory {
	return func(m cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
		if name, ok := dotted(target); !ok || name != "message" {
			return nil, nil
		}
		return m.NewCall(function, m.NewIdent(self), args[0]), nil
	}
}

// hintMark separates a message from its hint on their way through the expression library.
const hintMark = "\x00"

func asHint(hint string) string {
	if hint == "" {
		return ""
	}
	return hintMark + hint
}

// dotted is the name a.b.c that an expression spells.
func dotted(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent(), true
	case ast.SelectKind:
		head, ok := dotted(e.AsSelect().Operand())
		return head + "." + e.AsSelect().FieldName(), ok && !e.AsSelect().IsTestOnly()
	}
	return "", false
}

// factNames lists every fact, for suggestions.
func factNames() []string {
	var names []string
	for _, f := range factTypes {
		names = append(names, f.name)
	}
	return names
}

// expression compiles a when, reporting everything that is wrong with it at its place in the file.
func (c *compiler) expression(text item) *expression {
	parsed, issues := c.env.Parse(text.Value)
	if c.exprIssues(text, issues) {
		return nil
	}
	if c.unknownNames(text, parsed) {
		return nil
	}
	checked, issues := c.env.Check(parsed)
	if c.exprIssues(text, issues) {
		return nil
	}
	if c.patterns(text, checked) {
		return nil
	}
	if checked.OutputType() != cel.BoolType {
		c.problem(c.exprPos(text, 1, 0), "", "when must be true or false, and this is %s", typeName(checked.OutputType()))
		return nil
	}
	estimate, err := c.env.EstimateCost(checked, sizes{})
	if err != nil || estimate.Max > hopeless {
		c.problem(text.Pos, "", "when could take too long: loops over attachments and urls must not be nested so deeply")
		return nil
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if estimate.Max > maxCost {
		opts = append(opts, cel.CostLimit(maxCost))
	}
	program, err := c.env.Program(checked, opts...)
	if err != nil {
		c.problem(text.Pos, "", "cannot prepare when: %v", err)
		return nil
	}
	e := &expression{program: program}
	e.survey(checked)
	return e
}

// survey notes what an expression reads.
func (e *expression) survey(checked *cel.Ast) {
	visit := ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.CallKind:
			e.headers = append(e.headers, askedHeader(x.AsCall())...)
			e.found = e.found || x.AsCall().FunctionName() == hasFinding
		case ast.IdentKind, ast.SelectKind:
			name, _ := dotted(x)
			e.score = e.score || name == "score"
		}
	})
	ast.PreOrderVisit(checked.NativeRep().Expr(), visit)
}

// askedHeader is the field that a call of header() asks for.
func askedHeader(call ast.CallExpr) []string {
	if name := call.FunctionName(); name != "@header" && name != "@headers" || len(call.Args()) != 2 {
		return nil
	}
	name, ok := literal(call.Args()[1])
	if !ok {
		return nil
	}
	return []string{strings.ToLower(name)}
}

// exprIssues reports what the expression library found.
func (c *compiler) exprIssues(text item, issues *cel.Issues) bool {
	if issues == nil || issues.Err() == nil {
		return false
	}
	for _, e := range issues.Errors() {
		message, hint, _ := strings.Cut(e.Message, hintMark)
		if field, ok := strings.CutPrefix(message, "undefined field '"); ok {
			field = strings.TrimSuffix(field, "'")
			message, hint = "there is no field "+field, conf.Suggest(field, append(memberNames("attachment"), memberNames("url")...))
		}
		c.problem(c.exprPos(text, e.Location.Line(), e.Location.Column()), hint, "when: %s", plainIssue(message))
	}
	return true
}

// plainIssue puts the library's commonest messages into words for administrators.
func plainIssue(message string) string {
	if rest, ok := strings.CutPrefix(message, "found no matching overload for '"); ok {
		op, args, _ := strings.Cut(rest, "' applied to ")
		text := strings.Trim(op, "_") + " cannot be used on " + strings.Trim(args, "'()")
		if args == "'(double, int)'" {
			text += ": write the number with a decimal, as in 7.0"
		}
		return text
	}
	if rest, ok := strings.CutPrefix(message, "Syntax error: "); ok {
		input, _, _ := strings.Cut(rest, " expecting ")
		for _, noise := range []string{"extraneous input ", "mismatched input ", "no viable alternative at input ", "token recognition error at: "} {
			input = strings.TrimPrefix(input, noise)
		}
		if input == "'<EOF>'" {
			return "the expression ends too early"
		}
		return "the expression cannot be read at " + input
	}
	return strings.ReplaceAll(message, " (in container '')", "")
}

// unknownNames reports names that are neither facts nor loop variables, with the nearest fact.
func (c *compiler) unknownNames(text item, parsed *cel.Ast) bool {
	native := parsed.NativeRep()
	found := false
	var walk func(e ast.NavigableExpr, bound []string)
	walk = func(e ast.NavigableExpr, bound []string) {
		if name, ok := dotted(e); ok {
			root, _, _ := strings.Cut(name, ".")
			_, known := factIndex[name]
			if known || slices.Contains(bound, root) || strings.HasPrefix(root, "@") || prefixFact(name) || slices.Contains(stdTypes, root) {
				return
			}
			found = true
			at := native.SourceInfo().GetStartLocation(rootID(e))
			c.problem(c.exprPos(text, at.Line(), at.Column()), conf.Suggest(name, factNames()), "when: there is no fact %s", name)
			return
		}
		inner := bound
		if e.Kind() == ast.ComprehensionKind {
			k := e.AsComprehension()
			inner = append(slices.Clone(bound), k.IterVar(), k.IterVar2(), k.AccuVar())
		}
		for _, child := range e.Children() {
			walk(child, inner)
		}
	}
	walk(ast.NavigateAST(native), nil)
	return found
}

// stdTypes are the names of types that an expression may compare with type().
var stdTypes = []string{"bool", "bytes", "double", "duration", "google", "int", "list", "map", "null_type", "string", "timestamp", "type", "uint"}

// prefixFact reports whether a fact stands before the last name of a chain: the checker judges what is selected from it.
func prefixFact(name string) bool {
	for f := range factIndex {
		if strings.HasPrefix(name, f+".") {
			return true
		}
	}
	return false
}

// rootID is the id of the leftmost name of a chain.
func rootID(e ast.Expr) int64 {
	for e.Kind() == ast.SelectKind {
		e = e.AsSelect().Operand()
	}
	return e.ID()
}

// exprPos maps a place in an expression to the file.
func (c *compiler) exprPos(text item, line, col int) conf.Pos {
	p := text.Pos
	if p.Line < 1 || p.Line > len(c.lines) || p.Col < 1 {
		return p
	}
	row := c.lines[p.Line-1]
	mark := byte(0)
	if p.Col <= len(row) {
		mark = row[p.Col-1]
	}
	switch {
	case mark == '|' || mark == '>':
		indent := 0 // of the block's first line, which is taken off all
		for _, first := range c.lines[p.Line:] {
			if strings.TrimSpace(first) != "" {
				indent = len(first) - len(strings.TrimLeft(first, " "))
				break
			}
		}
		p.Line, p.Col = p.Line+line, indent+col+1
	case line > 1:
		p.Line += line - 1
		p.Col = col + 1
	case mark == '"' || mark == '\'':
		p.Col += col + 1
	default:
		p.Col += col
	}
	return p
}

// typeName is a type in plain words.
func typeName(t *cel.Type) string {
	switch t.Kind() {
	case types.StringKind:
		return "text"
	case types.IntKind, types.UintKind, types.DoubleKind:
		return "a number"
	case types.ListKind:
		return "a list"
	case types.TimestampKind:
		return "a time"
	}
	return "a " + t.String()
}

// sizes bounds what the facts hold, for the cost estimate.
type sizes struct{}

// EstimateCallCost leaves functions to the library, but knows our own.
func (sizes) EstimateCallCost(function, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	if strings.HasPrefix(function, "@") {
		return &cost.CallEstimate{CostEstimate: cost.Estimate{Min: 1, Max: 100}}
	}
	return nil
}

// EstimateSize bounds lists and text.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	switch n.Type().Kind() {
	case types.ListKind:
		if len(n.Path()) > 1 {
			return &cost.SizeEstimate{Min: 0, Max: maxInner}
		}
		return &cost.SizeEstimate{Min: 0, Max: maxItems}
	case types.StringKind:
		return &cost.SizeEstimate{Min: 0, Max: maxText}
	}
	return &cost.SizeEstimate{Min: 0, Max: math.MaxUint32}
}
