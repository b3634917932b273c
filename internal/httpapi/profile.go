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
	if isNull(data) {
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

	Phone   Change        `json:"phone_number,omitzero" maxLength:"40" doc:"With the country code." example:"+44 20 7946 0018"`
	Address AddressChange `json:"address,omitzero" doc:"A postal address, OpenID Connect Core 5.1.1."`
}

// AddressChange changes parts of a user's postal address; null clears all of them.
type AddressChange struct {
	Formatted  Change `json:"formatted,omitzero" maxLength:"500" doc:"The whole address, with line breaks." example:"12 St James's Square, London"`
	Street     Change `json:"street_address,omitzero" maxLength:"500" example:"12 St James's Square"`
	Locality   Change `json:"locality,omitzero" maxLength:"255" example:"London"`
	Region     Change `json:"region,omitzero" maxLength:"255" example:"England"`
	PostalCode Change `json:"postal_code,omitzero" maxLength:"255" example:"SW1Y 4JH"`
	Country    Change `json:"country,omitzero" maxLength:"255" example:"GB"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *AddressChange) UnmarshalJSON(data []byte) error {
	if isNull(data) {
		cleared := Change{sent: true}
		*a = AddressChange{Formatted: cleared, Street: cleared, Locality: cleared, Region: cleared, PostalCode: cleared, Country: cleared}
		return nil
	}
	type plain AddressChange // without this method
	return json.Unmarshal(data, (*plain)(a))
}

func isNull(data []byte) bool { return bytes.Equal(data, []byte("null")) }

// fields are the fields that were sent.
func (p ProfileChange) fields() map[string]string {
	sent := map[string]string{}
	for name, c := range map[string]Change{
		"display_name": p.DisplayName, "given_name": p.GivenName, "family_name": p.FamilyName, "middle_name": p.MiddleName,
		"nickname": p.Nickname, "profile": p.Page, "picture": p.Picture, "website": p.Website, "gender": p.Gender,
		"birthdate": p.Birthdate, "zoneinfo": p.Zoneinfo, "locale": p.Locale, "phone_number": p.Phone,
		"address.formatted": p.Address.Formatted, "address.street_address": p.Address.Street, "address.locality": p.Address.Locality,
		"address.region": p.Address.Region, "address.postal_code": p.Address.PostalCode, "address.country": p.Address.Country,
	} {
		if c.sent {
			sent[name] = c.text
		}
	}
	return sent
}

// Object is a JSON object in a PATCH: absent it stays, null removes it.
type Object json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(data []byte) error {
	*o = bytes.Clone(data)
	return nil
}

// MarshalJSON implements json.Marshaler.
func (o Object) MarshalJSON() ([]byte, error) { return json.RawMessage(o).MarshalJSON() }

// Schema implements huma.SchemaProvider.
func (Object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Nullable: true}
}

// OwnMetadata changes the part of the metadata that is the user's; null removes it.
type OwnMetadata struct {
	User Object `json:"user,omitempty" doc:"Replaced as a whole. Clients may get claims of it."`
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *OwnMetadata) UnmarshalJSON(data []byte) error {
	if isNull(data) {
		m.User = Object("null")
		return nil
	}
	type plain OwnMetadata // without this method
	return json.Unmarshal(data, (*plain)(m))
}

// MetadataChange changes the metadata of a user; null removes both parts.
type MetadataChange struct {
	Admin Object `json:"admin,omitempty" doc:"Replaced as a whole. Only administrators change it. Clients may get claims of it."`
	User  Object `json:"user,omitempty" doc:"Replaced as a whole. Clients may get claims of it."`
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *MetadataChange) UnmarshalJSON(data []byte) error {
	if isNull(data) {
		m.Admin, m.User = Object("null"), Object("null")
		return nil
	}
	type plain MetadataChange // without this method
	return json.Unmarshal(data, (*plain)(m))
}

// parts are those that were sent.
func (m MetadataChange) parts() map[string]json.RawMessage {
	sent := map[string]json.RawMessage{}
	if m.Admin != nil {
		sent[identity.MetadataAdmin] = json.RawMessage(m.Admin)
	}
	if m.User != nil {
		sent[identity.MetadataUser] = json.RawMessage(m.User)
	}
	return sent
}

// OwnUpdate changes the account of the caller.
type OwnUpdate struct {
	ProfileChange
	Metadata OwnMetadata `json:"metadata,omitzero" doc:"At most 8 KiB together with the part of administrators."`
}

// UserUpdate changes a user on an administrator's behalf.
type UserUpdate struct {
	ProfileChange
	Email         *string        `json:"email,omitempty" minLength:"3" maxLength:"254" doc:"Ends the user's sessions." example:"ada@example.com"`
	EmailVerified *bool          `json:"email_verified,omitempty" doc:"That the user receives mail at the address. Another address is not verified." example:"true"`
	Metadata      MetadataChange `json:"metadata,omitzero" doc:"At most 8 KiB."`
	OrgID         *string        `json:"org_id,omitempty" maxLength:"36" doc:"Moves the user, which ends their sessions and memberships. For superadmins." example:"default"`
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
		Zoneinfo: p.Zoneinfo, Locale: p.Locale, UpdatedAt: optionalTime(u.UpdatedAt), EmailVerified: u.EmailVerified,
		Phone: p.Phone, Address: Address(p.Address),
	}
}

func (a *API) getUser(ctx context.Context, by *caller, in *UserID) (Profile, error) {
	standing, err := a.directory.User(ctx, by.actor, in.ID)
	profile := profileOf(standing.User)
	profile.Metadata = Object(standing.Metadata)
	return profile, err
}

type updateUserInput struct {
	UserID
	Body UserUpdate
}

func (a *API) updateUser(ctx context.Context, by *caller, in *updateUserInput) (Profile, error) {
	user, err := a.directory.Update(ctx, by.actor, in.ID, directory.UserChange{
		Profile: in.Body.fields(), Email: in.Body.Email, OrgID: in.Body.OrgID, Tokens: in.Body.ServiceTokens,
		EmailVerified: in.Body.EmailVerified, Metadata: in.Body.Metadata.parts(),
	})
	profile := profileOf(user)
	profile.Metadata = Object(user.Metadata)
	return profile, err
}

func (a *API) updateMe(ctx context.Context, by *caller, in *struct{ Body OwnUpdate }) (Profile, error) {
	user, err := a.directory.UpdateOwn(ctx, by.actor, in.Body.fields(), json.RawMessage(in.Body.Metadata.User))
	profile := profileOf(user)
	profile.Metadata = Object(identity.OwnMetadata(user.Metadata))
	return profile, err
}

func (a *API) deleteMe(ctx context.Context, by *caller, in *struct{ Body *AccountDeletion }) (Message, error) {
	var body AccountDeletion
	if in.Body != nil {
		body = *in.Body
	}
	return Message{"Account deleted"}, a.directory.DeleteOwn(ctx, by.actor, body.Password, body.ServiceTokens)
}
