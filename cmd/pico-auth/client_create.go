package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/server"
)

// maxClientFile bounds the files that are read for a client: a key set has 16 KiB at
// most, a logo as an image maxLogo.
const (
	maxClientFile = 64 << 10
	maxLogo       = 24 << 10
)

// clientFlags are the fields of a client that are often set; --set sets every one.
type clientFlags struct {
	Name                  *string  `help:"Its name, which users see; by default the host of the first redirect URI."`
	RedirectURI           []string `sep:"none" placeholder:"URI" help:"Where users return to after the sign-in. Compared exactly. This and others may be given several times."`
	PostLogoutRedirectURI []string `sep:"none" placeholder:"URI" help:"Where users may return to after a logout."`
	BackchannelLogoutURI  *string  `placeholder:"URI" help:"Where the server tells the client of a logout."`
	Scope                 []string `help:"A scope that it may ask for; by default openid, profile, email and offline_access."`
	GrantType             []string `help:"A grant type that it may use; by default those of its kind."`
	Audience              []string `sep:"none" placeholder:"URI" help:"A resource that its access tokens may be for."`
	AuthMethod            *string  `field:"token_endpoint_auth_method" placeholder:"METHOD" help:"How it authenticates: client_secret_basic, client_secret_post, private_key_jwt or none."`
	JWKS                  string   `name:"jwks" placeholder:"FILE" help:"Its public keys for private_key_jwt, as a JSON Web Key Set."`
	PKCE                  *bool    `field:"require_pkce" name:"pkce" negatable:"" help:"Require PKCE; --no-pkce is for old libraries of confidential clients."`
	Consent               *bool    `negatable:"" help:"Ask users before it gets their data (the default)."`
	FirstParty            *bool    `negatable:"" help:"It belongs to the operator of this server: users are not asked."`
	Role                  *string  `help:"The role of its tokens without a user, by default viewer, and the highest of those with the scope admin, by default superadmin, with --org org_admin."`
	IDTokenAlg            *string  `field:"id_token_signed_response_alg" name:"id-token-alg" placeholder:"ALG" help:"Algorithm of its ID tokens; by default RS256."`
	AccessTokenAlg        *string  `field:"access_token_signed_response_alg" placeholder:"ALG" help:"Algorithm of its access tokens; by default auth.algorithm."`
	Claim                 []string `sep:"none" placeholder:"NAME=PATH" help:"A custom claim from the metadata of the user, such as team=admin.team; NAME:=JSON is a constant."`
	Logo                  string   `field:"logo_uri" placeholder:"FILE" help:"A PNG or WebP image of at most 24 KiB."`
	Set                   []string `sep:"none" placeholder:"FIELD=JSON" help:"Any field of the API, such as access_token_lifetime=300 or allowed_roles='[\"operator\"]'."`
}

// settings returns the fields that were given.
func (f clientFlags) settings() (oauth.Settings, error) {
	s := oauth.Settings{}
	for field, text := range map[string]*string{
		"name": f.Name, "backchannel_logout_uri": f.BackchannelLogoutURI, "token_endpoint_auth_method": f.AuthMethod, "role": f.Role,
		"id_token_signed_response_alg": f.IDTokenAlg, "access_token_signed_response_alg": f.AccessTokenAlg,
	} {
		if text != nil {
			s[field] = *text
		}
	}
	for field, list := range map[string][]string{
		"redirect_uris": f.RedirectURI, "post_logout_redirect_uris": f.PostLogoutRedirectURI, "scopes": f.Scope, "grant_types": f.GrantType, "audiences": f.Audience,
	} {
		if list != nil {
			s[field] = list
		}
	}
	for field, yes := range map[string]*bool{"require_pkce": f.PKCE, "consent": f.Consent, "first_party": f.FirstParty} {
		if yes != nil {
			s[field] = *yes
		}
	}
	if err := f.files(s); err != nil {
		return nil, err
	}
	if err := f.claims(s); err != nil {
		return nil, err
	}
	for _, set := range f.Set {
		field, text, found := strings.Cut(set, "=")
		var value any
		if !found || json.Unmarshal([]byte(text), &value) != nil {
			return nil, usage("--set: must be FIELD=JSON, such as access_token_lifetime=300 or policy_uri='\"https://app.example/privacy\"'")
		}
		s[field] = value
	}
	return s, nil
}

func (f clientFlags) files(s oauth.Settings) error {
	if f.JWKS != "" {
		content, err := readClientFile("--jwks", f.JWKS)
		if err != nil {
			return err
		}
		if !json.Valid(content) {
			return usage("--jwks: %s is not JSON", printable(f.JWKS))
		}
		s["jwks"] = json.RawMessage(content)
	}
	if f.Logo != "" {
		content, err := readClientFile("--logo", f.Logo)
		if err != nil {
			return err
		}
		kind := http.DetectContentType(content)
		if kind != "image/png" && kind != "image/webp" || len(content) > maxLogo {
			return usage("--logo: %s is not a PNG or WebP image of at most 24 KiB", printable(f.Logo))
		}
		s["logo_uri"] = "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(content)
	}
	return nil
}

