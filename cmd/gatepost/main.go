// Command gatepost is a security-focused mail gateway: it stands in front of a mail server, judges what comes in, forwards
// what is clean and keeps the rest for people to review.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"gatepost/rules/conf"
)

// version is set when the binary is linked.
var version = "unknown"

// cli is the command line: global flags and one field per command.
type cli struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration. Default: gatepost.yaml here, then /etc/gatepost/gatepost.yaml."`

	Serve      serveCmd      `cmd:"" help:"Run the gateway. SIGHUP reads everything again, SIGTERM drains, SIGUSR2 restarts without refusing a connection."`
	Check      checkCmd      `cmd:"" help:"Load everything as serve would and run the policy's tests; print every problem."`
	Scan       scanCmd       `cmd:"" help:"Judge messages from files, with the same filters and policy as serve."`
	Explain    explainCmd    `cmd:"" help:"Say why a message was treated as it was."`
	Trace      traceCmd      `cmd:"" help:"Find everything that happened to an id, Message-ID, address or IP."`
	Audit      auditCmd      `cmd:"" help:"See what people did, and that nobody altered the book of it."`
	Replay     replayCmd     `cmd:"" help:"Judge the recorded facts again under a draft policy and show what would differ."`
	Test       testCmd       `cmd:"" help:"Run the policy's tests and print which rules no test reaches."`
	Reload     reloadCmd     `cmd:"" help:"Check everything, then let the running gateway take it over."`
	Diff       diffCmd       `cmd:"" help:"Show how a draft differs from the policy in force."`
	Rollback   rollbackCmd   `cmd:"" help:"Put an earlier policy back; the last ten are kept."`
	Quarantine quarantineCmd `cmd:"" help:"Review held messages."`
	People     peopleCmd     `cmd:"" help:"See who was learnt from mail, and forget."`
	Hold       holdCmd       `cmd:"" help:"Look after accepted mail that waits for its next hop."`
	Doctor     doctorCmd     `cmd:"" help:"Probe everything that mail depends on: what is wrong, what it does to mail, what to do."`
	Lists      listsCmd      `cmd:"" help:"Show the allow and deny entries with what they decided, and try new ones on the past."`
	DNSBL      dnsblCmd      `cmd:"" name:"dnsbl" help:"Show and check the DNS block lists."`
	Train      trainCmd      `cmd:"" help:"Teach the gateway which mail is spam and which is wanted."`
	Eval       evalCmd       `cmd:"" help:"Judge mail that is known to be ham or spam, and show what is right, what is wrong, and why."`
	Greylist   greylistCmd   `cmd:"" help:"Look after senders of doubtful mail that were asked to come again."`
	TLS        tlsCmd        `cmd:"" name:"tls" help:"Look at how incoming mail is protected."`
	User       userCmd       `cmd:"" help:"Manage the accounts of the review pages."`
	Init       initCmd       `cmd:"" help:"Write a commented gatepost.yaml and policy.yaml."`
	Demo       demoCmd       `cmd:"" help:"Show the whole product on loopback, with nothing set up."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	Help       helpCmd       `cmd:"" help:"Print this help."`
}

// An app is what every command is given: where to write, and until when.
type app struct {
	ctx    context.Context
	out    io.Writer
	errs   io.Writer
	config string // the -c flag
	parser *kong.Kong

	complainTo func([]conf.Problem) error // in place of errs, for a command that prints problems as JSON
	atEnd      []func()                   // what is told when the command is over
}

// An exit ends the program with a code, its message already printed.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// interrupted is the exit code of a command that Ctrl-C or SIGTERM ended, as shells have it.
const interrupted = 130

// misused says how a command is used; the exit that follows is that of a wrong command line.
func (a *app) misused(command, how string) error {
	fmt.Fprintf(a.errs, "gatepost: %s\nTry: %s\n", how, strings.TrimSpace("gatepost help "+command))
	return exit(2)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run parses args and runs the command; it returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) (code int) {
	var c cli
	parser, err := kong.New(&c, kong.Name("gatepost"), kong.Description("A mail gateway that explains itself."),
		kong.Writers(out, errs), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.UsageOnError(),
		kong.KindMapper(reflect.String, kong.MapperFunc(verbatim)), kong.Help(printHelp),
		kong.Exit(func(n int) { panic(exit(n)) }))
	if err != nil {
		fmt.Fprintln(errs, "gatepost:", err)
		return 2
	}
	defer func() { // --help ends through kong.Exit
		p := recover()
		if e, ok := p.(exit); ok {
			code = int(e)
		} else if p != nil {
			panic(p)
		}
	}()
	if len(args) == 1 && args[0] == "--version" {
		args = []string{"version"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		return misunderstood(errs, err)
	}
	a := &app{ctx: ctx, out: out, errs: errs, config: c.Config, parser: parser}
	err = k.Run(a)
	for _, tell := range a.atEnd {
		tell()
	}
	var e exit
	switch {
	case errors.As(err, &e):
		return int(e)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(errs, "gatepost: interrupted; what was printed is not all")
		return interrupted
	case err != nil:
		fmt.Fprintln(errs, "gatepost:", err)
		if errors.Is(err, fs.ErrPermission) {
			notAllowed(errs)
		}
		return 1
	}
	return 0
}

// misunderstood says what of a command line makes no sense, and which help is about it.
func misunderstood(errs io.Writer, err error) int {
	words, command, named := err.Error(), "", []string(nil)
	var p *kong.ParseError
	if errors.As(err, &p) {
		for _, step := range p.Context.Path {
			if step.Command != nil {
				command, named = step.Command.Path(), namesOf(step.Command)
			}
		}
	}
	missing, needs := strings.CutPrefix(words, `expected "<`)
	argument, unknown := strings.CutPrefix(words, "unexpected argument ")
	flag, valueless := strings.CutSuffix(words, `: expected string value but got "EOL" (<EOL>)`)
	switch oneOf := strings.HasPrefix(words, "expected one of"); {
	case oneOf && command == "":
		words = "name a command"
	case oneOf:
		words = command + " does one of " + strings.Join(named, ", ") + ": name it"
	case unknown && command == "":
		words = "there is no command " + argument
	case valueless:
		words = flag + " needs a value"
	case needs:
		words = command + " needs <" + strings.TrimSuffix(missing, `"`)
	}
	fmt.Fprintf(errs, "gatepost: %s\nTry: %s\n", words, strings.TrimSpace("gatepost help "+command))
	return 2
}

