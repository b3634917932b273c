package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completeWord is what a shell calls the program with, before the words of the command
// line up to the one to complete.
const completeWord = "__complete"

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"One of ${enum}."`
}

// Help is the end of `pico-auth completion --help`.
func (completionCmd) Help() string {
	return `Examples:

    source <(pico-auth completion bash)                                      # in ~/.bashrc
    pico-auth completion zsh > "${fpath[1]}/_pico-auth"                      # or: source <(pico-auth completion zsh), after compinit
    pico-auth completion fish > ~/.config/fish/completions/pico-auth.fish`
}

// completions are the scripts, by shell. Each asks the program for the candidates, a name
// and its description a line, so that they are those of the installed version.
var completions = map[string]string{
	"bash": `_pico_auth() {
	local IFS=$'\n'
	COMPREPLY=($("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o bashdefault -o default -F _pico_auth pico-auth
`,
	"zsh": `#compdef pico-auth
_pico_auth() {
	local -a found
	local line
	for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		[[ -n "$line" ]] && found+=("${${line//:/\\:}/$'\t'/:}")
	done
	if (( ${#found} )); then
		_describe pico-auth found
	else
		_files
	fi
}
if [[ "${funcstack[1]}" = _pico-auth ]]; then
	_pico_auth "$@"
else
	compdef _pico_auth pico-auth
fi
`,
	"fish": `function __pico_auth_complete
	set -l words (commandline -opc) (commandline -ct)
	set -l found ($words[1] __complete $words[2..-1] 2>/dev/null)
	if test (count $found) -gt 0
		printf '%s\n' $found
	else
		__fish_complete_path (commandline -ct)
	end;
end
complete -c pico-auth -f -a '(__pico_auth_complete)'
`,
}

// Run prints the script of a shell.
func (c completionCmd) Run(sh *shell) error { return sh.say("%s", completions[c.Shell]) }

// complete prints what the last word may be; nothing where it is a file or a value.
func (sh *shell) complete(node *kong.Node, words []string) int {
	if len(words) == 0 {
		return 0
	}
	var value *kong.Flag // that the next word belongs to
	for _, word := range words[:len(words)-1] {
		switch flag := flagOf(node, word); {
		case value != nil && word == "=": // bash splits --flag=value into three words
		case value != nil:
			value = nil
		case flag != nil && !flag.IsBool():
			value = flag
		case !strings.HasPrefix(word, "-"):
			if i := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word }); i >= 0 {
				node = node.Children[i]
			}
		}
	}
	last := words[len(words)-1]
	if value != nil && last == "=" {
		last = ""
	}
	var lines strings.Builder
	for _, candidate := range candidates(node, value, last) {
		lines.WriteString(candidate + "\n")
	}
	if sh.say("%s", lines.String()) != nil {
		return exitFailed
	}
	return 0
}

// candidates are names with their descriptions, after a tab, that begin with the word.
func candidates(node *kong.Node, value *kong.Flag, word string) (found []string) {
	add := func(name, help string) {
		if strings.HasPrefix(name, word) {
			help, _, _ = strings.Cut(help, "\n")
			found = append(found, strings.TrimSuffix(name+"\t"+help, "\t"))
		}
	}
	flag, _, assigned := strings.Cut(word, "=")
	switch of := flagOf(node, flag); {
	case value != nil:
		addEnum(value.Value, add)
	case assigned && of != nil:
		addEnum(of.Value, func(name, help string) { add(flag+"="+name, help) })
	case strings.HasPrefix(word, "-"):
		for _, group := range node.AllFlags(true) {
			for _, flag := range group {
				add("--"+flag.Name, flag.Help)
			}
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				add(child.Name, child.Help)
			}
		}
		for _, argument := range node.Positional {
			addEnum(argument, add)
		}
	}
	return found
}

func addEnum(value *kong.Value, add func(name, help string)) {
	for name := range strings.SplitSeq(value.Enum, ",") {
		if name != "" {
			add(name, "")
		}
	}
}

// flagOf is the flag that the word is, unless it has its value after a =.
func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}
