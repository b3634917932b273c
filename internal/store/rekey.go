package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pressly/goose/v3"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// usersVersion is the migration that stores e-mail keys by identity.EmailKey as it
// is now. Earlier ones lowered letters instead of folding them.
const usersVersion = 11

// ErrEmailCollision is the code of the fault with which Open refuses users that
// have one key by the present rule.
const ErrEmailCollision = "email_collision"

// usersMigration rewrites the addresses and keys that the present rule changes, and
// then runs the statements of the migration.
func (s *Store) usersMigration() *goose.Migration {
	return goose.NewGoMigration(usersVersion, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		if err := rekey(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, strings.ReplaceAll(schemaUsers, "COLLATE bytewise", bytewise(s.target.Engine)))
		return err
	}}, nil)
}

// bytewise is the collation in which a range of text is a prefix.
func bytewise(kind string) string {
	if kind == engine.Postgres {
		return `COLLATE "C"`
	}
	return "COLLATE BINARY"
}

// addressed is a user's address as stored, or as it should be.
type addressed struct {
	id, email, key string
	status, last   string // last is when the user signed in last; empty: never
}

const addressedColumns = "id, email, email_key, status, COALESCE(last_login_at, '')"

func (a *addressed) dest() []any { return []any{&a.id, &a.email, &a.key, &a.status, &a.last} }

// stale reads all users and returns what should be stored of those for whom
// something else is.
func stale(ctx context.Context, q engine.Querier) (all []addressed, err error) {
	rows, err := q.QueryContext(ctx, "SELECT "+addressedColumns+" FROM users")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var is addressed
		if err := rows.Scan(is.dest()...); err != nil {
			return nil, err
		}
		if should := is.renewed(); should != is {
			all = append(all, should)
		}
	}
	return all, rows.Err()
}

func (a addressed) renewed() addressed {
	a.email = identity.ShownEmail(a.email)
	a.key = identity.EmailKey(a.email)
	return a
}

// byUse orders active users before suspended ones, then those who signed in last.
func byUse(a, b addressed) int {
	return cmp.Or(cmp.Compare(a.status, b.status), cmp.Compare(b.last, a.last), cmp.Compare(a.id, b.id))
}

func (a addressed) String() string { return fmt.Sprintf("%q (id %q)", a.email, a.id) }

// EmailCollisions returns a sentence for each address that two users have by the
// present rule, with the commands that resolve it: they give all users but the one who
// uses the address another one.
func EmailCollisions(ctx context.Context, q engine.Querier) ([]string, error) {
	changing, err := stale(ctx, q)
	if err != nil {
		return nil, err
	}
	return collisions(ctx, q, changing)
}

func collisions(ctx context.Context, q engine.Querier, changing []addressed) (sentences []string, err error) {
	sharing := map[string][]addressed{}
	changes := map[string]bool{}
	for _, u := range changing {
		sharing[u.key] = append(sharing[u.key], u)
		changes[u.id] = true
	}
	proposed := map[string]bool{}
	free := func(key string) (bool, error) {
		if proposed[key] || len(sharing[key]) > 0 {
			return false, nil
		}
		var used bool
		err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM users WHERE email_key = $1)", key).Scan(&used)
		proposed[key] = true
		return !used, err
	}
	for _, key := range slices.Sorted(maps.Keys(sharing)) {
		users := sharing[key]
		var holder addressed
		err := q.QueryRowContext(ctx, "SELECT "+addressedColumns+" FROM users WHERE email_key = $1", key).Scan(holder.dest()...)
		if err == nil && !changes[holder.id] {
			users = append(users, holder)
		} else if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if len(users) > 1 {
			slices.SortFunc(users, byUse)
			sentence, err := collision(users, free)
			if err != nil {
				return nil, err
			}
			sentences = append(sentences, sentence)
		}
	}
	slices.Sort(sentences)
	return sentences, nil
}

