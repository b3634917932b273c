package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
)

type keyListCmd struct {
	All  bool `help:"List removed keys as well."`
	JSON bool `help:"Print JSON; due_seconds is the time until the next status of a pending or retiring key, problem the reason why a key cannot be used."`
}

// Help is the end of `pico-auth key list --help`.
func (keyListCmd) Help() string {
	return `A key is pending (published, not yet signing), then active (it signs), then retiring (its last tokens may still be good), then removed.
Of each algorithm one key is active; the first one signs the tokens of the API. The time until the next step passes while a server runs.

Examples:

    pico-auth key list
    pico-auth key list --json | jq -r '.keys[] | select(.status == "active").kid'`
}

// Run lists the keys.
func (c keyListCmd) Run(sh *shell) error {
	return sh.keyReader(func(ctx context.Context, admin *keyring.Admin) error {
		all, err := admin.Keys(ctx)
		if err != nil {
			return err
		}
		var keys []keyring.KeyInfo
		for _, k := range all {
			if c.All || k.Status != store.KeyRemoved {
				keys = append(keys, k)
			}
		}
		if c.JSON {
			return sh.json(keysJSON(keys))
		}
		rows := [][]string{{"KID", "STATUS", "ALGORITHM", "CREATED", "ACTIVE SINCE", "NEXT STEP"}}
		for _, k := range keys {
			rows = append(rows, []string{k.KID, k.Status.String(), string(k.Algorithm), moment(k.CreatedAt), moment(k.ActivatedAt), nextStep(k)})
		}
		if err := sh.table(rows); err != nil {
			return err
		}
		if text := server.Transition(all, admin.Default(), time.Now()); text != "" {
			return sh.say("%s\n", text)
		}
		return nil
	})
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

func nextStep(k keyring.KeyInfo) string {
	step := "-"
	switch k.Status {
	case store.KeyPending:
		switch {
		case k.Problem == "":
			step = "signs in " + span(k.Due)
		case k.Due > 0:
			step = "signs in " + span(k.Due) + "; unavailable here: " + k.Problem
		default: // another replica may activate it
			step = "due; unavailable here: " + k.Problem
		}
	case store.KeyRetiring:
		step = "removed in " + span(k.Due)
		if k.Problem != "" {
			step = "not used: " + k.Problem
		}
	case store.KeyActive:
		if k.Problem != "" {
			step = "unavailable here: " + k.Problem
		}
	case store.KeyRemoved:
	}
	if k.PQCOnly {
		step += " (in jwks-pqc.json only)"
	}
	return step
}

// from formats the time at which a pending key signs.
func from(k keyring.KeyInfo) string {
	now := time.Now()
	return "from " + server.Clock(now.Add(k.Due), now) + ", in " + span(k.Due)
}

// span formats a time to wait.
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
	return sh.keyReader(func(ctx context.Context, admin *keyring.Admin) error {
		k, err := admin.Key(ctx, kid)
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
			{"status", k.Status.String()},
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
		"kid": k.KID, "algorithm": string(k.Algorithm), "thumbprint": k.Thumbprint, "status": k.Status.String(), "file": k.File,
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
	if k.Status == store.KeyPending || k.Status == store.KeyRetiring {
		m["due_seconds"] = int(k.Due.Seconds())
	}
	return m
}

// describe names a key in a sentence.
func describe(k keyring.KeyInfo) string { return fmt.Sprintf("%s (%s)", printable(k.KID), k.Algorithm) }
