package adopt

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// original is the content of the Python server's tables, as text and unchecked. All
// of it is in memory: about half a kilobyte for each user and refresh token.
type original struct {
	users         []legacyUser
	groups        []legacyGroup
	members       []legacyMember
	refreshTokens []legacyRefresh
	serviceTokens []legacyService
}

type legacyUser struct {
	id, email, displayName, hash, role, orgID, status, createdAt string
	lastLoginAt                                                  sql.NullString
}

type legacyGroup struct {
	id, name, description, orgID, createdAt, updatedAt string
}

type legacyMember struct {
	groupID, userID, joinedAt string
}

type legacyRefresh struct {
	id, userID, hash, expiresAt, createdAt string
}

type legacyService struct {
	id, name, hash, role, orgID, description, createdAt string
	revokedAt                                           sql.NullString
}

// readOriginal reads the tables that sh found. The columns are in the order
// of legacyTables.
func readOriginal(ctx context.Context, q engine.Querier, sh shape) (o original, err error) {
	for _, t := range legacyTables() {
		if !slices.Contains(sh.legacy, t.name) {
			continue
		}
		switch t.name {
		case "users":
			o.users, err = readLegacy(ctx, q, t, func(u *legacyUser) []any {
				return []any{&u.id, &u.email, &u.displayName, &u.hash, &u.role, &u.orgID, &u.status, &u.createdAt, &u.lastLoginAt}
			})
		case "groups":
			o.groups, err = readLegacy(ctx, q, t, func(g *legacyGroup) []any {
				return []any{&g.id, &g.name, &g.description, &g.orgID, &g.createdAt, &g.updatedAt}
			})
		case "group_members":
			o.members, err = readLegacy(ctx, q, t, func(m *legacyMember) []any {
				return []any{&m.groupID, &m.userID, &m.joinedAt}
			})
		case "refresh_tokens":
			o.refreshTokens, err = readLegacy(ctx, q, t, func(r *legacyRefresh) []any {
				return []any{&r.id, &r.userID, &r.hash, &r.expiresAt, &r.createdAt}
			})
		case "service_tokens":
			o.serviceTokens, err = readLegacy(ctx, q, t, func(s *legacyService) []any {
				return []any{&s.id, &s.name, &s.hash, &s.role, &s.orgID, &s.description, &s.createdAt, &s.revokedAt}
			})
		}
		if err != nil {
			return original{}, fmt.Errorf("read the table %s of the Python server: %w", t.name, err)
		}
	}
	return o, nil
}

// readLegacy reads all rows of a table, ordered by its first columns so that
// two readings give the same result. Any value of a column is read as text;
// only columns that the original left NULL may be NULL.
func readLegacy[T any](ctx context.Context, q engine.Querier, t legacyTable, fields func(*T) []any) ([]T, error) {
	columns := make([]string, len(t.columns))
	for i, name := range t.columns {
		columns[i] = "CAST(" + name + " AS TEXT)"
		if name != "last_login_at" && name != "revoked_at" {
			columns[i] = "COALESCE(" + columns[i] + ", '')"
		}
	}
	rows, err := q.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+t.name+" ORDER BY 1, 2")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		var row T
		if err := rows.Scan(fields(&row)...); err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, rows.Err()
}
