package httpapi

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// Change is a field of a PATCH (RFC 7396): absent it stays, null clears it.
type Change struct {
	sent bool
	text string
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Change) UnmarshalJSON(data []byte) error {
	c.sent, c.text = true, ""
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	return json.Unmarshal(data, &c.text)
}

// Schema implements huma.SchemaProvider.
func (Change) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Nullable: true}
}

// ProfileChange changes a user's profile.
type ProfileChange struct {
	DisplayName Change `json:"display_name,omitzero" maxLength:"255" example:"Ada Lovelace"`
	GivenName   Change `json:"given_name,omitzero" maxLength:"255" example:"Ada"`
	FamilyName  Change `json:"family_name,omitzero" maxLength:"255" example:"Lovelace"`
	MiddleName  Change `json:"middle_name,omitzero" maxLength:"255" example:"King"`
	Nickname    Change `json:"nickname,omitzero" maxLength:"255" example:"Ada"`
	Page        Change `json:"profile,omitzero" maxLength:"2048" doc:"An http or https URL." example:"https://example.com/ada"`
	Picture     Change `json:"picture,omitzero" maxLength:"2048" doc:"An http or https URL." example:"https://example.com/ada.png"`
	Website     Change `json:"website,omitzero" maxLength:"2048" doc:"An http or https URL." example:"https://example.com"`
	Gender      Change `json:"gender,omitzero" maxLength:"255" example:"female"`
	Birthdate   Change `json:"birthdate,omitzero" maxLength:"10" doc:"YYYY-MM-DD, 0000-MM-DD without the year, or YYYY." example:"1815-12-10"`
	Zoneinfo    Change `json:"zoneinfo,omitzero" maxLength:"64" doc:"A name of the time zone database." example:"Europe/London"`
	Locale      Change `json:"locale,omitzero" maxLength:"35" doc:"A language tag (BCP 47)." example:"en-GB"`
}

// fields are the fields that were sent.
func (p ProfileChange) fields() map[string]string {
	sent := map[string]string{}
	for name, c := range map[string]Change{
		"display_name": p.DisplayName, "given_name": p.GivenName, "family_name": p.FamilyName, "middle_name": p.MiddleName,
		"nickname": p.Nickname, "profile": p.Page, "picture": p.Picture, "website": p.Website, "gender": p.Gender,
		"birthdate": p.Birthdate, "zoneinfo": p.Zoneinfo, "locale": p.Locale,
	} {
		if c.sent {
			sent[name] = c.text
		}
	}
	return sent
}

// UserUpdate changes a user on an administrator's behalf.
type UserUpdate struct {
	ProfileChange
	Email *string `json:"email,omitempty" minLength:"3" maxLength:"254" doc:"Ends the user's sessions." example:"ada@example.com"`
	OrgID *string `json:"org_id,omitempty" maxLength:"36" doc:"Moves the user, which ends their sessions and memberships. For superadmins." example:"default"`
	TokenDecision
}

// AccountDeletion proves that the user is there.
type AccountDeletion struct {
	Password      string                 `json:"password,omitempty" format:"password" doc:"Not needed soon after a sign-in." example:"correct horse battery"`
	ServiceTokens identity.TokenDecision `json:"service_tokens,omitempty" enum:"revoke" doc:"Required for a user who owns service tokens." example:"revoke"`
}

func profileOf(u identity.User) Profile {
	p := u.Profile
	return Profile{
		ID: u.ID, Email: u.Email, DisplayName: u.DisplayName, Role: u.Role, OrgID: u.OrgID, Status: u.Status,
		CreatedAt: u.CreatedAt.UTC(), LastLoginAt: optionalTime(u.LastLoginAt),
		GivenName: p.GivenName, FamilyName: p.FamilyName, MiddleName: p.MiddleName, Nickname: p.Nickname,
		Page: p.Page, Picture: p.Picture, Website: p.Website, Gender: p.Gender, Birthdate: p.Birthdate,
		Zoneinfo: p.Zoneinfo, Locale: p.Locale, UpdatedAt: optionalTime(u.UpdatedAt),
	}
}

func (a *API) getUser(ctx context.Context, by caller, in *UserID) (Profile, error) {
	standing, err := a.directory.User(ctx, by.actor, in.ID)
	return profileOf(standing.User), err
}

type updateUserInput struct {
	UserID
	Body UserUpdate
}

func (a *API) updateUser(ctx context.Context, by caller, in *updateUserInput) (Profile, error) {
	user, err := a.directory.Update(ctx, by.actor, in.ID, directory.UserChange{
		Profile: in.Body.fields(), Email: in.Body.Email, OrgID: in.Body.OrgID, Tokens: in.Body.ServiceTokens,
	})
	return profileOf(user), err
}

func (a *API) updateMe(ctx context.Context, by caller, in *struct{ Body ProfileChange }) (Profile, error) {
	user, err := a.directory.UpdateOwn(ctx, by.actor, in.Body.fields())
	return profileOf(user), err
}

func (a *API) deleteMe(ctx context.Context, by caller, in *struct{ Body *AccountDeletion }) (Message, error) {
	var body AccountDeletion
	if in.Body != nil {
		body = *in.Body
	}
	return Message{"Account deleted"}, a.directory.DeleteOwn(ctx, by.actor, body.Password, body.ServiceTokens)
}