func readClientFile(flag, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, usage("%s: %w", flag, err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxClientFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if len(content) > maxClientFile {
		return nil, usage("%s: %s is too large", flag, printable(path))
	}
	return content, nil
}

func (f clientFlags) claims(s oauth.Settings) error {
	claims := map[string]oauth.Claim{}
	for _, claim := range f.Claim {
		name, value, found := strings.Cut(claim, "=")
		constant, isConstant := strings.CutSuffix(name, ":")
		switch {
		case !found || isConstant && !json.Valid([]byte(value)):
			return usage("--claim: must be NAME=PATH, such as team=admin.team, or NAME:=JSON")
		case isConstant:
			claims[constant] = oauth.Claim{Value: json.RawMessage(value)}
		default:
			claims[name] = oauth.Claim{Path: value}
		}
	}
	if len(claims) > 0 {
		s["claims"] = claims
	}
	return nil
}

type clientCreateCmd struct {
	Kind string `enum:"spa,web,native,machine" required:"" placeholder:"KIND" help:"spa runs in a browser, web on a server, native on the user's device, and machine acts without a user."`
	Org  string `placeholder:"ID" help:"Only users of this organization may sign in, and without a user the client acts in it; by default all users."`
	clientFlags
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth client create --help`.
func (clientCreateCmd) Help() string {
	return `The secret is printed to standard output and never shown again. The kind decides the defaults: a redirect URI is enough. Clients of the
kinds spa and native have no secret.

Examples:

    pico-auth client create --kind web --redirect-uri http://localhost:3000/callback
    pico-auth client create --kind spa --redirect-uri https://app.example/ --post-logout-redirect-uri https://app.example/
    pico-auth client create --kind machine --name billing --audience https://api.example --scope invoices
    pico-auth client create --kind machine --name staff --org acme --role org_admin --scope admin`
}

// Run creates a client.
func (c clientCreateCmd) Run(sh *shell) error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	settings["kind"] = c.Kind
	if c.Org != "" {
		settings["org_id"] = c.Org
	}
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	return sh.open(cfg, func(ctx context.Context, services *server.Services) error {
		created, secret, err := services.Clients.Create(ctx, operator(), settings)
		if err != nil {
			return err
		}
		if c.JSON {
			out := asClientJSON(created)
			out.Secret = secret
			return sh.json(out)
		}
		rows := [][]string{{"client_id", created.ID}}
		if secret != "" {
			rows = append(rows, []string{"client_secret", secret})
		}
		if err := sh.table(rows); err != nil {
			return err
		}
		return sh.say("%s", snippet(cfg.Auth.Issuer, created, secret))
	})
}

type clientUpdateCmd struct {
	clientArg
	clientFlags
	Status string `enum:",active,suspended" default:"" placeholder:"active|suspended" help:"A suspension ends all its tokens; an activation revives none."`
	JSON   bool   `help:"Print JSON."`
	Yes    bool   `help:"Do not ask for confirmation of a suspension."`
}

// Help is the end of `pico-auth client update --help`.
func (clientUpdateCmd) Help() string {
	return `What is not given stays, whatever the default of a new client is; a list that is given replaces the previous one as a whole. A client that the configuration declares is changed there.

Examples:

    pico-auth client update 01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88 --redirect-uri https://wiki.example/callback
    pico-auth client update 01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88 --set policy_uri='"https://wiki.example/privacy"'
    pico-auth client update 01981b61-52ab-7c9e-8d1f-3b8f5f6a7c88 --status suspended`
}

// Run changes a client.
func (c clientUpdateCmd) Run(sh *shell) error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	if c.Status != "" {
		settings["status"] = c.Status
	}
	if len(settings) == 0 {
		return usage("nothing to change: see pico-auth client update --help")
	}
	return sh.withExisting(func(ctx context.Context, services *server.Services) error {
		before, err := services.Clients.Show(ctx, operator(), c.ID)
		if err != nil {
			return err
		}
		if c.Status == "suspended" && !c.Yes {
			if err := c.sure(ctx, sh, services, "Users cannot sign in to it any more.\nType yes to suspend the client", "--yes suspends without asking"); err != nil {
				return err
			}
		}
		updated, err := services.Clients.Update(ctx, operator(), c.ID, settings)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return sh.json(asClientJSON(updated))
		}
		was, err := clientRows(asClientJSON(before.Client))
		if err != nil {
			return err
		}
		is, err := clientRows(asClientJSON(updated))
		if err != nil {
			return err
		}
		return sh.changed(fmt.Sprintf("%s is %s (%s)", printable(updated.Name), clientStatus(updated), printable(updated.ID)), was, is)
	})
}
