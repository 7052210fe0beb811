// Command gatepost is a security-focused mail gateway: it stands in front of a mail server, judges what comes in, forwards
// what is clean and keeps the rest for people to review.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set when the binary is linked.
var version = "unknown"

// cli is the command line: global flags and one field per command.
type cli struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration. Default: gatepost.yaml here, then /etc/gatepost/gatepost.yaml."`

	Serve      serveCmd      `cmd:"" help:"Run the gateway. SIGHUP reloads the policy, SIGTERM drains."`
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
}

// An exit ends the program with a code, its message already printed.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

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
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(errs, "gatepost: %v\nTry: gatepost help\n", err)
		return 2
	}
	err = k.Run(&app{ctx: ctx, out: out, errs: errs, config: c.Config, parser: parser})
	var e exit
	switch {
	case errors.As(err, &e):
		return int(e)
	case err != nil:
		fmt.Fprintln(errs, "gatepost:", err)
		return 1
	}
	return 0
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
		return k.Error
	}
	return k.PrintUsage(false)
}
