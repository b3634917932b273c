// Command gin guards a service on gin-gonic/gin, whose middleware has a type of
// its own: wrap takes picoauth's.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

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
	r := gin.New()
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "welcome\n") })
	notes := r.Group("/notes", wrap(guard.Require))
	notes.GET("", func(c *gin.Context) {
		who, _ := picoauth.FromContext(c.Request.Context())
		c.String(http.StatusOK, "notes of %s\n", who.OrgID)
	})
	notes.DELETE("/:id", wrap(picoauth.MinRole(picoauth.Operator)), func(c *gin.Context) {
		c.String(http.StatusOK, "deleted %s\n", c.Param("id"))
	})
	return r
}

// wrap adapts middleware of net/http to gin: the chain continues if the inner handler
// is called, and is aborted otherwise.
func wrap(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r
			c.Next()
		})
		middleware(next).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}
