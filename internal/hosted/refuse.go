package hosted

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/web"
)

// refuse responds to a browser with a page, to programs as the API does.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !wantsPage(r) {
		p.program(w, r, err)
		return
	}
	p.fail(w, r, err)
}

// wantsPage reports whether the client is a browser that shows the response.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// fail shows the page for an error. What it says to a user depends on the kind only;
// the code and the sentence of the error are for the developer.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, code, detailed := http.StatusInternalServerError, "internal_error", ""
	var wait time.Duration
	switch f, e := (*fault.Error)(nil), (*web.Error)(nil); {
	case errors.As(err, &e):
		status, code, detailed = e.Status, e.Code, e.Detail
	case errors.As(err, &f):
		status, code, detailed, wait = statusOf(f.Kind), f.Code, f.Message, f.RetryAfter
	}
	web.Refused(r.Context(), code)
	if status == http.StatusInternalServerError {
		p.log.ErrorContext(r.Context(), "page failed", "request_id", web.FactsOf(r.Context()).RequestID, "error", err)
		detailed = ""
	}
	language := p.language(r, "")
	view := messageView{Key: keyOf(status, code), Button: language.text("not_found.home"), URL: p.base + "/"}
	switch status {
	case http.StatusNotFound:
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		fallthrough
	default:
		view.Details = []detail{{language.text("error.code"), code}}
		if detailed != "" {
			view.Details = append(view.Details, detail{language.text("error.description"), detailed})
		}
		view.Details = append(view.Details, detail{language.text("error.request_id"), web.FactsOf(r.Context()).RequestID})
	}
	p.render(w, r, page{name: "message", status: status, view: view})
}

// keyOf is the prefix of the texts for an error.
func keyOf(status int, code string) string {
	switch {
	case status == http.StatusNotFound:
		return "not_found"
	case code == "cross_origin":
		return "error.cross_origin"
	case status == http.StatusTooManyRequests:
		return "error.throttled"
	case status == http.StatusServiceUnavailable:
		return "error.unavailable"
	case status >= http.StatusInternalServerError:
		return "error.internal"
	default:
		return "error.method"
	}
}

// statusOf is the one mapping from kinds to statuses of this protocol.
func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated, fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Gone:
		return http.StatusGone
	case fault.Throttled:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
