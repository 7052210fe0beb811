package smtp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// moduleRoot walks up to go.mod.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
}

// The reply dictionary is closed: no other source of the project spells a reply.
func TestRepliesAreSpelledInTheDictionaryAlone(t *testing.T) {
	spelled := regexp.MustCompile(`^["` + "`" + `][2-5][0-9][0-9] `)
	err := filepath.WalkDir(moduleRoot(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 1 {
			return fs.SkipDir
		}
		name := d.Name()
		if d.IsDir() && name == "test" {
			return fs.SkipDir // peers that tests put on the other side of the wire speak for themselves
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "dictionary.go" {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil // not ours to judge
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && spelled.MatchString(lit.Value) {
				t.Errorf("%s: reply literal %s", fset.Position(lit.Pos()), lit.Value)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dictionary is every reply that takes no words of others.
var dictionary = []*Reply{
	ReplyBanner("mx.example.com"), ReplyStartTLS(), ReplyBye(), ReplyOK(), ReplySender(), ReplyRecipient(), ReplyRecipientTLSSoon(), ReplyAccepted("ID"),
	ReplyVerify(), ReplyStart(), ReplyShutdown(), ReplyOverload(), ReplyTimeout(), ReplyCut(), ReplyTooManyErrors(),
	ReplyTooManyConnections(), ReplyTooManyMessages(), ReplyBroken(), ReplyRate(), ReplyGreylist(300), ReplyTLSNeededSoon(),
	ReplyUnverifiable(), ReplySenderDomainUnknown(), ReplyLocalError(), ReplyBusy(), ReplyMisconfigured(), ReplyNextHopDown(),
	ReplyDNS(), ReplyTooLate(), ReplyScannerDown(), ReplySPFError(), ReplyReverseDNSError(), ReplyStorage(),
	ReplyTooManyRecipients(), ReplyOtherRoute(), ReplyTLSUnavailable(), replyHandshake("x"), ReplyUnknownCommand(),
	ReplyLineTooLong(), ReplyCommandEnd(), ReplyNotSMTP(), ReplyAuthTooLong(), ReplyBadRecipient(), ReplyBadSender(),
	ReplyBadCharacter(), ReplyBadArgument("x"), ReplyBadHello(), ReplyAuthCancelled(), ReplyNotImplemented(), ReplySequence("x"),
	ReplyNotOffered(), ReplyDeniedHost(), ReplyTLSRequired(), ReplyBadCredentials(), ReplyAuthNeedsTLS(), ReplyUnknownRecipient(),
	ReplyNoSenderDomain(), ReplyLineEnds(), ReplyNUL(), ReplyHeaderTooLarge(), ReplyTextLine(), ReplyStructure("ID"),
	ReplyMedia("ID"), ReplyRelayDenied(), ReplyPolicy("ID"), ReplySpam("ID"), ReplySelfHello(), ReplyTLSNeeded(), ReplyDKIMNone(),
	ReplyDKIMUnacceptable(), ReplyDKIMAuthor(), ReplySPFFail(), ReplyReverseDNS(), ReplyDMARC(), ReplySenderNullMX(),
	ReplyRequireTLS(), ReplyTooLarge(), ReplyNeedsUTF8(), ReplyLoop(), ReplyEarly(), ReplySync(), ReplyNoRecipients(),
	ReplyMalware("ID"), ReplyDenied("ID"), ReplyListed("https://list.example/x"), ReplyBadParameter(), ReplyNullMX(),
}

// RFC 2034: the enhanced code is of the code's class. Texts are one line of ASCII of at most 200 octets.
func TestDictionaryIsLawful(t *testing.T) {
	for _, r := range dictionary {
		line := string(appendReply(nil, r))
		bare := r.Code == 354 || r.Code == 220 && r.Enhanced == ""
		if bare != (r.Enhanced == "") || r.Enhanced != "" && lawfulEnhanced(r.Code, r.Enhanced) != r.Enhanced {
			t.Errorf("%s: enhanced code", line)
		}
		if r.Text == "" || len(r.Text) > 200 || Sanitize(r.Text) != r.Text {
			t.Errorf("%s: text", line)
		}
		if closes := r.Code == 421 || r.Code == 521 || r.Code == 221; closes && !r.Close {
			t.Errorf("%s: does not close", line)
		}
	}
	seen := strings.Count(string(source(t, "dictionary.go")), "\nfunc Reply") + strings.Count(string(source(t, "dictionary.go")), "\nfunc reply")
	if seen-1 != len(dictionary) { // reply itself makes them
		t.Errorf("%d replies tested, %d in the dictionary", len(dictionary), seen-1)
	}
}

// source reads a file of this package.
func source(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCustomRepliesAreMadeLawful(t *testing.T) {
	for _, c := range []struct {
		code     int
		enhanced string
		text     string
		want     string
	}{
		{550, "5.1.1", "no such user", "550 5.1.1 no such user\r\n"},
		{550, "4.1.1", "x", "550 5.0.0 x\r\n"},
		{450, "", "x", "450 4.0.0 x\r\n"},
		{550, "5.1", "x", "550 5.0.0 x\r\n"},
		{550, "5.1.1.1", "x", "550 5.0.0 x\r\n"},
		{550, "5.01.1", "x", "550 5.0.0 x\r\n"},
		{550, "5.1.1000", "x", "550 5.0.0 x\r\n"},
		{550, "5..1", "x", "550 5.0.0 x\r\n"},
		{550, "55.1.1", "x", "550 5.0.0 x\r\n"},
		{550, "5.1.1 x\r\n250", "x", "550 5.0.0 x\r\n"},
		{550, "5.7.1", "a\r\n250 2.0.0 ok\x00\x7fü", "550 5.7.1 a??250 2.0.0 ok???\r\n"},
		{250, "2.0.0", "", "250 2.0.0 \r\n"},
		{354, "3.0.0", "x", "354 x\r\n"},
		{0, "", "x", "451 4.0.0 x\r\n"},
		{199, "", "x", "451 4.0.0 x\r\n"},
		{600, "5.0.0", "x", "451 4.0.0 x\r\n"},
		{999, "", "x", "451 4.0.0 x\r\n"},
		{571, "5.7.1", "x", "451 4.0.0 x\r\n"},
		{-550, "", "x", "451 4.0.0 x\r\n"},
	} {
		r := Custom(c.code, c.enhanced, c.text)
		if got := string(appendReply(nil, r)); got != c.want {
			t.Errorf("Custom(%d, %q, %q): %q, want %q", c.code, c.enhanced, c.text, got, c.want)
		}
	}
	if r := Custom(550, "5.7.1", strings.Repeat("ü", 5000)); len(appendReply(nil, r)) > 512 {
		t.Errorf("%d octets", len(appendReply(nil, r)))
	}
	if !Custom(421, "", "x").Close || !Custom(521, "", "x").Close || Custom(550, "", "x").Close {
		t.Error("Close")
	}
	// A Reply put together by hand is no worse on the wire.
	if got := string(appendReply(nil, &Reply{Code: 550, Enhanced: "2.0.0", Text: "a\r\n250 b"})); got != "550 5.0.0 a??250 b\r\n" {
		t.Errorf("by hand: %q", got)
	}
}
