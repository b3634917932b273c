//go:build linux

package site

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
	_ "modernc.org/sqlite"             // registers the driver "sqlite"
)

// Password is the password of every user.
const Password = "a-long-enough-passphrase"

// Email is the address of the seeded user n, counted from 1.
func Email(n int) string { return fmt.Sprintf("p%d@bench.example", n) }

// Refresh is the refresh token of the seeded user n: as long as the program's
// own, and in the database by its digest as the program keeps them. Its first 24
// characters are the part that the tokens of its family share.
func Refresh(n int) string { return fmt.Sprintf("bench%019d%043d", n, 0) }

// Cookie opens the session of the seeded user n in a browser.
func Cookie(n int) string { return fmt.Sprintf("cookie%037d", n) }

// Seed says which users are in the database before the load begins.
type Seed struct {
	Users int  // each with a live session
	Known int  // of them, evenly spread: those whose refresh token is Refresh(n); 0: all
	Ended int  // of them, the last ones: their sessions have ended, and their access tokens have not expired
	Opens bool // the sessions of known refresh tokens are of browsers too: see Cookie
	Cost  int  // of the hash of Password; 0: 12
}

// Sessions returns the numbers of those whose refresh token is known.
func (s Seed) Sessions() []int {
	if s.Known == 0 {
		s.Known = s.Users
	}
	numbers := make([]int, s.Known)
	for i := range numbers {
		numbers[i] = i*(s.Users/s.Known) + 1
	}
	return numbers
}

// Fill has the program create its tables and then inserts the users. The database
// itself generates the rows, a million users in some seconds.
func (s *Site) Fill(ctx context.Context, seed Seed) error {
	p, err := s.Start(ctx)
	if err != nil {
		return err
	}
	if err := p.Stop(); err != nil {
		return err
	}
	if seed.Cost == 0 {
		seed.Cost = bcrypt.DefaultCost + 2
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), seed.Cost)
	if err != nil {
		return err
	}
	db, err := s.open()
	if err != nil {
		return err
	}
	err = s.insert(ctx, db, seed, string(hash))
	return errors.Join(err, db.Close())
}

func (s *Site) postgres() bool { return !strings.HasPrefix(s.URL, "sqlite:") }

func (s *Site) open() (*sql.DB, error) {
	if s.postgres() {
		return sql.Open("pgx", s.URL)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, "auth.db")+"?_pragma=synchronous(0)&_pragma=cache_size(-500000)&_pragma=foreign_keys(0)")
	if err == nil {
		db.SetMaxOpenConns(1) // the pragmas and the transaction are its own
	}
	return db, err
}

// The IDs of the rows of user n end with n. They have the 36 characters of real
// ones where n has seven digits, so that the database has its real size.
const (
	userID   = "01981b62-1d3e-7f0a-9b7c-user-"
	familyID = "01981b62-1d3e-7f0a-9b7c-fmly-"
	tokenID  = "01981b62-1d3e-7f0a-9b7c-tokn-" //nolint:gosec // it opens nothing
)