// collision is the sentence about users of one address. free reports whether no user has,
// and no other sentence proposes, the address of a key.
func collision(users []addressed, free func(key string) (bool, error)) (string, error) {
	var names, commands []string
	for i, u := range users {
		names = append(names, u.String())
		if i == 0 {
			continue
		}
		another, err := anotherEmail(u.email, free)
		if err != nil {
			return "", err
		}
		commands = append(commands, setEmailCommand(u.id, another))
	}
	return fmt.Sprintf("%d users have one e-mail address by the present rule, which compares letters by full case folding: %s; "+
		"give all but the first, who uses it most, another address, for example by: %s", len(users), strings.Join(names, ", "), strings.Join(commands, "; ")), nil
}

// anotherEmail is the first of 2-EMAIL, 3-EMAIL and so on that is free, or a placeholder
// for an address that is not valid with a number before it either.
func anotherEmail(email string, free func(key string) (bool, error)) (string, error) {
	for n := 2; ; n++ {
		another, err := identity.ParseEmail(strconv.Itoa(n) + "-" + email)
		if err != nil {
			return "NEW-ADDRESS", nil //nolint:nilerr // see above
		}
		if ok, err := free(identity.EmailKey(another)); ok || err != nil {
			return another, err
		}
	}
}

// setEmailCommand is the command for a shell that gives the user another address. The
// original took any text for an id, a flag too.
func setEmailCommand(id, address string) string {
	command := "pico-auth user set-email "
	if strings.HasPrefix(id, "-") {
		command += "-- "
	}
	return command + shellWord(id) + " " + shellWord(address)
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= utf8.RuneSelf || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("@._+-", r)
	}
	if strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Rekeys reports whether Open will store the e-mail keys by the present rule, and
// refuses users who have one key by it.
func (s Schema) Rekeys() bool { return s.Ours() && s.Version < usersVersion }

// refuseCollisions refuses a database that the migration of the keys cannot change,
// before any migration.
func refuseCollisions(ctx context.Context, q engine.Querier, found Schema) error {
	if !found.Rekeys() {
		return nil
	}
	sentences, err := EmailCollisions(ctx, q)
	if err != nil {
		return fmt.Errorf("read the e-mail addresses: %w", err)
	}
	return collide(sentences)
}

func collide(sentences []string) error {
	if len(sentences) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, ErrEmailCollision, "the database cannot be migrated: "+strings.Join(sentences, "; "))
}

// rekey stores the addresses and keys of the present rule.
func rekey(ctx context.Context, tx *sql.Tx) error {
	changing, err := stale(ctx, tx)
	if err != nil {
		return fmt.Errorf("read the e-mail addresses: %w", err)
	}
	sentences, err := collisions(ctx, tx, changing)
	if err := cmp.Or(err, collide(sentences)); err != nil {
		return err
	}
	for _, u := range changing { // the old key of one may be the new one of another
		if _, err := tx.ExecContext(ctx, "UPDATE users SET email_key = $1 WHERE id = $2", " rekeyed "+u.id, u.id); err != nil {
			return err
		}
	}
	for _, u := range changing {
		if _, err := tx.ExecContext(ctx, "UPDATE users SET email = $1, email_key = $2 WHERE id = $3", u.email, u.key, u.id); err != nil {
			return err
		}
	}
	return nil
}

// CompleteUsers completes up to limit users after the one of the id that a process
// of the previous release stored, or that were stored before the migration: their
// e-mail key by the present rule, and the key of their name. more is the id to
// continue after, empty: none is left. A user whose key another one has is logged
// and left as they are: only the other one signs in with that address.
func (s *Store) CompleteUsers(ctx context.Context, after string, limit int) (more string, err error) {
	err = s.write(ctx, func(t *tx) error {
		more = ""
		found, err := collect(t, func(r scanner) (u identity.User, err error) {
			err = r.Scan(&u.ID, &u.Email, &u.EmailKey, &u.DisplayName)
			return u, err
		}, "SELECT id, email, email_key, display_name FROM users WHERE name_key IS NULL AND id > $1 ORDER BY id LIMIT $2"+t.forUpdate("users"), after, limit)
		if err != nil {
			return err
		}
		for _, u := range found {
			if err := t.complete(s.log, u); err != nil {
				return err
			}
		}
		if len(found) == limit {
			more = found[limit-1].ID
		}
		return nil
	})
	return more, err
}

