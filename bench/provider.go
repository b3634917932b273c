//go:build linux

package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
)

const (
	tokenPath      = "/oauth2/token" //nolint:gosec // a path
	authorizePath  = "/oauth2/authorize"
	userinfoPath   = "/oauth2/userinfo"
	introspectPath = "/oauth2/introspect"
	clientsPath    = "/api/v1/clients"

	callback = "https://app.example.com/callback"
	scope    = "openid profile email"

	// A pair of RFC 7636, appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// registered is a client of the provider.
type registered struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// form is a request of the client with its secret.
func (r registered) form(path string, values url.Values) []byte {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(r.ID) + ":" + url.QueryEscape(r.Secret)))
	return load.Request("POST", path, "", values.Encode(), "Authorization: Basic "+basic)
}

// register makes a client as the administrator of a new installation does.
func register(addr string, settings map[string]any) (r registered, err error) {
	c, err := load.Dial(addr)
	if err != nil {
		return r, err
	}
	defer c.Close() //nolint:errcheck // nothing is on it any more
	status, body, err := c.Do(load.Request("POST", loginPath, "", `{"email":"admin@pico.local","password":"admin"}`))
	if err := judge(status, body, err); err != nil {
		return r, err
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &tokens); err != nil {
		return r, err
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return r, err
	}
	status, body, err = c.Do(load.Request("POST", clientsPath, tokens.AccessToken, string(text)))
	if err != nil || status != 201 {
		return r, fmt.Errorf("register a client: %d %s %w", status, body, err)
	}
	err = json.Unmarshal(body, &r)
	return r, err
}

// providing is a target with clients of each kind.
type providing struct {
	*target
	web, machine registered
	browsers     []*session // with a signed-in user; those of sessions among them
	access       []string   // an access token of the web client for each session
}

// browsersEach is how many browsers a client of the code flow takes turns with, so that
// none of them meets the limit of what one application starts in one session.
const browsersEach = 64

// openProvider signs with the algorithm.
func (l *lab) openProvider(algorithm string) (_ *providing, err error) {
	w, err := l.open(site.Seed{Users: readClients * browsersEach, Cost: 10, Opens: true}, map[string]string{
		"AUTH_ALGORITHM": algorithm, "THROTTLE_ENABLED": "false",
	})
	if err != nil {
		return nil, err
	}
	p := &providing{target: w, browsers: w.sessions}
	w.sessions = w.sessions[:readClients]
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if p.machine, err = register(w.Addr, map[string]any{"kind": "machine", "name": "bench"}); err != nil {
		return nil, err
	}
	p.web, err = register(w.Addr, map[string]any{
		"kind": "web", "name": "bench", "redirect_uris": []string{callback}, "consent": false, "id_token_signed_response_alg": algorithm,
	})
	if err != nil {
		return nil, err
	}
	c, err := load.Dial(w.Addr)
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // nothing is on it any more
	for _, s := range w.sessions {
		access, _, err := p.exchange(c, p.authorization(s.n))
		if err != nil {
			return nil, err
		}
		p.access = append(p.access, access)
	}
	return p, nil
}

