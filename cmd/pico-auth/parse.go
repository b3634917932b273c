package main

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// newParser returns the parser that reads a command line into line.
func newParser(line *cli, sh *shell, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(line, append([]kong.Option{
		kong.Name("pico-auth"),
		kong.Description("Authentication server: accounts, groups, and signed tokens that any JOSE library verifies."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(sh.out, sh.err),
	}, more...)...)
}

// Parts of a command line that an error may repeat. A password matches neither.
var (
	nearCommand = regexp.MustCompile(`^unexpected argument ([A-Za-z-]+), (did you mean .+\?)$`)
	missing     = regexp.MustCompile(`^expected "(<[a-z-]+>(?: <[a-z-]+>)*)"$`)
	noValue     = regexp.MustCompile(`^(--[a-z-]+): expected [a-z]+ value$`)
	noDuration  = regexp.MustCompile(`^(--[a-z-]+): expected duration$`)
	noNumber    = regexp.MustCompile(`^(--[a-z-]+): expected a valid \d+ bit u?int$`)
	plainFlag   = regexp.MustCompile(`^unknown flag -(-[a-z-]+|[^-])(, did you mean .+\?)?$`)
)

// misused returns the usage error for a command line that kong refuses. It does
// not repeat an argument that may be a password: users type one where no
// argument belongs, and standard error is kept in logs.
func misused(err error) error {
	text := err.Error()
	parse, ok := errors.AsType[*kong.ParseError](err)
	if ok && parse.ExitCode() == exitFailed {
		return err // the command line is valid; writing its help failed
	}
	node := selected(parse)
	switch {
	case node != nil && strings.HasPrefix(text, "unexpected argument "):
		text = unexpected(node, parse.Context.Args, text)
	case node != nil && strings.HasPrefix(text, "expected one of "): // kong leaves all but five out
		text = "a command is missing, one of " + strings.Join(subcommands(node), ", ")
	case strings.HasPrefix(text, "unexpected flag argument "):
		text = "a flag without a value was given one"
	case strings.HasPrefix(text, "unknown flag ") && !plainFlag.MatchString(text):
		text = "unknown flag"
	case node != nil && missing.MatchString(text):
		names := missing.FindStringSubmatch(text)[1]
		verb := " is"
		if strings.Contains(names, " ") {
			verb = " are"
		}
		text = names + verb + " missing; usage: pico-auth " + node.Summary()
	}
	text, _, _ = strings.Cut(text, " but got ")
	text = strings.TrimSuffix(strings.Replace(text, `"",`, "", 1), `,""`) // the value of a flag that is not given
	text = strings.ReplaceAll(text, `","`, `", "`)
	text = noValue.ReplaceAllString(text, "$1 needs a value")
	text = noDuration.ReplaceAllString(text, "$1 must be a duration, such as 3s or 500ms")
	text = noNumber.ReplaceAllString(text, "$1 must be a whole number")
	help := "pico-auth --help"
	if node != nil && node.Path() != "" {
		help = "pico-auth " + node.Path() + " --help"
	}
	return usage("%s; see %s", text, help)
}

// selected is the command that a refused command line names, the program where it
// names none.
func selected(parse *kong.ParseError) *kong.Node {
	if parse == nil || parse.Context == nil {
		return nil
	}
	return cmp.Or(parse.Context.Selected(), parse.Context.Model.Node)
}

func subcommands(node *kong.Node) (names []string) {
	for _, child := range node.Children {
		names = append(names, child.Name)
	}
	return names
}

// unexpected says what is wrong with an argument that kong does not expect.
func unexpected(node *kong.Node, args []string, text string) string {
	if len(node.Children) == 0 {
		return "too many arguments; usage: pico-auth " + node.Summary()
	}
	near := nearCommand.FindStringSubmatch(text)
	if len(near) == 0 || !slices.Contains(args, near[1]) {
		return "unknown command"
	}
	return "unknown command \"" + near[1] + "\", " + near[2]
}
