package picoauth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

// A service that greets the user of each token.
func Example() {
	issuer := picoauthtest.Start() // in production: your pico-auth server
	defer issuer.Close()

	guard, err := picoauth.New(picoauth.Config{Issuer: issuer.URL(), Audience: "pico-bot"})
	if err != nil {
		fmt.Println(err)
		return
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := picoauth.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "hello %s of %s", who.Subject, who.OrgID)
	})
	service := guard.Require(hello)

	fmt.Println(call(service, "GET", "/", issuer.Mint(picoauthtest.Claims{"sub": "ann"})))
	fmt.Println(call(service, "GET", "/", ""))
	// Output:
	// 200 hello ann of default
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"a bearer token is required","error":"unauthenticated"}
}

// Reading is allowed without a token; writing needs a role.
func ExampleMinRole() {
	issuer := picoauthtest.Start()
	defer issuer.Close()
	guard, err := picoauth.New(issuer.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	said := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, what) })
	}
	operators := picoauth.MinRole(picoauth.Operator)
	mux := http.NewServeMux()
	mux.Handle("GET /notes", guard.Optional(said("read")))
	mux.Handle("POST /notes", guard.Require(operators(said("written"))))

	viewer := issuer.Mint(picoauthtest.Claims{"role": picoauth.Viewer})
	operator := issuer.Mint(picoauthtest.Claims{"role": picoauth.Operator})
	fmt.Println(call(mux, "GET", "/notes", ""))
	fmt.Println(call(mux, "POST", "/notes", operator))
	fmt.Println(call(mux, "POST", "/notes", viewer))
	// Output:
	// 200 read
	// 200 written
	// 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"this needs at least the role operator","error":"insufficient_scope"}
}

// A token may have claims of your own.
func ExampleSecurityContext_Decode() {
	issuer := picoauthtest.Start()
	defer issuer.Close()
	guard, err := picoauth.New(issuer.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	service := guard.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := picoauth.FromContext(r.Context())
		var own struct {
			Tenant string `json:"tenant"`
		}
		if err := who.Decode(&own); err != nil {
			guard.Refuse(w, r, err)
			return
		}
		_, _ = io.WriteString(w, own.Tenant)
	}))
	fmt.Println(call(service, "GET", "/", issuer.Mint(picoauthtest.Claims{"tenant": "acme"})))
	// Output: 200 acme
}

// Members of both of two groups: nest RequireGroup.
func ExampleRequireGroup() {
	issuer := picoauthtest.Start()
	defer issuer.Close()
	guard, err := picoauth.New(issuer.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	open := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "open") })
	either := guard.Require(picoauth.RequireGroup("red", "blue")(open))
	both := guard.Require(picoauth.RequireGroup("red")(picoauth.RequireGroup("blue")(open)))

	red := issuer.Mint(picoauthtest.Claims{"groups": []string{"red"}})
	fmt.Println(call(either, "GET", "/", red))
	fmt.Println(call(both, "GET", "/", red)[:3])
	// Output:
	// 200 open
	// 403
}

// A handler is tested by itself by putting a user into the context.
func ExampleNewContext() {
	handler := picoauth.MinRole(picoauth.OrgAdmin)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := picoauth.FromContext(r.Context())
		_, _ = io.WriteString(w, who.Email)
	}))
	ctx := picoauth.NewContext(httptest.NewRequest("GET", "/", nil).Context(),
		&picoauth.SecurityContext{Subject: "1", Email: "ann@example.com", Role: picoauth.OrgAdmin})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	fmt.Println(w.Code, w.Body)
	// Output: 200 ann@example.com
}

func call(handler http.Handler, method, target, token string) string {
	r := httptest.NewRequest(method, target, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return fmt.Sprint(w.Code, " ", w.Body)
}
