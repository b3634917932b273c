package adopt

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// insert writes all rows into our empty tables, referenced rows first.
func (a *adopted) insert(ctx context.Context, tx *sql.Tx, now time.Time) error {
	w := inserter{ctx: ctx, tx: tx}
	insertEach(&w, "INSERT INTO organizations (id, status, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING", a.orgs,
		func(id string) []any { return []any{id, string(identity.Active), store.FormatTime(now)} })
	insertEach(&w, `INSERT INTO users (id, email, email_key, display_name, password_hash, role, org_id, status,
		default_password, created_at, last_login_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, a.users,
		func(u identity.User) []any {
			return []any{
				u.ID, u.Email, u.EmailKey, u.DisplayName, string(u.PasswordHash), string(u.Role), u.OrgID,
				string(u.Status), map[bool]int{true: 1}[u.DefaultPassword], store.FormatTime(u.CreatedAt), store.FormatOptional(u.LastLoginAt),
			}
		})
	insertEach(&w, `INSERT INTO groups (id, name, name_key, description, org_id, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, a.groups,
		func(g identity.Group) []any {
			return []any{
				g.ID, g.Name, identity.GroupKey(g.Name), g.Description, g.OrgID,
				store.FormatTime(g.CreatedAt), store.FormatTime(g.UpdatedAt),
			}
		})
	insertEach(&w, "INSERT INTO group_members (group_id, user_id, joined_at) VALUES ($1, $2, $3)", a.members,
		func(m adoptedMember) []any { return []any{m.groupID, m.UserID, store.FormatTime(m.JoinedAt)} })
	insertEach(&w, "INSERT INTO refresh_families (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)", a.refreshTokens,
		func(r adoptedRefresh) []any {
			return []any{r.id, r.userID, store.FormatTime(r.createdAt), store.FormatTime(r.familyTo)}
		})
	insertEach(&w, `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, a.refreshTokens,
		func(r adoptedRefresh) []any {
			return []any{r.id, r.userID, r.id, r.hash, store.FormatTime(r.expiresAt), store.FormatTime(r.createdAt)}
		})
	insertEach(&w, `INSERT INTO service_tokens (id, name, token_hash, role, org_id, description, created_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, a.serviceTokens,
		func(s adoptedService) []any {
			return []any{
				s.ID, s.Name, s.hash, string(s.Role), s.OrgID, s.Description,
				store.FormatTime(s.CreatedAt), store.FormatOptional(s.RevokedAt),
			}
		})
	if w.err != nil {
		return w.err
	}
	return store.ExpectAdoptedKey(ctx, tx)
}

// inserter keeps the first error, and does nothing after it.
type inserter struct {
	ctx context.Context
	tx  *sql.Tx
	err error
}

func insertEach[T any](w *inserter, query string, rows []T, values func(T) []any) {
	if w.err != nil || len(rows) == 0 {
		return
	}
	stmt, err := w.tx.PrepareContext(w.ctx, query)
	if err != nil {
		w.err = fmt.Errorf("adopt: %w", err)
		return
	}
	defer stmt.Close()
	for _, row := range rows {
		if _, err := stmt.ExecContext(w.ctx, values(row)...); err != nil {
			w.err = fmt.Errorf("adopt: %w", err)
			return
		}
	}
}
