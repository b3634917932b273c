package hosted

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// The link and the script lead to where the header Refresh does, also to an app of a phone,
// whose scheme html/template does not know (RFC 8252, section 7.1).
func TestTheSignedOutPageLeadsBackToEveryClient(t *testing.T) {
	for _, address := range []string{
		"https://notes.example/bye?state=a", "http://127.0.0.1:7000/bye", "com.example.notes:/bye", "com.example.notes://bye/x?state=a%20b",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/oauth2/logout", http.NoBody)
		newPages(Theme{}).SignedOut(w, r, &oauth.Client{Name: "Notes"}, address, []string{"https://wiki.example/front"})
		if body := w.Body.String(); !strings.Contains(body, `<a class="button" role="button" href="`+address+`">`) || !strings.Contains(body, "signed-out.") {
			t.Errorf("%s: %s", address, body)
		}
	}
}
