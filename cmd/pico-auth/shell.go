package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// maxLine bounds what is read from standard input: a token is at most 16 KiB.
const maxLine = 64 << 10

// shell is the environment of a command.
type shell struct {
	in   io.Reader
	out  io.Writer
	err  io.Writer
	file string // of the configuration; empty: the default
}

// usageError is a fault of the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// fail prints an error and returns its exit code.
func (sh *shell) fail(err error) int {
	if faults, ok := errors.AsType[config.Faults](err); ok {
		for _, f := range faults {
			sh.tell("pico-auth: " + printable(f.String()) + "\n")
		}
		return exitUsage
	}
	for line := range strings.Lines(sentence(err)) {
		sh.tell("pico-auth: " + printable(strings.TrimSpace(line)) + "\n")
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// sentence is the text of an error for a terminal. What packages wrap around a
// fault is for the log.
func sentence(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Internal {
		return err.Error()
	}
	if f.Kind == fault.Unavailable {
		return f.Error() // the operator wants the cause
	}
	if len(f.Fields) <= 1 {
		return f.Message
	}
	var lines []string
	if f.Kind != fault.Invalid { // whose message has the others
		lines = append(lines, f.Message)
	}
	for _, field := range f.Fields {
		lines = append(lines, field.Message)
	}
	return strings.Join(lines, "\n")
}

// config loads the configuration. Only serve and config check show its
// warnings; the other commands would repeat them each time. Its faults are reported
// together with those of the clients.
func (sh *shell) config() (config.Config, []string, error) {
	cfg, warnings, err := config.Load(config.Options{File: sh.file})
	if faults, ok := errors.AsType[config.Faults](err); ok {
		if more, ok := errors.AsType[config.Faults](server.CheckClients(cfg)); ok {
			err = slices.Concat(faults, more)
		}
	}
	return cfg, warnings, err
}

// with runs do on the database and keys that the server uses, and creates them
// if they do not exist.
func (sh *shell) with(do func(context.Context, *server.Services) error) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	return sh.open(cfg, do)
}

// withExisting is with for commands that need an existing database: in the
// wrong folder they fail instead of creating an empty one.
func (sh *shell) withExisting(do func(context.Context, *server.Services) error) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	if err := mustExist(cfg); err != nil {
		return err
	}
	return sh.open(cfg, do)
}

// reading runs do, which only reads, on an existing database. It works on a read-only
// file system, beside a full disk and without the keys.
func (sh *shell) reading(do func(context.Context, *server.Services) error) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	if err := mustExist(cfg); err != nil {
		return err
	}
	ctx := context.Background()
	services, err := server.OpenReading(ctx, cfg, sh.log())
	if err != nil {
		return misconfigured(err)
	}
	sh.tell(adoption(services.Store))
	return errors.Join(do(ctx, services), services.Close())
}

func (sh *shell) open(cfg config.Config, do func(context.Context, *server.Services) error) error {
	ctx := context.Background()
	services, err := server.OpenServices(ctx, cfg, sh.log())
	if err != nil {
		return misconfigured(err)
	}
	sh.tell(adoption(services.Store))
	return errors.Join(do(ctx, services), services.Close())
}

// adoption describes the adoption of a Python database, if there was one. The
// first command adopts it, so every command reports the backup.
func adoption(db *store.Store) string {
	done := db.Adopted()
	if done == nil {
		return ""
	}
	text := fmt.Sprintf("adopted the database of the Python server; %d dangling memberships were dropped\n", done.Dropped)
	if done.Backup != "" {
		text += fmt.Sprintf("the previous database is kept as %s\n", printable(done.Backup))
	}
	return text
}

func mustExist(cfg config.Config) error {
	url := server.StoreConfig(cfg, nil)
	there, err := store.Exists(url)
	if err != nil {
		return misconfigured(err)
	}
	if there {
		return nil
	}
	target, err := url.Target()
	if err != nil {
		return misconfigured(err)
	}
	return fmt.Errorf("database.url: no database at %s, which %s (from %s) names; run the command in the working folder of the server and with its configuration",
		printable(target.Path), cfg.Database.Redacted(), cfg.Origins()["database.url"])
}

// misconfigured marks a damaged key or database, or one of another
// installation, as a fault of the configuration: a retry cannot help.
func misconfigured(err error) error {
	if err != nil && (fault.KindOf(err) == fault.Invalid || errors.Is(err, engine.ErrDamaged)) {
		return usageError{err}
	}
	return err
}

// log is the log of a command: warnings only, as text.
func (sh *shell) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(sh.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// say prints to standard output. A full disk or a closed pipe is an error.
func (sh *shell) say(format string, args ...any) error {
	_, err := fmt.Fprintf(sh.out, format, args...)
	return err
}

// tell prints to standard error. An error of that cannot be reported.
func (sh *shell) tell(text string) { _, _ = io.WriteString(sh.err, text) }

// json prints v for a script.
func (sh *shell) json(v any) error {
	enc := json.NewEncoder(sh.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table prints rows in columns.
func (sh *shell) table(rows [][]string) error {
	w := tabwriter.NewWriter(sh.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// changed prints the state of what a command has changed, and each row that differs from
// before.
func (sh *shell) changed(state string, before, after [][]string) error {
	former := map[string]string{}
	for _, row := range before {
		former[row[0]] = row[1]
	}
	var text strings.Builder
	report := func(name, was, is string) {
		const long = 200
		switch {
		case was == is:
		case len(was) > long || len(is) > long:
			fmt.Fprintf(&text, "  %s: changed\n", printable(name))
		default:
			fmt.Fprintf(&text, "  %s: %s -> %s\n", printable(name), printable(cmp.Or(was, "none")), printable(cmp.Or(is, "none")))
		}
	}
	for _, row := range after {
		report(row[0], former[row[0]], row[1])
		delete(former, row[0])
	}
	for _, name := range slices.Sorted(maps.Keys(former)) {
		report(name, former[name], "")
	}
	if text.Len() == 0 {
		return sh.say("%s; nothing changed\n", state)
	}
	return sh.say("%s\n%s", state, text.String())
}

// printable removes control characters, so that text of users cannot control the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// password reads a password and its confirmation from a terminal, without echo,
// or else one line of standard input. It is never an argument: other users of
// the machine can see those.
func (sh *shell) password(prompt string) (string, error) {
	if f, ok := sh.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return sh.ask(f, prompt)
	}
	line, err := sh.line()
	if err != nil {
		return "", err
	}
	if line == "" {
		return "", usage("no password on standard input")
	}
	if stray := config.StrayCharacter(line); stray != "" {
		return "", usage("the password on standard input must not contain %s", stray)
	}
	return line, nil
}

func (sh *shell) ask(terminal *os.File, prompt string) (string, error) {
	var typed [2]string
	for i, text := range []string{prompt, "Repeat it"} {
		sh.tell(text + ": ")
		b, err := term.ReadPassword(int(terminal.Fd()))
		sh.tell("\n")
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = string(b)
	}
	if typed[0] == "" || typed[0] != typed[1] {
		return "", errors.New("the two passwords differ or are empty; nothing was changed")
	}
	return typed[0], nil
}

// line reads the first line of standard input, without its end.
func (sh *shell) line() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(sh.in, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}
