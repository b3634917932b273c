// Command echo guards a service on labstack/echo, which takes middleware of
// net/http through echo.WrapMiddleware.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/pico-auth/pico-auth/picoauth"
)

func main() {
	guard, err := picoauth.New(picoauth.Config{Issuer: os.Getenv("AUTH_ISSUER"), Audience: os.Getenv("AUTH_AUDIENCE")})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "localhost:8080", Handler: routes(guard), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func routes(guard *picoauth.Guard) http.Handler {
	e := echo.New()
	e.GET("/", func(c *echo.Context) error { return c.String(http.StatusOK, "welcome\n") })
	notes := e.Group("/notes", echo.WrapMiddleware(guard.Require))
	notes.GET("", func(c *echo.Context) error {
		who, _ := picoauth.FromContext(c.Request().Context())
		return c.String(http.StatusOK, "notes of "+who.OrgID+"\n")
	})
	notes.DELETE("/:id", func(c *echo.Context) error {
		return c.String(http.StatusOK, "deleted "+c.Param("id")+"\n")
	}, echo.WrapMiddleware(picoauth.MinRole(picoauth.Operator)))
	return e
}