// namesOf are the commands of a group that help names.
func namesOf(group *kong.Node) (names []string) {
	for _, n := range group.Children {
		if !n.Hidden {
			names = append(names, n.Name)
		}
	}
	return names
}

// notAllowed says who may, to somebody who is not root.
func notAllowed(errs io.Writer) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(errs, "What the gateway has is for the gateway's user alone: run the command as that user, or as root.")
	}
}

// verbatim gives a string of the command line to its field as it is: kong's own way goes through JSON, which replaces what
// is not UTF-8, and a file may well have such a name.
func verbatim(ctx *kong.DecodeContext, target reflect.Value) error {
	t, err := ctx.Scan.PopValue("string")
	if err != nil {
		return err
	}
	target.SetString(t.String())
	return nil
}

// printHelp explains the command that was named. A hidden one was not named but stands for its group, which is explained
// in its place.
func printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	if c := ctx.Selected(); c != nil && c.Hidden {
		shown := *ctx
		shown.Path = ctx.Path[:len(ctx.Path)-1]
		ctx = &shown
	}
	return kong.DefaultHelpPrinter(o, ctx)
}

// versionCmd is `gatepost version`.
type versionCmd struct{}

// Run prints the version.
func (*versionCmd) Run(a *app) error {
	_, err := fmt.Fprintln(a.out, "gatepost", version)
	return err
}

// helpCmd is `gatepost help`.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"A command to explain."`
}

// Run prints the help of the whole program or of one command.
func (h *helpCmd) Run(a *app) error {
	k, err := kong.Trace(a.parser, h.Command)
	if err != nil {
		return err
	}
	if k.Error != nil {
		return a.misused("", k.Error.Error())
	}
	return k.PrintUsage(false)
}
