package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// fieldName is what may be the name of a field in a sentence.
var fieldName = regexp.MustCompile(`[a-z]+(?:[_.][a-z]+)+`)

// inFlags returns the refusal of a command with the names of flags and arguments instead of
// the fields of the API that they set. A flag sets the field of its own name, of that with
// an s or with _id, or the one that its tag `field` has.
func inFlags(node *kong.Node, err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind == fault.Internal {
		return err
	}
	named := *f
	named.Message = inSentence(node, f.Message)
	named.Fields = make([]fault.Field, len(f.Fields))
	for i, field := range f.Fields {
		// The sentence about a field begins with it, or does not name it.
		if rest, found := strings.CutPrefix(field.Message, field.Name+" "); found {
			field.Message = typedField(node, field.Name) + " " + inSentence(node, rest)
		} else {
			field.Message = inSentence(node, field.Message)
		}
		named.Fields[i] = field
	}
	if len(named.Fields) == 1 && f.Message == f.Fields[0].Message {
		named.Message = named.Fields[0].Message
	}
	if errors.As(err, new(usageError)) {
		return usageError{&named}
	}
	return &named
}

func inSentence(node *kong.Node, text string) string {
	return fieldName.ReplaceAllStringFunc(text, func(word string) string {
		if name := flagThatSets(node, word); name != "" {
			return name
		}
		return word
	})
}

// typedField is how the command line calls the field; of several ways, the one that was
// used.
func typedField(node *kong.Node, field string) string {
	set := flagOf(node, "--set")
	if set != nil && slices.ContainsFunc(set.Target.Interface().([]string), func(text string) bool { return strings.HasPrefix(text, field+"=") }) {
		return "--set " + field
	}
	if name := flagThatSets(node, field); name != "" {
		return name
	}
	if set != nil {
		return "--set " + field
	}
	return field
}

// flagThatSets is the flag, or the argument, that sets the field; empty: none does.
func flagThatSets(node *kong.Node, field string) string {
	sets := func(v *kong.Value) bool {
		name := strings.ReplaceAll(v.Name, "-", "_")
		return slices.Contains([]string{name, name + "s", name + "_id", v.Tag.Get("field")}, field)
	}
	for _, flag := range node.Flags {
		switch {
		case !sets(flag.Value):
		case flag.Tag.Negatable != "":
			return "--[no-]" + flag.Name
		default:
			return "--" + flag.Name
		}
	}
	for _, argument := range node.Positional {
		if sets(argument) {
			return argument.Summary()
		}
	}
	return ""
}
