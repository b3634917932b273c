package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/pico-auth/pico-auth/internal/web"
)

func (a *API) consentRoutes() []route {
	return []route{
		{
			Route: at(http.MethodGet, "/api/v1/auth/consents", "list_consents", web.Account, web.Bearer),
			Tag:   tagAccount, Summary: "List what I allowed",
			Description: "What the user has allowed clients of the OpenID provider. It outlives sessions.",
			typed:       endpoint(a, a.listConsents),
		},
		{
			Route: at(http.MethodDelete, "/api/v1/auth/consents/{client_id}", "withdraw_consent", web.Account, web.Bearer),
			Tag:   tagAccount, Summary: "Withdraw what I allowed",
			Description: "Ends all tokens that the client holds of the user. It asks again the next time.",
			refusals:    map[int]string{404: "`not_found`: the user has not allowed the client anything"},
			typed:       endpoint(a, a.withdrawConsent),
		},
	}
}

// Consent is what a user allowed a client.
type Consent struct {
	ClientID   string    `json:"client_id" example:"01981b63-8f0e-7d11-9a53-5b0c2d4e6f70"`
	ClientName string    `json:"client_name" example:"Grafana"`
	Scope      string    `json:"scope" doc:"Separated by spaces." example:"openid profile email"`
	GrantedAt  time.Time `json:"granted_at" doc:"When the user was asked last." example:"2026-11-22T10:15:30.123456Z"`
}

// ConsentList is a list of consents, oldest first.
type ConsentList struct {
	Consents []Consent `json:"consents" nullable:"false"`
	Total    int       `json:"total" example:"1"`
}

// ConsentClient is the path of a consent of the user.
type ConsentClient struct {
	ClientID string `path:"client_id" doc:"The client_id of the client." example:"01981b63-8f0e-7d11-9a53-5b0c2d4e6f70"`
}

func (a *API) listConsents(ctx context.Context, by *caller, _ *struct{}) (ConsentList, error) {
	all, err := a.requests.Consents(ctx, by.user.ID)
	list := ConsentList{Consents: make([]Consent, 0, len(all)), Total: len(all)}
	for _, c := range all {
		list.Consents = append(list.Consents, Consent{ClientID: c.ClientID, ClientName: c.Client.Name, Scope: c.Scope, GrantedAt: c.GrantedAt.UTC()})
	}
	return list, err
}

func (a *API) withdrawConsent(ctx context.Context, by *caller, in *ConsentClient) (Message, error) {
	return Message{"Consent withdrawn"}, a.requests.Withdraw(ctx, by.actor, in.ClientID)
}
