package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// versionTable is where goose stores what was applied. Other programs use goose,
// too: the versions are ours only beside ourTable, which each version has.
const (
	versionTable = "goose_db_version"
	ourTable     = "refresh_families"
)

// Table is a table of the schema.
type Table struct {
	Name    string
	Columns []string
	Initial string // condition on the rows that an empty database has; empty: it has none
}

// Tables are the tables of the schema except leases, in an order that foreign
// keys allow.
func Tables() []Table {
	return []Table{
		{Name: "organizations", Initial: "id = 'default'", Columns: []string{"id", "name", "status", "created_at"}},
		{Name: "users", Columns: []string{
			"id", "email", "email_key", "display_name", "password_hash", "role", "org_id", "status",
			"default_password", "created_at", "last_login_at", "credentials_version", "profile", "updated_at", "password_form", "name_key",
			"email_verified", "metadata",
		}},
		{Name: "groups", Columns: []string{"id", "name", "name_key", "description", "org_id", "created_at", "updated_at"}},
		{Name: "group_members", Columns: []string{"group_id", "user_id", "joined_at"}},
		{Name: "sessions", Columns: []string{
			"id", "user_id", "created_at", "auth_time", "amr", "acr", "last_used_at", "address", "user_agent",
			"idle_expires_at", "expires_at", "ended_at", "end_reason", "spared_jti", "cookie_hash", "stay", "wrong_device_codes",
		}},
		{Name: "refresh_families", Columns: []string{
			"id", "user_id", "created_at", "expires_at", "ended_at", "end_reason", "session_id", "client_id", "scope",
			"shared_hash", "audience", "auth_time", "amr", "acr", "claims",
		}},
		{Name: "refresh_tokens", Columns: []string{
			"id", "user_id", "family_id", "token_hash", "expires_at", "created_at", "used_at",
			"access_jti", "access_expires_at", "shared", "successor_id", "successor",
		}},
		{Name: "service_tokens", Columns: []string{
			"id", "name", "own_name", "token_hash", "role", "org_id", "description", "created_at", "revoked_at",
			"expires_at", "last_used_at", "owner_id", "audiences",
		}},
		{
			Name: "settings", Columns: []string{"key", "value"},
			Initial: "key IN ('" + settingGuard + "', '" + settingKeySet + "')",
		},
		{Name: "signing_keys", Columns: []string{
			"kid", "algorithm", "status", "public_key", "for_api", "sealed_key", "row_mac", "created_at", "activated_at", "retired_at",
			"removed_at", "counted_ms", "token_life_ms",
		}},
		{Name: "throttle", Columns: []string{"account", "network", "failures", "failed_at", "signed_in_at", "expires_at"}},
		{Name: "audit_events", Columns: []string{
			"id", "at", "action", "outcome", "actor_kind", "actor_id", "on_behalf_of", "target_id", "org_id", "address", "request_id", "detail", "seq", "link",
		}},
		{Name: "clients", Columns: []string{
			"id", "org_id", "status", "metadata", "logo", "declared", "created_by", "created_at", "updated_at", "not_before",
		}},
		{Name: "client_secrets", Columns: []string{"id", "client_id", "secret_hash", "created_at"}},
		{Name: "client_assertions", Columns: []string{"client_id", "jti_hash", "expires_at"}},
		{Name: "authorization_requests", Columns: []string{
			"id", "client_id", "request", "decided", "browser_hash", "network", "session_id", "created_at", "expires_at",
			"purge_at", "code_hash", "code_expires_at", "code_used_at", "family_id",
		}},
		{Name: "consents", Columns: []string{"user_id", "client_id", "scope", "granted_at"}},
		{Name: "device_codes", Columns: []string{
			"device_hash", "user_code", "client_id", "scope", "resource", "address", "network", "status", "user_id", "session_id",
			"created_at", "expires_at", "polled_at",
		}},
		{Name: "logout_deliveries", Columns: []string{
			"session_id", "client_id", "user_id", "created_at", "attempts", "next_at", "problem", "traceparent", "tracestate",
		}},
	}
}

// TableNames are the names of all tables of the schema, sorted, without goose's.
func TableNames() []string {
	names := []string{"leases"}
	for _, t := range Tables() {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// CheckedTables are the tables that the role of a PostgreSQL database needs all rights
// on, and those that it only reads.
func CheckedTables() (ours, read []string) { return TableNames(), []string{versionTable} }

// Schema is what the catalogue of a database shows.
type Schema struct {
	Version int64    // the newest migration that was applied; 0: none
	Tables  []string // all of them except goose's, sorted
}

// Inspect reads the catalogue and the version, and nothing else.
func Inspect(ctx context.Context, q engine.Querier, kind string) (Schema, error) {
	tables, err := engine.Tables(ctx, q, kind)
	if err != nil {
		return Schema{}, fmt.Errorf("read the catalogue: %w", err)
	}
	var s Schema
	if slices.Contains(tables, versionTable) {
		err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&s.Version)
		if err != nil {
			return Schema{}, fmt.Errorf("read the schema version: %w", err)
		}
	}
	s.Tables = slices.DeleteFunc(tables, func(name string) bool { return name == versionTable })
	return s, nil
}

// Empty reports whether there is no table yet.
func (s Schema) Empty() bool { return s.Version == 0 && len(s.Tables) == 0 }

// Ours reports whether a migration of this program was applied.
func (s Schema) Ours() bool { return s.Version > 0 && slices.Contains(s.Tables, ourTable) }

// Adoptable reports whether there are tables, and no program's migrations:
// they may be of a program that Config.Adopt knows.
func (s Schema) Adoptable() bool { return s.Version == 0 && len(s.Tables) > 0 }

// Refusal returns why Open refuses the database, nil when it does not. It does
// not call Config.Adopt.
func (s Schema) Refusal() error {
	switch {
	case !s.Empty() && !s.Ours():
		return fault.New(fault.Invalid, "foreign_database", fmt.Sprintf(
			"the database holds tables that are neither this server's nor the Python server's (%s); "+
				"set database.url to another database", strings.Join(s.Tables, ", ")))
	case s.Version > SchemaVersion:
		return fault.New(fault.Invalid, "newer_database", fmt.Sprintf(
			"the database was written by a newer version of this program (schema %d, this program knows %d); "+
				"start that version, or restore a backup made by this one", s.Version, SchemaVersion))
	default:
		return nil
	}
}