// authorization is the request of the browser of user n.
func (p *providing) authorization(n int) []byte {
	query := url.Values{
		"client_id": {p.web.ID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {scope}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	return load.Request("GET", authorizePath+"?"+query.Encode(), "", "", "Cookie: pico_session_8100="+site.Cookie(n))
}

// exchange is a whole code flow of a user who is signed in.
func (p *providing) exchange(c *load.Conn, authorization []byte) (access, refresh string, err error) {
	status, body, err := c.Do(authorization)
	if err != nil || status != 303 {
		return "", "", errors.Join(err, judge(status, body, nil))
	}
	location, _ := c.Header("Location")
	target, err := url.Parse(location)
	if err != nil || target.Query().Get("code") == "" {
		return "", "", fmt.Errorf("no code in %q: %w", location, err)
	}
	status, body, err = c.Do(p.web.form(tokenPath, url.Values{
		"grant_type": {"authorization_code"}, "code": {target.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier},
	}))
	if err := judge(status, body, err); err != nil {
		return "", "", err
	}
	return tokensOf(body)
}

func tokensOf(body []byte) (access, refresh string, err error) {
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	err = json.Unmarshal(body, &tokens)
	return tokens.Access, tokens.Refresh, err
}

// codeFlows are clients that sign users in, one after the other, who have a session.
func (p *providing) codeFlows() (steps []load.Step) {
	for of := range slices.Chunk(p.browsers, browsersEach) {
		var requests [][]byte
		for _, s := range of {
			requests = append(requests, p.authorization(s.n))
		}
		next := 0
		steps = append(steps, func(c *load.Conn) error {
			request := requests[next%len(requests)]
			next++
			_, _, err := p.exchange(c, request)
			return err
		})
	}
	return steps
}

// rotations are clients of which each keeps one family alive.
func (p *providing) rotations() (steps []load.Step) {
	for _, s := range p.sessions {
		request, refresh := p.authorization(s.n), ""
		steps = append(steps, func(c *load.Conn) (err error) {
			if refresh == "" {
				_, refresh, err = p.exchange(c, request)
				return err
			}
			status, body, err := c.Do(p.web.form(tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}))
			if err := judge(status, body, err); err != nil {
				return err
			}
			_, refresh, err = tokensOf(body)
			return err
		})
	}
	return steps
}

// withAccess makes a client of each access token.
func (p *providing) withAccess(request func(access string) []byte) (steps []load.Step) {
	for _, access := range p.access {
		steps = append(steps, step(request(access)))
	}
	return steps
}

// provider measures the endpoints of OAuth and OpenID Connect.
func (l *lab) provider() (err error) {
	rs256, err := l.openProvider("RS256")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rs256.close()) }()
	es256, err := l.openProvider("ES256")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, es256.close()) }()
	if err := enterAll(rs256.Addr, rs256.sessions); err != nil {
		return err
	}
	var signatures, fast []limit.Speed
	var machines, quick, flows, quickFlows, refreshed, userinfo, introspected, me []load.Result
	side := func(p *providing, clients []load.Step, kept *[]load.Result) func() (float64, error) {
		return closed(load.Closed{Addr: p.Addr, Clients: clients, Warm: l.pace.warm, For: l.pace.window / 2, CPU: p.CPU}, kept)
	}
	credentials := func(p *providing) []load.Step {
		return same(readClients, p.machine.form(tokenPath, url.Values{"grant_type": {"client_credentials"}}))
	}
	m, err := l.round(
		bareRate(l.pace.window/2, limit.Sign("RS256"), &signatures),
		bareRate(l.pace.window/4, limit.Sign("ES256"), &fast),
		side(rs256, credentials(rs256), &machines),
		side(es256, credentials(es256), &quick),
		side(rs256, rs256.codeFlows(), &flows),
		side(es256, es256.codeFlows(), &quickFlows),
		side(rs256, rs256.rotations(), &refreshed),
		side(rs256, rs256.withAccess(func(access string) []byte { return load.Request("GET", userinfoPath, access, "") }), &userinfo),
		side(rs256, rs256.withAccess(func(access string) []byte { return rs256.web.form(introspectPath, url.Values{"token": {access}}) }), &introspected),
		side(rs256, readers(rs256.sessions), &me),
	)
	if err != nil {
		return err
	}
	beyond := func(results []load.Result, speeds []limit.Speed) []float64 {
		var all []float64
		for i, r := range results {
			all = append(all, cpu(r)-2*micro(speeds[i].CPU)) // an access token and an ID token
		}
		return all
	}
	l.add(
		report.Row{
			Key: "provider.credentials", Path: "client credentials, RS256, 32 clients, over the bare signing rate of all cores",
			AtLeast: 0.75, Samples: over(m[2], m[0]), Doubt: doubt(over(m[2], m[0]), 0, 1), Context: say(typical(machines), "tokens"),
		},
		report.Row{
			Key: "provider.credentials_cpu", Path: "CPU of client credentials, RS256, over that of a bare signature",
			Samples: over(each(machines, cpu), cpus(signatures)), Context: fmt.Sprintf("%.0f over %.0f us", cpu(typical(machines)), median(cpus(signatures))),
		},
		report.Row{
			Key: "provider.ES256", Path: "client credentials, ES256, 32 clients", Unit: "/s", AtLeast: 4000, Samples: m[3], Context: say(typical(quick), "tokens"),
		},
		report.Row{
			Key: "provider.code", Path: "code flow of a user who is signed in, RS256: CPU beyond the signatures of its two tokens", Unit: "us", AtMost: 1000,
			Samples: beyond(flows, signatures), Context: say(typical(flows), "flows"),
		},
		report.Row{
			Key: "provider.code_ES256", Path: "the same with ES256", Unit: "us", AtMost: 1000, Samples: beyond(quickFlows, fast), Context: say(typical(quickFlows), "flows"),
		},
		report.Row{
			Key: "provider.refresh", Path: "refresh at the token endpoint, RS256, two tokens: CPU beyond their signatures", Unit: "us",
			Samples: beyond(refreshed, signatures), Context: say(typical(refreshed), "refreshes"),
		},
		report.Row{
			Key: "provider.userinfo", Path: "CPU of userinfo over CPU of GET /me", Samples: over(each(userinfo, cpu), each(me, cpu)), Context: say(typical(userinfo), "requests"),
		},
		report.Row{
			Key: "provider.introspection", Path: "CPU of an introspection over CPU of GET /me", AtMost: 1.5, Samples: over(each(introspected, cpu), each(me, cpu)),
			Context: say(typical(introspected), "requests") + fmt.Sprintf("; /me %.0f us", cpu(typical(me))),
		},
	)
	return nil
}