func (t *tx) complete(log *slog.Logger, u identity.User) error {
	is := addressed{id: u.ID, email: u.Email, key: u.EmailKey}
	should := is.renewed()
	if should.key != is.key {
		var other addressed
		taken, err := t.get([]any{&other.id, &other.email}, "SELECT id, email FROM users WHERE email_key = $1", should.key)
		if err != nil {
			return err
		}
		if taken {
			log.WarnContext(t.ctx, "user of the previous release has another user's e-mail address", "user_id", u.ID, "other_id", other.id,
				"command", setEmailCommand(u.ID, "NEW-ADDRESS"))
			return nil
		}
	}
	_, err := t.exec("UPDATE users SET email = $1, email_key = $2, name_key = $3 WHERE id = $4", should.email, should.key, identity.NameKey(u.DisplayName), u.ID)
	return err
}

// ResolveEmail gives a user another address in a database that Open refuses with
// ErrEmailCollision, and ends what a change of address ends. It leaves the schema as
// it is, or brings it to that of the previous release, whose processes may have the
// database open. Only the operator may, and the user is named by the id.
func ResolveEmail(ctx context.Context, cfg Config, act Act, userID, email string) (err error) {
	cfg = cfg.withDefaults()
	if act.By.Kind != identity.ActorSystem {
		return identity.ErrForbidden
	}
	target, err := cfg.Target()
	if err != nil {
		return err
	}
	s := &Store{target: target, now: cfg.Now, log: cfg.Log, wrap: cfg.echo()}
	db, closeAll, err := s.openToResolve(ctx)
	if err != nil {
		return target.Explain(err)
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	found, err := Inspect(ctx, db, target.Engine)
	if err != nil {
		return err
	}
	if !found.Rekeys() {
		return fault.New(fault.Conflict, "no_collision", "no migration of this database is refused because of e-mail addresses")
	}
	if found.Version < previousVersion {
		provider, err := s.provider(db, nil)
		if err != nil {
			return err
		}
		if _, err := provider.UpTo(ctx, previousVersion); err != nil {
			return err
		}
	}
	return engine.Classify(s.resolve(ctx, db, act, userID, email))
}

// previousVersion is the schema of the release before usersVersion. What resolve
// does works with it and with all later ones.
const previousVersion = 7

// openToResolve opens the database and keeps migrations out until closeAll.
func (s *Store) openToResolve(ctx context.Context) (db *sql.DB, closeAll func() error, err error) {
	if s.target.Engine == engine.Postgres {
		db = s.target.OpenUnbounded()
		return db, db.Close, nil
	}
	if _, err := engine.SecureFile(s.target.Path, s.log); err != nil {
		return nil, nil, err
	}
	unlock, err := engine.LockFile(ctx, s.target.Path)
	if err != nil {
		return nil, nil, err
	}
	db, err = engine.OpenFile(s.target.Path, "synchronous(FULL)")
	if err != nil {
		unlock()
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	return db, func() error { defer unlock(); return db.Close() }, nil
}

func (s *Store) resolve(ctx context.Context, db *sql.DB, act Act, userID, email string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing to roll back
	changing, err := stale(ctx, tx)
	if err != nil {
		return err
	}
	key := identity.EmailKey(email)
	for _, u := range changing {
		if u.key == key && u.id != userID {
			return errEmailTaken
		}
	}
	t := s.newTx(ctx, s.wrap(tx))
	t.past = true
	var org string
	found, err := t.get([]any{&org}, "SELECT u.org_id FROM users u WHERE u.id = $1"+t.forUpdate("u"), userID)
	if err == nil && !found {
		err = identity.ErrNoUser
	}
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE users SET email = $1, email_key = $2 WHERE id = $3", email, key, userID)
	if engine.Violates(err, "users.email_key") {
		return errEmailTaken
	}
	if err != nil {
		return err
	}
	if _, err := t.end(EndEmailChange, subjects{userID: userID}); err != nil {
		return err
	}
	if err := t.done(act, userID, org); err != nil {
		return err
	}
	return tx.Commit()
}
