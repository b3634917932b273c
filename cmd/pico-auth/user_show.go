package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

// lastFailures is how many refused logins are shown.
const lastFailures = 5

type userShowCmd struct {
	userArg
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth user show --help`.
func (userShowCmd) Help() string {
	return `Shows what stands in the way of a sign-in: the status of the user and of the organization, failed attempts, and the last refused logins.

Example:

    pico-auth user show ada@example.com`
}

// Run shows a user.
func (c userShowCmd) Run(sh *shell) error {
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		id, err := c.find(ctx, services)
		if err != nil {
			return err
		}
		s, err := services.Directory.User(ctx, operator(), id)
		if err != nil {
			return err
		}
		guesses, err := services.Store.Guesses(ctx, store.ThrottleKey{Account: id})
		if err != nil {
			return err
		}
		refused, _, err := services.Audit.Search(ctx, operator(), audit.Filter{
			TargetID: id, Action: identity.ActionLogin, Outcome: store.OutcomeRefused, Limit: lastFailures,
		})
		if err != nil {
			return err
		}
		limited, _, err := services.Audit.Search(ctx, operator(), audit.Filter{
			TargetID: id, Action: identity.ActionThrottle, Outcome: store.OutcomeRefused, Limit: lastFailures,
		})
		if err != nil {
			return err
		}
		if c.JSON {
			return sh.json(standingJSON{
				userJSON: asUserJSON(s.User), Metadata: json.RawMessage(s.Metadata), Groups: groupNames(s.Groups), Sessions: s.Sessions,
				Refusals: refusals(s.User), FailedAttempts: guesses.All.Count, Failures: failures(refused), Limits: failures(limited),
			})
		}
		return sh.table(standingRows(s, guesses.All, failures(refused), failures(limited)))
	})
}

// standingJSON is what `user show --json` prints.
type standingJSON struct {
	userJSON
	Metadata       json.RawMessage `json:"metadata,omitempty"`
	Groups         []string        `json:"groups"`
	Sessions       int             `json:"sessions"`
	Refusals       []string        `json:"refusals"`
	FailedAttempts int64           `json:"failed_attempts"`
	Failures       []string        `json:"last_failures"`
	Limits         []string        `json:"last_limits"`
}

func standingRows(s store.Standing, guessed store.Failures, failures, limits []string) [][]string {
	last := "never"
	if !s.LastLoginAt.IsZero() {
		last = moment(s.LastLoginAt)
	}
	rows := [][]string{
		{"id", s.ID},
		{"e-mail", s.Email},
		{"e-mail verified", strconv.FormatBool(s.EmailVerified)},
		{"name", s.DisplayName},
		{"role", string(s.Role)},
		{"organization", s.OrgID + ", " + string(s.OrgStatus)},
		{"status", string(s.Status)},
		{"created", moment(s.CreatedAt)},
		{"last login", last},
		{"sessions", strconv.Itoa(s.Sessions)},
	}
	for _, name := range groupNames(s.Groups) {
		rows = append(rows, []string{"group", name})
	}
	if s.Metadata != "" {
		rows = append(rows, []string{"metadata", s.Metadata})
	}
	reasons := refusals(s.User)
	if len(reasons) == 0 {
		rows = append(rows, []string{"login", "allowed"})
	}
	for _, reason := range reasons {
		rows = append(rows, []string{"login", "refused: " + reason})
	}
	if guessed.Count > 0 {
		rows = append(rows, []string{"failed attempts", attempts(guessed, time.Now())})
	}
	for _, limit := range limits {
		rows = append(rows, []string{"login limited", limit})
	}
	for _, failure := range failures {
		rows = append(rows, []string{"refused login", failure})
	}
	return rows
}

// attempts says what the failures over all networks that did not sign the user in mean
// for the next attempt from one of these.
func attempts(f store.Failures, now time.Time) string {
	text := fmt.Sprintf("%d from networks that did not sign in, the last at %s; ", f.Count, moment(f.Last))
	switch free, wait := throttle.CapacityOfAccount(f, now); {
	case wait > 0:
		return text + "from these none before " + now.Add(wait).UTC().Format(time.RFC3339)
	case free > 1:
		return text + fmt.Sprintf("after %d more they wait for one another", free)
	default:
		return text + "further ones wait for one another"
	}
}

// refusals are the reasons for which a login with the right password is refused.
func refusals(u identity.User) []string {
	reasons := []string{}
	if u.Status != identity.Active {
		reasons = append(reasons, "the user is "+string(u.Status))
	}
	if u.OrgStatus != identity.Active {
		reasons = append(reasons, "the organization is "+string(u.OrgStatus))
	}
	if u.DefaultPassword {
		reasons = append(reasons, "the default password works only while the server listens on loopback")
	}
	return reasons
}

func groupNames(groups []identity.Group) []string {
	names := []string{}
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names
}

func failures(events []audit.Event) []string {
	lines := []string{}
	for _, e := range events {
		lines = append(lines, e.At.UTC().Format(time.RFC3339)+" "+e.Detail+" from "+e.Address)
	}
	return lines
}
