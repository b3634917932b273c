package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// runner is a command.
type runner interface{ Run(sh *shell) error }

// parse reads one command line into line and returns the command that it names,
// or nil when it asks for help, which parse prints.
//
// It does what kong's Parse does, but for the hooks and the dispatch by method
// name, which we do not use: a program that can reach them calls methods by
// name, so the linker must keep every method of everything, 2 MB of them.
func parse(line *cli, args []string, sh *shell) (runner, error) {
	if len(args) == 0 || slices.Equal(args, []string{"serve"}) {
		return serveCmd{}, nil // as every supervisor starts it: kong's model of all commands is a tenth of a start
	}
	parser, err := kong.New(line, options(sh)...)
	if err != nil {
		return nil, err
	}
	command, err := kong.Trace(parser, args)
	if err = errors.Join(err, command.Error); err != nil {
		return nil, misused(err)
	}
	if asksHelp(command) {
		return nil, command.PrintUsage(false)
	}
	if err := command.Reset(); err != nil {
		return nil, misused(err)
	}
	if _, err := command.Apply(); err != nil {
		return nil, misused(err)
	}
	if err := check(command); err != nil {
		return nil, misused(err)
	}
	return command.Selected().Target.Interface().(runner), nil
}

func options(sh *shell) []kong.Option {
	return []kong.Option{
		kong.Name("pico-auth"),
		kong.Description("Authentication server: accounts, groups, and signed tokens that any JOSE library verifies."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(sh.out, sh.err),
	}
}

// misused is what is wrong with a command line, without the words of it that may
// be a password: people type one where no argument belongs, and standard error
// is kept in logs.
func misused(err error) error {
	text := err.Error()
	if word, unexpected := strings.CutPrefix(text, "unexpected argument "); unexpected {
		_, hint, _ := strings.Cut(word, ", did you mean ")
		if text = "there is an argument too many"; hint != "" {
			text += ", or did you mean " + hint
		}
	}
	text, _, _ = strings.Cut(text, " but got ")
	return usage("%s; see pico-auth --help", text)
}

func asksHelp(command *kong.Context) bool {
	return slices.ContainsFunc(command.Path, func(p *kong.Path) bool {
		return p.Flag != nil && p.Flag == command.Model.HelpFlag
	})
}

// check is kong's Validate as far as the tags in this program go: required,
// enum and xor. The tests hold its sentences against kong's.
func check(command *kong.Context) error {
	for _, p := range command.Path {
		switch {
		case p.Flag != nil:
			if err := checkChoice(p.Flag.Value); err != nil {
				return err
			}
		case p.Positional != nil:
			if err := checkChoice(p.Positional); err != nil {
				return err
			}
		}
		if err := checkFlags(p.Flags); err != nil {
			return err
		}
	}
	if err := checkNames(command.Selected()); err != nil {
		return err
	}
	for _, p := range command.Path {
		if err := checkTogether(p.Flags); err != nil {
			return err
		}
	}
	return nil
}

func checkChoice(v *kong.Value) error {
	target := reflect.Indirect(v.Target)
	if v.Enum == "" || slices.Contains(v.EnumSlice(), target.String()) {
		return nil
	}
	var choices []string
	for _, choice := range v.EnumSlice() {
		choices = append(choices, strconv.Quote(choice))
	}
	return fmt.Errorf("%s must be one of %s", v.ShortSummary(), strings.Join(choices, ","))
}

func checkFlags(flags []*kong.Flag) error {
	var missing []string
	for _, f := range flags {
		if f.Required && !f.Set {
			missing = append(missing, f.Summary())
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("missing flags: %s", strings.Join(missing, ", "))
}

// checkNames finds what is missing behind the command's name: arguments, or the
// rest of the name. It lists at most five.
func checkNames(command *kong.Node) error {
	var arguments, missing []string
	for _, v := range command.Positional {
		if v.Required && !v.Set {
			arguments = append(arguments, v.Summary())
		}
	}
	if arguments != nil {
		missing = append(missing, strconv.Quote(strings.Join(arguments, " ")))
	}
	for _, child := range command.Children {
		missing = append(missing, strconv.Quote(child.Name))
	}
	const most = 5
	if len(missing) > most {
		missing = append(missing[:most], "...")
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("expected %s", missing[0])
	default:
		return fmt.Errorf("expected one of %s", strings.Join(missing, ", "))
	}
}

func checkTogether(flags []*kong.Flag) error {
	first := map[string]*kong.Flag{}
	for _, f := range flags {
		for _, group := range f.Xor {
			if f.Set && first[group] != nil {
				return fmt.Errorf("--%s and --%s can't be used together", first[group].Name, f.Name)
			}
			if f.Set {
				first[group] = f
			}
		}
	}
	return nil
}
