package server_test

import (
	"net/http"
	"testing"

	"github.com/pico-auth/pico-auth/internal/config"
)

// With these settings the end-to-end tests of the Python server pass as they are. Their
// passwords are "pass", "new" and the like; here they are registered, signed in with,
// changed to and reset to.
func TestPasswordsOfTheOriginalsTestsAreGoodWithoutMinimumAndBlocklist(t *testing.T) {
	s := start(t, t.TempDir(), func(c *config.Config) {
		c.Auth.PasswordMinLength, c.Auth.PasswordBlocklist = 1, false
	})
	admin, _ := s.login("admin@pico.local", "admin")
	for _, password := range []string{"pass", "old", "new", "real", "mypass", "correct", "secret123", "adminpass", "x", "1"} {
		email := "user-" + password + "@test.example"
		id := s.must("POST", "/api/v1/auth/register", "", map[string]string{"email": email, "password": password})["id"].(string)
		access, _ := s.login(email, password)
		s.must("POST", "/api/v1/auth/me/password", access, map[string]string{"old_password": password, "new_password": password + "2"})
		s.must("PUT", "/api/v1/auth/users/"+id+"/password", admin, map[string]string{"new_password": "newpass"})
		s.login(email, "newpass")
	}
	if status, _ := s.call("POST", "/api/v1/auth/register", "", map[string]string{"email": "e@test.example", "password": ""}); status != http.StatusUnprocessableEntity {
		t.Errorf("an empty password: %d", status)
	}
}
