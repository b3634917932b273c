package oidc

import (
	"net/http"
	"net/url"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

// devicePage is where a user types the code of a device; it is short, since it is typed,
// too.
const devicePage = "/device"

func (p *Provider) deviceRoutes() []web.Route {
	route := form("/device", "device_authorization", web.ClientSecret, p.serveDevice)
	route.OfClients = true
	return []web.Route{route}
}

// deviceAuthorization is the response, RFC 8628 section 3.2.
type deviceAuthorization struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int    `json:"expires_in"`
	Interval                int    `json:"interval"`
}

// serveDevice is the device authorization endpoint, RFC 8628 section 3.1.
func (p *Provider) serveDevice(w http.ResponseWriter, r *http.Request) {
	codes, err := p.startDevice(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, deviceAuthorization{
		DeviceCode: string(codes.Device), UserCode: codes.User, VerificationURI: p.address(devicePage),
		VerificationURIComplete: p.address(devicePage) + "?" + url.Values{"user_code": {codes.User}}.Encode(),
		ExpiresIn:               int(authorize.DeviceLifetime.Seconds()), Interval: int(token.DeviceInterval.Seconds()),
	})
}

func (p *Provider) startDevice(w http.ResponseWriter, r *http.Request) (authorize.DeviceCodes, error) {
	params, err := readForm(w, r)
	if err != nil {
		return authorize.DeviceCodes{}, err
	}
	c, err := p.authenticate(w, r, params)
	if err != nil {
		return authorize.DeviceCodes{}, err
	}
	scope, resources, err := oauth.ParseDeviceAuthorization(params, c, p.issuer)
	if err != nil {
		return authorize.DeviceCodes{}, err
	}
	return p.requests.StartDevice(r.Context(), web.Actor(r.Context()), c, scope, resources)
}