// The flood of authorization requests, with the limits of a default configuration.
const (
	floodConnections = 200
	floodRefreshes   = 50 // a second, of other users
)

// authorizeFlood measures the refreshes of others while one network sends nothing but
// authorization requests, none of which is ever answered by a user.
func (l *lab) authorizeFlood() (err error) {
	w, err := l.open(site.Seed{Users: readClients, Cost: 10, Opens: true}, map[string]string{"AUTH_ALGORITHM": "ES256"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	p := &providing{target: w}
	if p.web, err = register(w.Addr, map[string]any{"kind": "web", "name": "bench", "redirect_uris": []string{callback}}); err != nil {
		return err
	}
	idle := make(chan *session, len(w.sessions))
	for _, s := range w.sessions {
		idle <- s
	}
	others := load.Open{Addr: w.Addr, Conns: 16, Rate: floodRefreshes, Warm: l.pace.flood / 4, For: l.pace.flood, Step: func(c *load.Conn) error {
		s := <-idle
		defer func() { idle <- s }()
		return s.refresh(c)
	}}
	var quiets, louds, floods []load.Result
	m, err := l.round(
		func() (float64, error) {
			r, err := others.Run()
			quiets = append(quiets, r)
			return p99(r), err
		},
		func() (float64, error) {
			r, f, err := p.flooded(others)
			louds, floods = append(louds, r), append(floods, f)
			return p99(r), err
		},
	)
	if err != nil {
		return err
	}
	refusals := each(floods, func(r load.Result) float64 { return float64(r.Refused) / float64(max(r.Done+r.Refused, 1)) })
	flood, quiet, loud := typical(floods), middling(quiets), middling(louds)
	l.add(
		report.Row{
			Key: "authorize.p99", Path: "refresh at 50/s while one network floods /oauth2/authorize with 200 connections, p99 over its idle p99",
			AtMost: 2, Samples: over(m[1], m[0]), Context: fmt.Sprintf("p50 %s, p99 %s ms; idle %s, %s ms", short(loud, 50), short(loud, 99), short(quiet, 50), short(quiet, 99)),
		},
		report.Row{
			Key: "authorize.refused", Path: "share of the flood that is refused; 600 requests a minute are not", Samples: refusals,
			Context: fmt.Sprintf("%d refused, %d stored", flood.Refused, flood.Done),
		},
		report.Row{
			Key: "authorize.memory", Path: "resident memory after it", Unit: "MiB", AtMost: 64, Samples: []float64{float64(w.Resident()) / (1 << 20)},
		},
	)
	return nil
}

// flooded runs the others in the middle of the flood.
func (p *providing) flooded(others load.Open) (them, flood load.Result, err error) {
	type outcome struct {
		load.Result
		error
	}
	request := []byte(strings.Replace(string(p.authorization(1)), "Cookie: ", "X-None: ", 1)) // of a browser that never signs in
	done := make(chan outcome, 1)
	go func() {
		r, err := load.Closed{
			Addr: p.Addr, Clients: slices.Repeat([]load.Step{redirected(request)}, floodConnections), Warm: time.Second,
			For: others.Warm + others.For, Dial: load.DialFrom(userAddress),
		}.Run()
		done <- outcome{r, err}
	}()
	time.Sleep(time.Second)
	them, err = others.Run()
	o := <-done
	return them, o.Result, errors.Join(err, o.error)
}

// redirected takes redirects for success.
func redirected(request []byte) load.Step {
	return func(c *load.Conn) error {
		status, body, err := c.Do(request)
		if status == 303 {
			return err
		}
		return judge(status, body, err)
	}
}
