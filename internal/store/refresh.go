package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// ErrUnknownToken is in the chain of the refusal of a token that was never stored, or
// so long ago that it was purged. To the client it looks like any other invalid token.
var ErrUnknownToken = errors.New("the token is unknown")

// RotateRefresh marks the client's refresh token used, and stores its successor,
// which expires with the family at the latest. Of any number of calls with one
// token exactly one succeeds.
//
// A token that is unknown, expired, of another client, of an ended family or of
// a user who may not sign in is identity.ErrInvalidToken, and is not marked
// used. A used one of the client is refused likewise, but also ends its family,
// which is committed in spite of the error, and ErrReuse is in the chain. Within
// p.Grace after its use, and while its successor is unused, it yields that once more
// instead.
func (s *Store) RotateRefresh(ctx context.Context, by identity.Actor, p PresentedRefresh, next NewRefresh) (g Rotation, err error) {
	if next.ID == "" {
		next.ID = NewIDAt(s.now())
	}
	if s.over.has(p) {
		return Rotation{}, identity.ErrInvalidToken
	}
	before := p.Permit != nil || s.writer != nil && !p.Issued
	if before {
		if err := s.examine(ctx, p); err != nil {
			return Rotation{}, err
		}
	}
	if s.writer == nil && p.Admit == nil && p.SharedHash == next.SharedHash {
		// No row, a statement that lost to another transaction and one that was
		// never sent have changed nothing: the transaction below finds the reason,
		// or tries again.
		g, done, err := s.rotatePostgres(ctx, p, next)
		if done && err == nil {
			s.outbox.add([]Event{refreshed(by, g)})
			s.outbox.deliver()
			return g, nil
		}
		if err != nil && engine.ConditionOf(err) != engine.Conflict && !pgconn.SafeToRetry(err) && !errors.Is(err, driver.ErrBadConn) && !engine.IsReadOnly(err) {
			return Rotation{}, s.classify(err)
		}
	}
	if !before && !p.Issued {
		if err := s.examine(ctx, p); err != nil {
			return Rotation{}, err
		}
	}
	err = s.write(ctx, func(t *tx) error {
		g, err = t.rotate(by, p, next)
		return err
	})
	if err != nil {
		s.rememberEnded(ctx, p, err)
		return Rotation{}, err
	}
	return g, nil
}

// examine reads what decides about a token before any transaction: one that was
// never stored is identity.ErrInvalidToken, and ErrUnknownToken, since anyone can make
// one up and it must not wait for the writer that all refreshes share; an unused one
// needs p.Permit.
func (s *Store) examine(ctx context.Context, p PresentedRefresh) error {
	condition, args, err := whereHash(p.Hashes)
	if err != nil {
		return err
	}
	var user, family string
	var used bool
	err = s.lookup(ctx, func(t *tx) error {
		known, err := t.get([]any{&user, &family, &used},
			"SELECT user_id, family_id, used_at IS NOT NULL FROM refresh_tokens WHERE "+condition, args...)
		if err == nil && !known && p.SharedHash != "" {
			used = true
			known, err = t.get([]any{&family}, "SELECT id FROM refresh_families WHERE shared_hash = $1", p.SharedHash)
		}
		if err == nil && !known {
			err = InvalidToken(ErrUnknownToken)
		}
		return err
	})
	if err != nil || used || p.Permit == nil {
		return err
	}
	return p.Permit(user, family)
}

// InvalidToken is identity.ErrInvalidToken with a cause for this server.
func InvalidToken(cause error) error {
	invalid := identity.ErrInvalidToken
	return fault.Wrap(invalid.Kind, invalid.Code, invalid.Message, cause)
}

// rotate is RotateRefresh step by step.
func (t *tx) rotate(by identity.Actor, p PresentedRefresh, next NewRefresh) (g Rotation, err error) {
	userID, familyID, fresh, err := t.markUsed(p.Hashes, next)
	if err != nil {
		return Rotation{}, err
	}
	switch {
	case !fresh:
		g, err = t.notMarked(by, p)
	case p.Admit != nil:
		g.Subject, err = t.succeedOfClient(userID, familyID, p, next)
	default:
		g.Subject, err = t.succeed(userID, familyID, p, next)
	}
	if err != nil {
		return Rotation{}, err
	}
	t.events = append(t.events, refreshed(by, g))
	return g, nil
}