// The rows of user n. The digests of unknown tokens are random, as real ones are,
// which spreads them over the index.
const (
	numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `
	users   = `INSERT INTO users (id, email, email_key, password_hash, role, org_id, status, created_at, password_form, name_key) ` + numbers +
		`SELECT '` + userID + `' || i, 'p' || i || '@bench.example', 'p' || i || '@bench.example', $2, 'viewer', 'default', 'active', $3, 'nfc', '' FROM n`
	sessions = `INSERT INTO sessions (id, user_id, created_at, auth_time, amr, acr, last_used_at, idle_expires_at, expires_at) ` + numbers +
		`SELECT '` + familyID + `' || i, '` + userID + `' || i, $2, $2, 'pwd', 'urn:pico-auth:acr:1', $2, $3, $3 FROM n`
	families = `INSERT INTO refresh_families (id, user_id, created_at, expires_at, session_id) ` + numbers +
		`SELECT '` + familyID + `' || i, '` + userID + `' || i, $2, $3, '` + familyID + `' || i FROM n`
	tokens = `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at) ` + numbers +
		`SELECT '` + tokenID + `' || i, '` + userID + `' || i, '` + familyID + `' || i, RANDOM_DIGEST, $3, $2 FROM n`
	// Of those that have ended.
	last          = `(` + numbers + `SELECT '` + familyID + `' || (i + $2) FROM n)`
	endedSessions = `UPDATE sessions SET ended_at = $3, end_reason = 'logout' WHERE id IN ` + last
	endedFamilies = `UPDATE refresh_families SET ended_at = $3, end_reason = 'logout' WHERE id IN ` + last
	endedTokens   = `UPDATE refresh_tokens SET access_jti = id, access_expires_at = $3 WHERE family_id IN ` + last

	known  = `UPDATE refresh_tokens SET token_hash = $1, shared = 1 WHERE id = $2`
	shared = `UPDATE refresh_families SET shared_hash = $1 WHERE id = $2`
	opened = `UPDATE sessions SET cookie_hash = $1 WHERE id = $2`
)

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (s *Site) insert(ctx context.Context, db *sql.DB, seed Seed, hash string) error {
	digest, cast := "lower(hex(randomblob(32)))", "$1"
	if s.postgres() {
		digest, cast = "encode(sha256(random()::text::bytea), 'hex')", "$1::int"
	}
	text := func(statement string) string {
		statement = strings.Replace(statement, "RANDOM_DIGEST", digest, 1)
		return strings.Replace(statement, "$1", cast, 1)
	}
	at := func(d time.Duration) string { return time.Now().UTC().Add(d).Format("2006-01-02T15:04:05.000000Z") }
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if _, err := tx.ExecContext(ctx, text(users), seed.Users, hash, at(-time.Hour)); err != nil {
		return fmt.Errorf("seed users: %w", err)
	}
	if _, err := tx.ExecContext(ctx, text(sessions), seed.Users, at(-time.Hour), at(90*24*time.Hour)); err != nil {
		return fmt.Errorf("seed sessions: %w", err)
	}
	if _, err := tx.ExecContext(ctx, text(families), seed.Users, at(-time.Hour), at(90*24*time.Hour)); err != nil {
		return fmt.Errorf("seed families: %w", err)
	}
	if _, err := tx.ExecContext(ctx, text(tokens), seed.Users, at(-time.Hour), at(7*24*time.Hour)); err != nil {
		return fmt.Errorf("seed tokens: %w", err)
	}
	for _, n := range seed.Sessions() {
		if _, err := tx.ExecContext(ctx, known, digestOf(Refresh(n)), fmt.Sprintf(tokenID+"%d", n)); err != nil {
			return fmt.Errorf("seed known tokens: %w", err)
		}
		if _, err := tx.ExecContext(ctx, shared, digestOf(Refresh(n)[:24]), fmt.Sprintf(familyID+"%d", n)); err != nil {
			return fmt.Errorf("seed their families: %w", err)
		}
		if !seed.Opens {
			continue
		}
		if _, err := tx.ExecContext(ctx, opened, digestOf(Cookie(n)), fmt.Sprintf(familyID+"%d", n)); err != nil {
			return fmt.Errorf("seed cookies: %w", err)
		}
	}
	if seed.Ended == 0 {
		return tx.Commit()
	}
	ended := func(statement string, at string) error {
		statement = strings.Replace(text(statement), "$2", strings.Replace(cast, "1", "2", 1), 1)
		_, err := tx.ExecContext(ctx, statement, seed.Ended, seed.Users-seed.Ended, at)
		return err
	}
	err = errors.Join(ended(endedSessions, at(-time.Minute)), ended(endedFamilies, at(-time.Minute)), ended(endedTokens, at(time.Hour)))
	if err != nil {
		return fmt.Errorf("seed ended sessions: %w", err)
	}
	return tx.Commit()
}
