package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

const (
	tagAudit = "audit"

	jsonType  = "application/json"
	csvType   = "text/csv"
	linesType = "application/jsonl"

	// auditPage is the length of a page of a list without limit.
	auditPage = 100

	// maxExports limits the exports at one time: each holds a page in memory and
	// reads the database while its client reads.
	maxExports = 4

	// exportPause is how long a client of an export may take for a page.
	exportPause = 30 * time.Second
)

// AuditFilter narrows the list of audit events.
type AuditFilter struct {
	From    time.Time       `query:"from" doc:"Not before this time."`
	To      time.Time       `query:"to" doc:"Before this time."`
	Actor   string          `query:"actor" maxLength:"255" doc:"Id of the actor."`
	Target  string          `query:"target" maxLength:"255" doc:"Id of the target."`
	Action  identity.Action `query:"action" maxLength:"64" doc:"As in docs/audit.md." example:"login"`
	Outcome string          `query:"outcome" enum:"success,refused"`
	Address string          `query:"address" maxLength:"64" doc:"Address of the client." example:"192.0.2.7"`
	OrgID   string          `query:"org_id" doc:"Only this organization. Another one than the own is not found, except by a superadmin."`
	Limit   int             `query:"limit" minimum:"1" maximum:"1000" doc:"Length of a page; by default 100. An export has no pages, unless limit or cursor ask for one."`
	Cursor  string          `query:"cursor" maxLength:"512" doc:"The next_cursor of the previous page."`
	Accept  string          `header:"Accept" hidden:"true"`
}

// AuditPage is a page of audit events, newest first.
type AuditPage struct {
	Events []audit.Event `json:"events" nullable:"false"`
	Next   string        `json:"next_cursor,omitempty" doc:"When there is another page."`
}

func (a *API) auditRoutes() []route {
	return []route{{
		Route: at(http.MethodGet, "/api/v1/audit", "list_audit_events", web.OrgAdmin, web.Bearer),
		Tag:   tagAudit, Summary: "Search the audit log",
		Description: "The events of the own organization, newest first; for a superadmin those of every organization and those without one. " +
			"With `Accept: text/csv` or `application/jsonl` everything that matches is sent as it is read; a response that breaks off is incomplete.",
		query:    []string{"from", "to", "actor", "target", "action", "outcome", "address", "org_id", "limit", "cursor"},
		refusals: map[int]string{404: otherOrg, 429: "`rate_limited`: too many exports or lists at one time"},
		accepts:  true, typed: a.searchAudit,
	}}
}

// searchAudit registers the handler with huma, which knows one type of response
// only.
func (a *API) searchAudit(api huma.API, rt *route) {
	op := rt.operation()
	text := &huma.Schema{Type: huma.TypeString}
	op.Responses = map[string]*huma.Response{"200": {
		Description: http.StatusText(http.StatusOK),
		Content: map[string]*huma.MediaType{
			jsonType:  {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[AuditPage](), true, "")},
			csvType:   {Schema: text},
			linesType: {Schema: text},
		},
	}}
	huma.Register(api, *op, func(ctx context.Context, in *AuditFilter) (*huma.StreamResponse, error) {
		answer, err := a.findEvents(ctx, callerFrom(ctx), in)
		if err != nil {
			return nil, a.refuse(ctx, rt, err)
		}
		return &huma.StreamResponse{Body: answer}, nil
	})
}

// findEvents returns what writes the response. The first page is read before, so
// that what is wrong with the request is a refusal.
func (a *API) findEvents(ctx context.Context, by *caller, in *AuditFilter) (func(huma.Context), error) {
	filter := audit.Filter{
		OrgID: in.OrgID, From: in.From, To: in.To, ActorID: in.Actor, TargetID: in.Target,
		Action: in.Action, Outcome: in.Outcome, Address: in.Address, Limit: in.Limit, Cursor: in.Cursor,
	}
	format, whole := accepted(in.Accept), in.Limit == 0 && in.Cursor == ""
	switch {
	case format == jsonType:
		filter.Limit = cmp.Or(in.Limit, auditPage)
	case whole:
		filter.Limit = audit.MaxLimit
	}
	release, ok := a.beginExport(format)
	if !ok {
		return nil, fault.New(fault.Throttled, "rate_limited", "too many exports at one time; try again")
	}
	events, next, err := a.audit.Search(ctx, by.actor, filter)
	if err != nil {
		release()
		return nil, err
	}
	return func(hctx huma.Context) {
		defer release()
		if format == jsonType {
			hctx.SetHeader("Content-Type", jsonType)
			_ = writeJSON(hctx.BodyWriter(), AuditPage{Events: events, Next: next}) // strings and times only
			return
		}
		_, suffix, _ := strings.Cut(format, "/")
		hctx.SetHeader("Content-Type", format+"; charset=utf-8")
		hctx.SetHeader("Content-Disposition", `attachment; filename="audit.`+suffix+`"`)
		a.export(hctx, format, events, func(cursor string) ([]audit.Event, string, error) {
			filter.Cursor = cursor
			return a.audit.Search(ctx, by.actor, filter)
		}, next, whole)
	}, nil
}

// beginExport takes one of the places for exports; a list needs none.
func (a *API) beginExport(format string) (release func(), ok bool) {
	if format == jsonType {
		return func() {}, true
	}
	select {
	case a.exports <- struct{}{}:
		return func() { <-a.exports }, true
	default:
		return nil, false
	}
}

// export writes the events, and with whole those of all further pages. A response
// that cannot be completed is broken off, so that the client does not take it for
// complete.
func (a *API) export(hctx huma.Context, format string, events []audit.Event, more func(cursor string) ([]audit.Event, string, error), next string, whole bool) {
	_, w := humago.Unwrap(hctx)
	control := http.NewResponseController(w)
	if format == csvType {
		_, _ = io.WriteString(w, audit.CSVHeader())
	}
	for {
		_ = control.SetWriteDeadline(time.Now().Add(exportPause)) // not supported by every writer
		if _, err := w.Write(encode(format, events)); err != nil {
			panic(http.ErrAbortHandler)
		}
		if !whole || next == "" {
			return
		}
		var err error
		if events, next, err = more(next); err != nil {
			_ = a.refuse(hctx.Context(), &route{}, err) // which logs a fault of the server
			panic(http.ErrAbortHandler)
		}
	}
}

func encode(format string, events []audit.Event) []byte {
	var b strings.Builder
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	for _, ev := range events {
		if format == csvType {
			b.WriteString(ev.CSV())
		} else if err := lines.Encode(ev); err != nil {
			panic(err) // strings and a time only
		}
	}
	return []byte(b.String())
}

// accepted is the first format of the header that this endpoint has, JSON if it
// names none.
func accepted(header string) string {
	for item := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(item)
		if err != nil || strings.Trim(params["q"], "0.") == "" && params["q"] != "" {
			continue
		}
		switch kind {
		case jsonType, csvType, linesType:
			return kind
		case "*/*", "application/*":
			return jsonType
		}
	}
	return jsonType
}
