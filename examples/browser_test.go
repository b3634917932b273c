package examples

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// browser visits pages and submits their forms, without JavaScript.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, client: &http.Client{Jar: jar, Timeout: time.Minute}}
}

// page is where the browser is after all redirects.
type page struct {
	url    *url.URL
	status int
	text   string
	form   *form // nil: the page has none
}

type form struct {
	action  *url.URL
	method  string
	fields  url.Values
	buttons []string // values of the buttons named action
}

func (b *browser) visit(address string) page {
	b.t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.send(request)
}

// submit sends the form of the page with further fields.
func (b *browser) submit(p page, fields url.Values) page {
	b.t.Helper()
	sent := url.Values{}
	for _, values := range []url.Values{p.form.fields, fields} {
		for name, value := range values {
			sent[name] = value
		}
	}
	request, err := http.NewRequest(p.form.method, p.form.action.String(), strings.NewReader(sent.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", p.url.Scheme+"://"+p.url.Host)
	return b.send(request)
}

// through answers each page of the issuer until the browser is elsewhere, or at a
// page that asks for nothing.
func (b *browser) through(p page, issuer string) page {
	b.t.Helper()
	for range 8 {
		if !strings.HasPrefix(p.url.String(), issuer) || p.form == nil {
			return p
		}
		i := slices.IndexFunc(p.form.buttons, func(value string) bool {
			return slices.Contains([]string{"sign-in", "continue", "allow", "sign-out"}, value)
		})
		if i < 0 {
			return p
		}
		fields := url.Values{"action": {p.form.buttons[i]}}
		if p.asksPassword() {
			fields.Set("email", userEmail)
			fields.Set("password", userPassword)
		}
		p = b.submit(p, fields)
	}
	b.t.Fatalf("still at %s:\n%s", p.url, p.text)
	return p
}

func (p page) asksPassword() bool { return p.form != nil && p.form.fields.Has("password") }

func (b *browser) send(request *http.Request) page {
	b.t.Helper()
	request.Header.Set("Accept", "text/html") // mod_auth_openidc redirects pages only
	resp, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := page{url: resp.Request.URL, status: resp.StatusCode, text: string(body)}
	root, err := html.Parse(strings.NewReader(p.text))
	if err != nil {
		b.t.Fatal(err)
	}
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == "form" && p.form == nil {
			p.form = readForm(p.url, node)
		}
	}
	return p
}

func readForm(at *url.URL, node *html.Node) *form {
	f := &form{action: at, method: strings.ToUpper(attribute(node, "method")), fields: url.Values{}}
	if action := attribute(node, "action"); action != "" {
		f.action, _ = at.Parse(action)
	}
	for field := range node.Descendants() {
		switch name := attribute(field, "name"); {
		case field.Type != html.ElementNode || name == "":
		case field.Data == "button":
			f.buttons = append(f.buttons, attribute(field, "value"))
		case field.Data == "input" && attribute(field, "type") != "checkbox":
			f.fields.Set(name, attribute(field, "value"))
		}
	}
	return f
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
