package token_test

import (
	"database/sql" //nolint:depguard // holds the write lock of the file
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

// Anyone can make a token up, and the writer is shared by all.
func TestAMadeUpTokenDoesNotWaitForTheWriter(t *testing.T) {
	url := storetest.SQLite(t)
	r := testrig.New(t, url)
	lock, err := sql.Open("sqlite", r.Store.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	lock.SetMaxOpenConns(1)
	if _, err := lock.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context() // one that waits is refused as unavailable after five seconds
	const made = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	_, refreshed := r.Tokens.Rotate(ctx, web, made)
	_, validated := r.Tokens.ValidateServiceToken(ctx, web, "pico_svc_"+made)
	for name, err := range map[string]error{
		"refresh": refreshed, "logout": r.Sessions.EndByRefreshToken(ctx, web, made), "service token": validated,
	} {
		if !faultIs(err, fault.Unauthenticated, "invalid_token") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