// refreshed is sent to Config.Committed and not stored: refreshes are too many for the table.
func refreshed(by identity.Actor, g Rotation) Event {
	act := Act{Action: identity.ActionRefresh, By: by.AsUser(g.User.ID), Detail: "family " + g.FamilyID}
	if g.Repeated != nil {
		act.Detail += ", repeated"
	}
	return act.Event(OutcomeSuccess, g.User.ID, g.User.OrgID)
}

// markUsed marks the token used if it is neither used nor expired, and keeps with it
// what a reuse grace needs. One statement checks and marks, which makes the token
// single-use. Each hash has one of its own: for IN, SQLite would fill a table each time.
func (t *tx) markUsed(hashes []string, next NewRefresh) (userID, familyID string, fresh bool, err error) {
	set, more := "used_at = $1", []any(nil)
	if next.Sealed != "" {
		set, more = "used_at = $1, successor_id = $3, successor = $4", []any{next.ID, next.Sealed}
	}
	for _, hash := range hashes {
		fresh, err = t.get([]any{&userID, &familyID}, "UPDATE refresh_tokens SET "+set+`
			WHERE token_hash = $2 AND used_at IS NULL AND expires_at > $1 RETURNING user_id, family_id`, append([]any{t.stamp(), hash}, more...)...)
		if err != nil || fresh {
			break
		}
	}
	return userID, familyID, fresh, err
}

// whereHash returns the condition that a token is stored under one of the hashes, in one
// query of one or two arguments. Nearly all tokens have one hash, and for IN, SQLite makes
// a table: a fifth of the CPU of a request with a service token.
func whereHash(hashes []string) (condition string, args []any, err error) {
	first, second, err := hashPair(hashes)
	switch {
	case err != nil:
		return "", nil, err
	case first == second:
		return "token_hash = $1", []any{first}, nil
	default:
		return "token_hash IN ($1, $2)", []any{first, second}, nil
	}
}

// hashPair returns the one or two hashes that a secret may be stored under.
func hashPair(hashes []string) (first, second string, err error) {
	switch len(hashes) {
	case 1:
		return hashes[0], hashes[0], nil
	case 2:
		return hashes[0], hashes[1], nil
	default:
		return "", "", errors.New("a token has one or two candidate hashes")
	}
}

// What succeed writes about the session; 0: nothing.
const (
	sessionUsed    = 1 // its last use
	sessionMissing = 2 // the session, which the family does not have
)

// succeed stores the successor of a token that was just marked used, if its
// family is the client's and has not ended and its user may sign in; otherwise
// the mark is rolled back.
func (t *tx) succeed(userID, familyID string, p PresentedRefresh, next NewRefresh) (Subject, error) {
	g := Subject{FamilyID: familyID}
	var end time.Time
	var session int64
	valid, err := t.get(append(g.dest(), timeColumn{&end}, &g.SessionID, countColumn{&session}),
		"SELECT "+subjectColumns+`, f.expires_at, COALESCE(f.session_id, f.id),
		CASE WHEN f.session_id IS NULL THEN 2 WHEN s.last_used_at <= $5 AND NOT `+offlineFamily+" THEN 1 ELSE 0 END FROM "+userTables+`
		JOIN refresh_families f ON f.user_id = u.id LEFT JOIN sessions s ON s.id = f.session_id
		WHERE f.id = $1 AND u.id = $2 AND f.client_id = $3 AND f.ended_at IS NULL AND f.expires_at > $4`,
		familyID, userID, p.ClientID, t.stamp(), FormatTime(t.now.Add(-lastUsedEvery)))
	if err != nil {
		return Subject{}, err
	}
	if !valid || !identity.CanSignIn(g.User) {
		return Subject{}, identity.ErrInvalidToken
	}
	if next.SharedHash != p.SharedHash { // issued by the previous release
		if err := t.giveShared(familyID, next.SharedHash); err != nil {
			return Subject{}, err
		}
	}
	if err := t.insertRefresh(userID, familyID, end, next); err != nil {
		return Subject{}, err
	}
	switch session {
	case sessionMissing:
		err = t.giveSession(familyID, earlier(next.ExpiresAt, end))
	case sessionUsed:
		err = t.used(g.SessionID, earlier(next.ExpiresAt, end))
	}
	return t.named(g, err)
}

