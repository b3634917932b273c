package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/session"
)

type sessionCmd struct {
	List sessionListCmd `cmd:"" help:"List the sessions of a user."`
	End  sessionEndCmd  `cmd:"" help:"End one session of a user, or all of them."`
}

type sessionListCmd struct {
	userArg
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth session list --help`.
func (sessionListCmd) Help() string {
	return `Those that have neither ended nor expired. What a client holds with offline_access outlives sessions and is listed on its own.

Examples:

    pico-auth session list ada@example.com
    pico-auth session list ada@example.com --json | jq -r '.sessions[].address'`
}

// Run lists sessions, oldest first.
func (c sessionListCmd) Run(sh *shell) error {
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		id, err := c.find(ctx, services)
		if err != nil {
			return err
		}
		sessions, err := sessionsOf(ctx, services, id)
		if err != nil {
			return err
		}
		if c.JSON {
			return sh.json(sessionsJSON(sessions))
		}
		rows := [][]string{{"ID", "STARTED", "LAST USED", "EXPIRES", "ADDRESS", "DEVICE", "CLIENT"}}
		for _, s := range sessions {
			rows = append(rows, []string{
				s.ID, s.CreatedAt.Format(time.RFC3339), s.LastUsedAt.Format(time.RFC3339), s.ExpiresAt.Format(time.RFC3339),
				dash(s.Address), dash(session.Device(s.UserAgent)), clientOf(s),
			})
		}
		return sh.table(rows)
	})
}

// clientOf is the client of a session as it is shown.
func clientOf(s identity.Session) string {
	switch s.ClientID {
	case "":
		return "browser"
	case identity.FirstPartyClient:
		return "JSON API"
	}
	return s.ClientID
}

// sessionsOf reads all pages of the list.
func sessionsOf(ctx context.Context, services *server.Services, userID string) ([]identity.Session, error) {
	return pages(func(cursor string) (session.Page, error) {
		return services.Sessions.List(ctx, operator(), userID, session.Filter{Cursor: cursor})
	})
}

// sessionsJSON has the field names of the API.
func sessionsJSON(sessions []identity.Session) any {
	all := make([]map[string]any, len(sessions))
	for i, s := range sessions {
		all[i] = map[string]any{
			"id": s.ID, "created_at": s.CreatedAt, "last_used_at": s.LastUsedAt, "expires_at": s.ExpiresAt,
			"address": s.Address, "device": session.Device(s.UserAgent), "client_id": s.ClientID, "amr": s.Methods,
		}
	}
	return map[string]any{"sessions": all, "total": len(all)}
}

type sessionEndCmd struct {
	userArg
	Session string `arg:"" optional:"" help:"ID of the session, as session list prints it."`
	All     bool   `help:"End all sessions of the user."`
	Yes     bool   `help:"Do not ask for confirmation."`
}

// Help is the end of `pico-auth session end --help`.
func (sessionEndCmd) Help() string {
	return `Running servers refuse its next request, and list its access tokens as revoked for other services. The user may sign in again; to prevent
that, suspend the user.

Examples:

    pico-auth session end ada@example.com 01981b63-8f0e-7d11-9a53-5b0c2d4e6f70
    pico-auth session end ada@example.com --all --yes`
}

// Run ends one session or all of them.
func (c sessionEndCmd) Run(sh *shell) error {
	if (c.Session == "") != c.All {
		return usage("name one session, or use --all")
	}
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		id, err := c.find(ctx, services)
		if err != nil {
			return err
		}
		what := "session " + printable(c.Session)
		if c.All {
			what = "all sessions"
		}
		if !c.Yes {
			if err := c.sure(ctx, sh, services, id, what); err != nil {
				return err
			}
		}
		if c.All {
			_, err = services.Sessions.EndAll(ctx, operator(), id)
		} else {
			err = services.Sessions.EndOne(ctx, operator(), id, c.Session)
		}
		if err != nil {
			return err
		}
		return sh.say("ended %s of %s\n", what, printable(c.User))
	})
}

// sure asks before what ends, and shows it.
func (c sessionEndCmd) sure(ctx context.Context, sh *shell, services *server.Services, userID, what string) error {
	sessions, err := sessionsOf(ctx, services, userID)
	if err != nil {
		return err
	}
	shown := counted(len(sessions), "session")
	if !c.All {
		i := slices.IndexFunc(sessions, func(s identity.Session) bool { return s.ID == c.Session })
		if i < 0 {
			return identity.ErrNoSession
		}
		s := sessions[i]
		shown = fmt.Sprintf("%s, %s from %s, started %s", clientOf(s), cmp.Or(session.Device(s.UserAgent), "unknown device"), dash(s.Address), moment(s.CreatedAt))
	}
	return sh.sure(fmt.Sprintf("This ends %s of %s (%s).\nType yes to continue: ", what, printable(c.User), printable(shown)), "--yes does not ask")
}
