package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/server"
)

type auditCmd struct {
	List    auditListCmd    `cmd:"" help:"List audit events, newest first."`
	Verify  auditVerifyCmd  `cmd:"" help:"Verify that no audit event was changed, removed or added in the database."`
	Digest  auditDigestCmd  `cmd:"" help:"Print what the log has instead of an e-mail address."`
	Restart auditRestartCmd `cmd:"" help:"Begin a new chain of audit events, after a fault was examined."`
}

type auditListCmd struct {
	From    string `placeholder:"TIME" help:"Not before this time, such as 2026-11-27 or 2026-11-27T15:04:05Z."`
	To      string `placeholder:"TIME" help:"Before this time."`
	Actor   string `placeholder:"USER" help:"Only what this actor did: an ID, or the e-mail address of a user."`
	Target  string `placeholder:"USER" help:"Only what was done to this target: an ID, or the e-mail address of a user."`
	Action  string `placeholder:"NAME" help:"Only this action, such as login."`
	Outcome string `enum:"success,refused," default:"" placeholder:"success|refused" help:"Only this outcome."`
	Address string `placeholder:"IP" help:"Only from this client address."`
	Org     string `placeholder:"ID" help:"Only this organization."`
	Limit   int    `default:"100" help:"At most so many events; 0: all."`
	Format  string `enum:"table,jsonl,csv" default:"table" help:"One of ${enum}."`
	JSON    bool   `help:"Print JSON: one object, as the API does."`
}

// Help is the end of `pico-auth audit list --help`.
func (auditListCmd) Help() string {
	return `Examples:

    pico-auth audit list --target ada@example.com --outcome refused
    pico-auth audit list --from 2026-11-01 --to 2026-12-01 --limit 0 --format csv > november.csv`
}

// Run lists events.
func (c auditListCmd) Run(sh *shell) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	return sh.reading(func(ctx context.Context, services *server.Services) error {
		if filter.ActorID, err = auditParty(ctx, services, c.Actor); err != nil {
			return err
		}
		if filter.TargetID, err = auditParty(ctx, services, c.Target); err != nil {
			return err
		}
		if strings.Contains(filter.TargetID, "@") { // an actor may have one, as a user of the operating system
			return identity.ErrNoUser
		}
		out := auditWriter(sh, c.Format)
		found := []audit.Event{}
		if c.JSON {
			out = func(events []audit.Event) error {
				found = append(found, events...)
				return nil
			}
		}
		for left := c.Limit; ; {
			filter.Limit = audit.MaxLimit
			if c.Limit > 0 {
				filter.Limit = min(left, audit.MaxLimit)
			}
			events, next, err := services.Audit.Search(ctx, operator(), filter)
			if err != nil {
				return err
			}
			if err := out(events); err != nil {
				return err
			}
			left -= len(events)
			if next == "" || c.Limit > 0 && left <= 0 {
				break
			}
			filter.Cursor = next
		}
		if c.JSON {
			return sh.json(map[string]any{"events": found})
		}
		return nil
	})
}

func (c auditListCmd) filter() (f audit.Filter, err error) {
	if c.Limit < 0 {
		return f, usage("--limit must not be negative")
	}
	if _, err := netip.ParseAddr(c.Address); c.Address != "" && err != nil {
		return f, usage("--address must be an IP address, such as 192.0.2.7")
	}
	f = audit.Filter{OrgID: c.Org, Action: identity.Action(c.Action), Outcome: c.Outcome, Address: c.Address}
	if f.From, err = flagTime("--from", c.From); err != nil {
		return f, err
	}
	f.To, err = flagTime("--to", c.To)
	return f, err
}

// flagTime reads a day, or a time as the API has it.
func flagTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("%s must be a day or a time in UTC, such as 2026-11-27 or 2026-11-27T15:04:05Z", flag)
}

// auditParty is the ID of an actor or target. A deleted user is found by ID only.
func auditParty(ctx context.Context, services *server.Services, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	page, err := services.Directory.Users(ctx, operator(), directory.Filter{Email: name})
	if err != nil || len(page.Items) == 0 {
		return name, err
	}
	return page.Items[0].ID, nil
}

// auditWriter returns what prints a page of events.
func auditWriter(sh *shell, format string) func([]audit.Event) error {
	begun := false
	return func(events []audit.Event) error {
		first := !begun
		begun = true
		switch format {
		case "jsonl":
			return sh.lines(events)
		case "csv":
			text := ""
			if first {
				text = audit.CSVHeader()
			}
			for _, ev := range events {
				text += ev.CSV()
			}
			return sh.say("%s", text)
		default:
			return sh.auditTable(events, first)
		}
	}
}

func (sh *shell) auditTable(events []audit.Event, header bool) error {
	var rows [][]string
	if header {
		rows = append(rows, []string{"AT", "ACTION", "OUTCOME", "ACTOR", "TARGET", "ORG", "ADDRESS", "DETAIL"})
	}
	for _, ev := range events {
		actor := string(ev.ActorKind)
		if ev.ActorID != "" {
			actor += " " + ev.ActorID
		}
		if ev.OnBehalfOf != "" {
			actor += " for " + ev.OnBehalfOf
		}
		rows = append(rows, []string{
			ev.At.Format(time.RFC3339), string(ev.Action), ev.Outcome, dash(actor), dash(ev.TargetID), dash(ev.OrgID), dash(ev.Address), ev.Detail,
		})
	}
	return sh.table(rows)
}

// lines prints each event as a line of JSON.
func (sh *shell) lines(events []audit.Event) error {
	enc := json.NewEncoder(sh.out)
	enc.SetEscapeHTML(false)
	for _, ev := range events {
		if err := enc.Encode(ev); err != nil {
			return err
		}
	}
	return nil
}

// dash stands for an empty cell of a table.
func dash(text string) string { return cmp.Or(text, "-") }
