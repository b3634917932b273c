package store

import (
	"context"
	"errors"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

var errStub = errors.New("store: not built yet")

// ErrReuse will be replaced.
var ErrReuse = errors.New("a spent refresh token came back")

type Stats struct {
	Transactions, Batches, BatchedActs, LargestBatch, Refused, Busy uint64
	Queue                                                           int
	ReadSeconds, WriteSeconds                                       float64
}

func Open(ctx context.Context, cfg Config) (*Store, error)               { return nil, errStub }
func (s *Store) Close() error                                            { return nil }
func (s *Store) Ping(ctx context.Context) error                          { return errStub }
func (s *Store) Backup(ctx context.Context, path string) error           { return errStub }
func (s *Store) Engine() string                                          { return "" }
func (s *Store) Path() string                                            { return "" }
func (s *Store) Adopted() (backup string, dropped int, ok bool)          { return }
func (s *Store) Stats() Stats                                            { return Stats{} }
func (s *Store) Purge(ctx context.Context, batch int) (n int, err error) { return 0, errStub }

func (s *Store) InsertEvent(ctx context.Context, ev Event) error { return errStub }
func (s *Store) Events(ctx context.Context, limit int) ([]Event, error) {
	return nil, errStub
}

func (s *Store) UserByID(ctx context.Context, id string) (u identity.User, err error) {
	return u, errStub
}
func (s *Store) UserByEmail(ctx context.Context, emailKey string) (u identity.User, err error) {
	return u, errStub
}
func (s *Store) Bearer(ctx context.Context, userID, familyID string) (u identity.User, ended identity.EndReason, err error) {
	return u, "", errStub
}
func (s *Store) InsertUser(ctx context.Context, act Act, u identity.User) error { return errStub }
func (s *Store) InsertFirstAdmin(ctx context.Context, u identity.User) (created bool, err error) {
	return false, errStub
}
func (s *Store) CreateUser(ctx context.Context, act Act, u identity.User) error { return errStub }
func (s *Store) Users(ctx context.Context, by identity.Actor, f ListFilter) (p Page[identity.User], err error) {
	return p, errStub
}
func (s *Store) SetRole(ctx context.Context, act Act, userID string, role identity.Role) (u identity.User, err error) {
	return u, errStub
}
func (s *Store) SetStatus(ctx context.Context, act Act, userID string, status identity.Status) (u identity.User, err error) {
	return u, errStub
}
func (s *Store) DeleteUser(ctx context.Context, act Act, userID string) error { return errStub }
func (s *Store) ResetPassword(ctx context.Context, act Act, userID string, hash identity.PasswordHash) error {
	return errStub
}
func (s *Store) ChangePassword(ctx context.Context, act Act, oldHash, newHash identity.PasswordHash) error {
	return errStub
}
func (s *Store) HasSuperadmin(ctx context.Context) (bool, error) { return false, errStub }
func (s *Store) DefaultPasswordAdmin(ctx context.Context) (email string, ok bool, err error) {
	return "", false, errStub
}

func (s *Store) InsertGroup(ctx context.Context, act Act, g identity.Group) (stored identity.Group, err error) {
	return g, errStub
}
func (s *Store) Group(ctx context.Context, by identity.Actor, id string) (g identity.Group, m []identity.Member, err error) {
	return g, nil, errStub
}
func (s *Store) Groups(ctx context.Context, by identity.Actor, f ListFilter) (p Page[identity.Group], err error) {
	return p, errStub
}
func (s *Store) UpdateGroup(ctx context.Context, act Act, id string, name, description *string) (g identity.Group, err error) {
	return g, errStub
}
func (s *Store) DeleteGroup(ctx context.Context, act Act, id string) error { return errStub }
func (s *Store) AddMember(ctx context.Context, act Act, groupID, userID string) error {
	return errStub
}
func (s *Store) RemoveMember(ctx context.Context, act Act, groupID, userID string) error {
	return errStub
}

func (s *Store) StartFamily(ctx context.Context, act Act, userID string, verified identity.PasswordHash, familyID string, absoluteEnd time.Time, next NewRefresh) (g Grant, err error) {
	return g, errStub
}
func (s *Store) RotateRefresh(ctx context.Context, by identity.Actor, hashes []string, next NewRefresh) (g Grant, err error) {
	return g, errStub
}
func (s *Store) EndFamily(ctx context.Context, act Act, familyID string) error { return errStub }
func (s *Store) EndFamilyByToken(ctx context.Context, act Act, hashes []string) (familyID string, err error) {
	return "", errStub
}
func (s *Store) RevokedJTIs(ctx context.Context) ([]string, error) { return nil, errStub }
func (s *Store) InsertServiceToken(ctx context.Context, act Act, t identity.ServiceToken, hash string) (stored identity.ServiceToken, created bool, err error) {
	return t, false, errStub
}
func (s *Store) ServiceTokenByHash(ctx context.Context, hashes []string) (t identity.ServiceToken, err error) {
	return t, errStub
}
func (s *Store) ServiceTokens(ctx context.Context, by identity.Actor, f ListFilter) (p Page[identity.ServiceToken], err error) {
	return p, errStub
}
func (s *Store) RevokeServiceToken(ctx context.Context, act Act, name string) error { return errStub }

func (s *Store) Registration(ctx context.Context) (enabled, set bool, err error) {
	return false, false, errStub
}
func (s *Store) SetRegistration(ctx context.Context, act Act, enabled bool) error { return errStub }
func (s *Store) AdoptedKey(ctx context.Context) (k AdoptedKey, err error)         { return k, errStub }
func (s *Store) SetAdoptedKey(ctx context.Context, thumbprint string) error       { return errStub }
