package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/keyring"
)

type keyListCmd struct {
	All  bool `help:"Also those that are removed."`
	JSON bool `help:"Print JSON; due_seconds is what a next or retiring key has before it, problem why a private half is not to be had."`
}

// Help is the end of `pico-auth key list --help`.
func (keyListCmd) Help() string {
	return `A key is next (published, not yet signing), then active (it signs), then retiring (its last tokens may still be good), then removed.
The time until the next step passes while a server runs.

Examples:

    pico-auth key list
    pico-auth key list --json | jq -r '.keys[] | select(.status == "active").kid'`
}

// Run lists the keys.
func (c keyListCmd) Run(sh *shell) error {
	return sh.desk(func(ctx context.Context, desk *keyring.Desk) error {
		all, err := desk.Keys(ctx)
		if err != nil {
			return err
		}
		var keys []keyring.KeyInfo
		for _, k := range all {
			if c.All || k.Status != keyring.Removed {
				keys = append(keys, k)
			}
		}
		if c.JSON {
			return sh.json(keysJSON(keys))
		}
		rows := [][]string{{"KID", "STATUS", "ALGORITHM", "CREATED", "ACTIVE SINCE", "NEXT STEP"}}
		for _, k := range keys {
			rows = append(rows, []string{k.KID, string(k.Status), string(k.Algorithm), moment(k.CreatedAt), moment(k.ActivatedAt), nextStep(k)})
		}
		return sh.table(rows)
	})
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

func nextStep(k keyring.KeyInfo) string {
	switch k.Status {
	case keyring.Next:
		switch {
		case k.Problem == "":
			return "signs in " + span(k.Due)
		case k.Due > 0:
			return "signs in " + span(k.Due) + "; not from here: " + k.Problem
		}
		return "due; not from here: " + k.Problem // others may have it
	case keyring.Retiring:
		return "removed in " + span(k.Due)
	case keyring.Active:
		if k.Problem != "" {
			return "not to be had here: " + k.Problem
		}
	case keyring.Removed:
	}
	return "-"
}

// span is a time to wait, in words.
func span(d time.Duration) string {
	if d <= 0 {
		return "a moment"
	}
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%d days", d.Round(day)/day)
	}
	return d.Round(time.Second).String()
}

// showKey describes one key.
func (sh *shell) showKey(kid string, asJSON bool) error {
	return sh.desk(func(ctx context.Context, desk *keyring.Desk) error {
		k, err := desk.Key(ctx, kid)
		if err != nil {
			return err
		}
		if asJSON {
			return sh.json(keyJSON(k))
		}
		rows := [][]string{
			{"kid", k.KID},
			{"thumbprint", k.Thumbprint},
			{"algorithm", string(k.Algorithm)},
			{"status", string(k.Status)},
			{"created", moment(k.CreatedAt)},
			{"active since", moment(k.ActivatedAt)},
			{"retiring since", moment(k.RetiredAt)},
			{"removed", moment(k.RemovedAt)},
			{"next step", nextStep(k)},
			{"private half", place(k)},
		}
		return sh.table(rows)
	})
}

func keysJSON(keys []keyring.KeyInfo) any {
	all := []any{}
	for _, k := range keys {
		all = append(all, keyJSON(k))
	}
	return map[string]any{"keys": all}
}

func keyJSON(k keyring.KeyInfo) map[string]any {
	m := map[string]any{
		"kid": k.KID, "algorithm": string(k.Algorithm), "thumbprint": k.Thumbprint, "status": string(k.Status), "file": k.File,
	}
	for name, at := range map[string]time.Time{
		"created_at": k.CreatedAt, "activated_at": k.ActivatedAt, "retired_at": k.RetiredAt, "removed_at": k.RemovedAt,
	} {
		if !at.IsZero() {
			m[name] = at.UTC().Format(time.RFC3339)
		}
	}
	if k.Problem != "" {
		m["problem"] = k.Problem
	}
	if k.Status == keyring.Next || k.Status == keyring.Retiring {
		m["due_seconds"] = int(k.Due.Seconds())
	}
	return m
}

// describe is a key in a sentence.
func describe(k keyring.KeyInfo) string { return fmt.Sprintf("%s (%s)", printable(k.KID), k.Algorithm) }
