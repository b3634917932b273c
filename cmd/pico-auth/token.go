package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
)

type tokenCmd struct {
	Inspect tokenInspectCmd `cmd:"" help:"Decode an access token and verify it with the keys on this machine."`
}

type tokenInspectCmd struct {
	Token string `arg:"" optional:"" default:"-" help:"The token; without it or with - it is read from standard input, where other users of the machine cannot see it."`
	JSON  bool   `help:"Print JSON."`
}

// Help is the end of `pico-auth token inspect --help`.
func (tokenInspectCmd) Help() string {
	return `The exit code is 1 if the token is not valid. One for another audience than auth.audience, such as a token of a client
for an API of its own, is printed and not valid here. The command does not check whether the session has ended.

Example:

    pico-auth token inspect - < access-token.txt`
}

// inspection is the result of inspecting a token.
type inspection struct {
	Valid  bool            `json:"valid"`
	Reason string          `json:"reason,omitempty"` // why it is not valid
	Header json.RawMessage `json:"header,omitempty"`
	Claims json.RawMessage `json:"claims,omitempty"`
}

// Run inspects one token.
func (c tokenInspectCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	token := c.Token
	if token == "-" {
		if token, err = sh.line(); err != nil {
			return err
		}
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return usage("no token on standard input")
	}
	found, err := sh.inspect(cfg, token)
	if err != nil {
		return err
	}
	if err := sh.inspection(found, c.JSON); err != nil {
		return err
	}
	if !found.Valid {
		return errors.New("the token is not valid: " + found.Reason)
	}
	return nil
}

func (sh *shell) inspect(cfg config.Config, token string) (inspection, error) {
	var found inspection
	header, claims, err := jose.Inspect(token)
	if err != nil {
		found.Reason = err.Error()
		return found, nil //nolint:nilerr // what is wrong with the token is the finding
	}
	if json.Valid(header) && json.Valid(claims) {
		found.Header, found.Claims = header, claims
	}
	published, err := sh.keys(cfg)
	if err != nil {
		return found, err
	}
	guard, err := picoauth.New(picoauth.Config{
		Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, Algorithms: cfg.AuthClient.AcceptedAlgorithms,
		Client: localkeys.Client(published.AllJWKS, nil),
	})
	if err != nil {
		return found, err
	}
	_, err = guard.Verify(context.Background(), token)
	if refused, ok := errors.AsType[*picoauth.Refusal](err); ok {
		found.Reason = refused.Detail
		return found, nil
	}
	found.Valid = err == nil
	return found, err
}

// inspection prints the result. Unless the token is valid, its claims are not
// trustworthy.
func (sh *shell) inspection(found inspection, asJSON bool) error {
	if asJSON {
		return sh.json(found)
	}
	var text string
	if found.Header != nil {
		text = "header " + indented(found.Header) + "\nclaims " + indented(found.Claims) + "\n"
	}
	if found.Valid {
		text += "valid: signature, issuer, audience and times are correct\n"
	}
	return sh.say("%s", text)
}

func indented(text json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return "" // impossible: the JSON is valid
	}
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