// giveShared gives a family another shared part. Its tokens with the previous part stay
// stored: without their rows, reuse of them would look like an unknown token.
func (t *tx) giveShared(familyID, hash string) error {
	if _, err := t.exec("UPDATE refresh_tokens SET shared = 0 WHERE family_id = $1 AND shared = 1", familyID); err != nil {
		return err
	}
	_, err := t.exec("UPDATE refresh_families SET shared_hash = $1 WHERE id = $2", hash, familyID)
	return err
}

// subjectColumns are what a refresh reads of userTables: each further column costs
// every refresh.
const subjectColumns = `u.id, u.email, u.role, u.org_id, o.status, u.status, ` + groupsOfUser

// groupsOfUser is scanned by groupsColumn.
const groupsOfUser = `(SELECT COALESCE(string_agg(m.group_id, '
'), '') FROM group_members m WHERE m.user_id = u.id)`

// dest is where subjectColumns are scanned to.
func (g *Subject) dest() []any {
	u := &g.User
	return []any{
		&u.ID, &u.Email, (*string)(&u.Role), &u.OrgID, (*string)(&u.OrgStatus), (*string)(&u.Status), (*groupsColumn)(&g.Groups),
	}
}

// groupsColumn scans the groups of subjectColumns, one a line, as Subject has them.
type groupsColumn []string

// Scan implements sql.Scanner.
func (c *groupsColumn) Scan(value any) error {
	lines, ok := value.(string)
	if !ok {
		return fmt.Errorf("groups are %T", value)
	}
	*c = groupsColumn{}
	if lines != "" {
		*c = strings.Split(lines, "\n")
		slices.Sort(*c)
	}
	return nil
}

// insertRefresh stores a token that expires with its family at the latest.
func (t *tx) insertRefresh(userID, familyID string, familyEnd time.Time, next NewRefresh) error {
	if next.ID == "" {
		next.ID = NewIDAt(t.now)
	}
	next.ExpiresAt = earlier(next.ExpiresAt, familyEnd)
	_, err := t.exec(`INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, access_jti, access_expires_at, shared)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		next.ID, userID, familyID, next.Hash, FormatTime(next.ExpiresAt), t.stamp(),
		sql.NullString{String: next.AccessJTI, Valid: next.AccessJTI != ""}, FormatOptional(next.AccessExpiresAt), oneIf(next.SharedHash != ""))
	return err
}

// groupIDs returns the ids of the user's groups, sorted as bytes: the order
// of a database depends on its collation.
func (t *tx) groupIDs(userID string) ([]string, error) {
	ids, err := collect(t, func(r scanner) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}, "SELECT group_id FROM group_members WHERE user_id = $1", userID)
	slices.Sort(ids)
	return ids, err
}

// named adds the names of the groups if Config.GroupNames is set.
func (t *tx) named(g Subject, err error) (Subject, error) {
	if err == nil && t.groupNames {
		g.Groups, g.GroupNames, err = t.namedGroups(g.User.ID)
	}
	return g, err
}

// namedGroups returns the ids of the user's groups, sorted as bytes, and their names in
// the same order. Neither is nil.
func (t *tx) namedGroups(userID string) (ids, names []string, err error) {
	groups, err := collect(t, func(r scanner) (g identity.Group, err error) {
		err = r.Scan(&g.ID, &g.Name)
		return g, err
	}, "SELECT g.id, g.name FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = $1", userID)
	slices.SortFunc(groups, func(a, b identity.Group) int { return strings.Compare(a.ID, b.ID) })
	ids, names = []string{}, []string{}
	for _, g := range groups {
		ids, names = append(ids, g.ID), append(names, g.Name)
	}
	return ids, names, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
