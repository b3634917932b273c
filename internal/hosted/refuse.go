package hosted

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// refuse responds to a browser with a page, to programs as the API does.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !wantsPage(r) && !errors.Is(err, errSignIn) {
		p.program(w, r, err)
		return
	}
	p.Error(w, r, err)
}

// wantsPage reports whether the client is a browser that shows the response.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// refusal is what a page says about an error: to the user by its key, to a developer by
// the rest.
type refusal struct {
	status      int
	key         string // prefix of the texts title and text
	code        string
	description string
	wait        time.Duration
}

// Error shows the page for an error of a request of a browser: what to do to the user, and
// to a developer the code and which parameter was wrong. The log has the same for the
// operator. A session that has ended leads to the sign-in page instead.
func (p *Pages) Error(w http.ResponseWriter, r *http.Request, err error) { p.fail(w, r, "", err) }

// fail is Error within an authorization request with those ui_locales.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, locales string, err error) {
	no := refusalOf(err)
	web.Refused(r.Context(), no.code)
	p.logRefusal(r, no, err)
	if fault.KindOf(err) == fault.Unauthenticated {
		p.seeOther(w, "/sign-in")
		return
	}
	l := p.language(r, locales)
	view := messageView{Title: l.text(no.key + ".title"), Text: l.text(no.key + ".text")}
	if ended, own := errors.AsType[*authorize.Ended](err); own {
		p.renderEnded(w, r, *ended, no)
		return
	}
	if no.status == http.StatusNotFound {
		view.Button, view.URL = l.text("not_found.home"), p.base+"/"
	} else {
		view.Details = l.details(no, web.FactsOf(r.Context()).RequestID)
	}
	if no.status == http.StatusTooManyRequests || no.status == http.StatusServiceUnavailable {
		seconds := inSeconds(no.wait)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		if no.status == http.StatusTooManyRequests && seconds > 1 {
			view.Text = l.text("error.throttled.wait", l.wait(no.wait))
		}
	}
	p.render(w, r, page{name: "message", status: no.status, view: view, locales: locales})
}

// renderEnded shows the browser that an authorization request belongs to where it goes on,
// once it has its response or has expired.
func (p *Pages) renderEnded(w http.ResponseWriter, r *http.Request, ended authorize.Ended, no refusal) {
	pg, name := page{name: "message", locales: strings.Join(ended.UILocales, " ")}, ended.Client.Name
	l := p.language(r, pg.locales)
	var view messageView
	if ended.SignedIn {
		view = messageView{Title: l.text("ended.title"), Text: l.text("ended.text", name), Button: l.text("signed_out.return", name), Good: true}
	} else {
		pg.status = no.status
		view = messageView{Title: l.text("error.browser.title"), Text: l.text("error.ended.text", name), Button: l.text("error.back", name)}
		view.Details = l.details(no, web.FactsOf(r.Context()).RequestID)
	}
	if view.URL = originOf(ended.RedirectURI); view.URL == "" || ended.Client.Kind == oauth.KindNative { // listens for one response only
		view.Button = ""
	}
	pg.view = view
	p.render(w, r, pg)
}

func (l *locale) details(no refusal, requestID string) []detail {
	all := []detail{{l.text("error.code"), no.code}}
	if no.description != "" {
		all = append(all, detail{l.text("error.description"), no.description})
	}
	return append(all, detail{l.text("error.request_id"), requestID})
}

func inSeconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

// refusalOf is the one mapping from errors to what a page says.
func refusalOf(err error) refusal {
	if errors.Is(err, authorize.ErrNotFound) {
		return refusal{status: http.StatusBadRequest, key: "error.browser", code: "authorization_not_found"}
	}
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return refusal{status: http.StatusBadRequest, key: "error.request", code: string(e.Code), description: e.Description}
	}
	if e, ok := errors.AsType[*web.Error](err); ok {
		return refusal{status: e.Status, key: keyOf(e.Status, e.Code), code: e.Code, description: e.Detail}
	}
	f, classified := errors.AsType[*fault.Error](err)
	if !classified || f.Kind == fault.Internal {
		return refusal{status: http.StatusInternalServerError, key: "error.internal", code: "internal_error"}
	}
	status := statusOf(f.Kind)
	no := refusal{status: status, key: keyOf(status, f.Code), code: f.Code, description: f.Message, wait: f.RetryAfter}
	if f.Kind == fault.Unavailable {
		no.code, no.description = "unavailable", ""
	}
	return no
}

// keyOf is the prefix of the texts for a status and a code.
func keyOf(status int, code string) string {
	switch {
	case code == errInsecure.Code:
		return "error.insecure"
	case code == "cross_origin":
		return "error.cross_origin"
	case status == http.StatusNotFound:
		return "not_found"
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
		return http.StatusUnprocessableEntity
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

// logRefusal logs a fault of the server with its cause, and of an authorization request
// which parameter was wrong: its client is not told.
func (p *Pages) logRefusal(r *http.Request, no refusal, err error) {
	_, ofRouter := errors.AsType[*web.Error](err)
	level, message := slog.LevelError, "page failed"
	switch {
	case no.key == "error.request":
		level, message = slog.LevelWarn, "authorization request refused"
	case ofRouter || no.status < http.StatusInternalServerError:
		return
	case r.Context().Err() != nil:
		level = slog.LevelDebug // the client has disconnected
	case no.status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	}
	p.log.LogAttrs(r.Context(), level, message, slog.String("request_id", web.FactsOf(r.Context()).RequestID), slog.Any("error", err))
}

// blame says in a form why it was refused, and returns the status of the page.
func (p *Pages) blame(w http.ResponseWriter, r *http.Request, l *locale, f *form, err error) int {
	no := refusalOf(err)
	web.Refused(r.Context(), no.code)
	p.logRefusal(r, no, err)
	switch {
	case no.status == http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(inSeconds(no.wait)))
		f.Alert = l.text("fault.rate_limited", l.wait(no.wait))
	case no.status >= http.StatusInternalServerError:
		f.Alert = l.text("fault.unavailable")
	case no.code == "email_taken":
		f.mark("email", l.text("fault.email_taken"))
	default:
		f.Alert = l.textOr("fault."+no.code, no.description)
		if e, ok := errors.AsType[*fault.Error](err); ok {
			for _, at := range e.Fields {
				f.mark(at.Name, p.fault(l, *f, at))
			}
		}
	}
	if f.faulty() {
		f.Alert = l.text("fault.check")
	}
	return no.status
}

// mark says what is wrong with a field, and moves the focus to the first such field.
func (f *form) mark(name, text string) {
	first := !f.faulty()
	for i := range f.Fields {
		if f.Fields[i].Name == name {
			f.Fields[i].Fault = text
		}
		if first {
			f.Fields[i].Focus = f.Fields[i].Name == name
		}
	}
}

func (f *form) faulty() bool {
	for _, in := range f.Fields {
		if in.Fault != "" {
			return true
		}
	}
	return false
}

// fault is what is wrong with a field. The sentences of the services are in English.
func (p *Pages) fault(l *locale, f form, at fault.Field) string {
	if l.Tag != fallback {
		if at.Name == "password" || at.Name == "new_password" {
			return l.text("fault.new_password", p.shortest)
		}
		return l.textOr("fault."+at.Name, l.text("fault.field"))
	}
	text := at.Message
	for _, in := range f.Fields {
		if in.Name == at.Name {
			if rest, found := strings.CutPrefix(text, in.Name+" "); found {
				text = in.Label + " " + rest
			}
		}
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
