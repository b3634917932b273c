package main

import (
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
	switch {
	case ok && strings.HasPrefix(text, "unexpected argument "):
		text = unexpected(parse.Context, text)
	case strings.HasPrefix(text, "unexpected flag argument "):
		text = "a flag without a value was given one"
	case strings.HasPrefix(text, "unknown flag ") && !plainFlag.MatchString(text):
		text = "unknown flag"
	}
	text, _, _ = strings.Cut(text, " but got ")
	return usage("%s; see pico-auth --help", text)
}

// unexpected says what is wrong with an argument that kong does not expect.
func unexpected(command *kong.Context, text string) string {
	node := command.Model.Node
	if selected := command.Selected(); selected != nil {
		node = selected
	}
	if len(node.Children) == 0 {
		return "too many arguments; usage: pico-auth " + node.Summary()
	}
	near := nearCommand.FindStringSubmatch(text)
	if len(near) == 0 || !slices.Contains(command.Args, near[1]) {
		return "unknown command"
	}
	return "unknown command \"" + near[1] + "\", " + near[2]
}
