package policy

import (
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// maxPattern is how many instructions a regular expression may compile to. RE2 is linear in the text, yet each octet may
// cost as much as the program is long: ((a{0,100}){0,10}){0,1}b takes seconds for 2 MB.
const maxPattern = 2000

// patterns reports regular expressions that are wrong, cost too much, or come out of the message.
func (c *compiler) patterns(text item, checked *cel.Ast) bool {
	native, found := checked.NativeRep(), false
	report := func(e ast.Expr, format string, args ...any) {
		found = true
		at := native.SourceInfo().GetStartLocation(e.ID())
		c.problem(c.exprPos(text, at.Line(), at.Column()), "", "when: "+format, args...)
	}
	ast.PreOrderVisit(native.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != "matches" || len(e.AsCall().Args()) == 0 {
			return
		}
		args := e.AsCall().Args()
		last := args[len(args)-1]
		pattern, ok := literal(last)
		if !ok {
			report(last, "the pattern of matches() must stand in quotes; it cannot come from the message")
			return
		}
		parsed, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			report(last, "%v", err)
			return
		}
		program, err := syntax.Compile(parsed.Simplify())
		switch {
		case err != nil:
			report(last, "%v", err)
		case len(program.Inst) > maxPattern:
			report(last, "the pattern compiles to %d instructions, and may have %d; use smaller repetitions", len(program.Inst), maxPattern)
		}
	}))
	return found
}
