package examples

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pico-auth/pico-auth/internal/browsertest"
	"github.com/pico-auth/pico-auth/internal/programtest"
)

// The client of clients/js, in Node and for TypeScript.
func TestNodeClient(t *testing.T) {
	need(t, "node", "npm")
	prepare(t, "../clients/js", "npm", "ci", "--no-audit", "--no-fund")
	prepare(t, "../clients/js", "npm", "test")
}

// The client of clients/js in Chromium, in the page of notes.
func TestNotesInChromium(t *testing.T) {
	first := browsertest.Chromium(t, 1280, 900, false)
	port := programtest.FreePort(t)
	base := "http://localhost:" + port
	s := startServer(t, "SERVER_CORS_ORIGINS="+base)
	env := s.client(t, port, "--kind", "spa", "--name", "Notes", "--scope", "openid,profile,email,roles",
		"--audience", "https://notes.example.com", "--redirect-uri", base+"/", "--post-logout-redirect-uri", base+"/")
	start(t, env, ".", compiled(t, "notes"))
	waitFor(t, base+"/healthz")
	do(t, first, chromedp.Navigate(base+"/"), chromedp.WaitVisible("#sign-in"))
	second, closeTab := chromedp.NewContext(first) // of the browser that runs now
	defer closeTab()
	do(t, second, chromedp.Navigate(base+"/"), chromedp.WaitVisible("#sign-in"))

	t.Run("a sign-in shows in every tab", func(t *testing.T) {
		signIn(t, first)
		do(t, second, chromedp.WaitVisible("#sign-out"))
		if address, err := chromedp.Run(first, chromedp.Location()); err != nil || address != base+"/" {
			t.Errorf("the address is %s (%v)", address, err)
		}
	})
	t.Run("a note is kept, and a refused token is replaced", func(t *testing.T) {
		do(t, first,
			chromedp.Evaluate[chromedp.Void](spoil),
			chromedp.SendKeys("#text", "buy bread "+strings.Repeat("x", 80)),
			chromedp.Click("#write button"),
			chromedp.WaitVisible("#list li"),
			chromedp.Reload(),
			chromedp.WaitVisible("#list li"),
		)
		text, err := chromedp.Run(first, chromedp.Text("body"))
		if err != nil || !strings.Contains(text, "Ada Example") || strings.Count(text, "buy bread") != 1 {
			t.Errorf("%v:\n%s", err, text)
		}
	})
	t.Run("it fits the width of a phone", func(t *testing.T) {
		do(t, first, chromedp.EmulateViewport(360, 740))
		if widths := evaluate(t, first, `Promise.resolve(document.documentElement.scrollWidth + ' of ' + innerWidth)`); widths != "360 of 360" {
			t.Error(widths)
		}
	})
	t.Run("tabs that need a token at the same moment refresh once", func(t *testing.T) {
		for round := range 10 {
			before := s.refreshes(t)
			do(t, first, chromedp.Evaluate[chromedp.Void](expire))
			do(t, second, chromedp.Poll[chromedp.Void](expired)) // it is written by another process
			var tokens [2]string
			var tabs sync.WaitGroup
			for i, tab := range []context.Context{first, second} {
				tabs.Go(func() { tokens[i] = evaluate(t, tab, accessToken) })
			}
			tabs.Wait()
			if after := s.refreshes(t); tokens[0] == "" || tokens[0] != tokens[1] || after != before+1 {
				t.Errorf("round %d: %d refreshes, and the same token: %v", round, after-before, tokens[0] == tokens[1])
			}
		}
	})
	t.Run("a tab that hangs with the lock keeps no other one waiting for ever", func(t *testing.T) {
		hanging, closeTab := chromedp.NewContext(first)
		do(t, hanging, chromedp.Navigate(base+"/"), chromedp.WaitVisible("#sign-out"), chromedp.Evaluate[chromedp.Void](hang))
		before := s.refreshes(t)
		do(t, first, chromedp.Evaluate[chromedp.Void](expire))
		if code := evaluate(t, first, impatient+`.then(() => 'a token', (error) => error.code)`); code != "lock_timeout" || s.refreshes(t) != before {
			t.Errorf("while it hangs: %s, %d refreshes", code, s.refreshes(t)-before)
		}
		closeTab()
		if token := evaluate(t, first, accessToken); token == "" || s.refreshes(t) != before+1 {
			t.Errorf("after it is closed: %d refreshes", s.refreshes(t)-before)
		}
	})
	t.Run("nothing of a user is shown to the next one", func(t *testing.T) {
		if seen := evaluate(t, first, replaced); seen != "Bob, notes: , draft: , all: false" {
			t.Error(seen)
		}
	})
	t.Run("a sign-out shows in every tab", func(t *testing.T) {
		// The page shows #sign-in before it leaves for the server, and again when it is back.
		do(t, first, chromedp.Evaluate[chromedp.Void](`window.leaves = true`), chromedp.Click("#sign-out"))
		until(t, first, `!window.leaves && Boolean(document.querySelector('#sign-in')?.checkVisibility())`)
		do(t, second, chromedp.WaitVisible("#sign-in"))
		do(t, first, chromedp.Click("#sign-in"), chromedp.WaitVisible(`input[name="password"]`))
	})
	t.Run("the JSON API signs in from another origin", func(t *testing.T) {
		signIn := `(async () => {
			const { PicoAuth } = await import('/pico-auth.js')
			const auth = new PicoAuth({ issuer: document.documentElement.dataset.issuer })
			const user = await auth.signInWithPassword('` + userEmail + `', '` + userPassword + `')
			const me = await (await auth.fetch(document.documentElement.dataset.issuer + '/api/v1/auth/me')).json()
			await auth.signOut()
			return user.sub === me.id && auth.user === null ? me.email : 'another user'
		})()`
		if email := evaluate(t, second, signIn); email != userEmail {
			t.Error(email)
		}
	})
}

// The scripts change the session in the storage of all tabs, or use it with a client of
// their own, as a tab has one.
const (
	session = `const key = Object.keys(localStorage)[0], session = JSON.parse(localStorage[key]);`
	spoil   = `{ ` + session + ` localStorage[key] = JSON.stringify({ ...session, access: 'spoiled' }) }`
	expire  = `{ ` + session + ` localStorage[key] = JSON.stringify({ ...session, expires: 0 }) }`
	expired = `Object.values(localStorage).some((value) => value.includes('"expires":0'))`

	// Bob signs in while the notes of the user before are on their way.
	replaced = `(async () => {
		` + session + `
		const of = (id) => document.getElementById(id), real = window.fetch
		let arrive, ask
		const arrived = new Promise((done) => { arrive = done }), asked = new Promise((done) => { ask = done })
		window.fetch = async (request) => {
			if (!request.url?.includes('/api/notes')) return real(request)
			if (of('name').textContent === 'Bob') return ask(), Response.json([])
			const response = await real(request)
			await arrived
			return response
		}
		of('text').value = 'a secret draft'
		const listed = of('all').onchange()
		of('all').checked = true
		const sign = (user) => {
			localStorage[key] = JSON.stringify({ ...session, user })
			dispatchEvent(new Event('storage')) // as other tabs get it
		}
		sign({ sub: 'bob', name: 'Bob' })
		await asked
		arrive()
		await listed
		const seen = of('name').textContent + ', notes: ' + of('list').textContent + ', draft: ' + of('text').value + ', all: ' + of('all').checked
		window.fetch = real
		sign(session.user)
		return seen
	})()`
	// A tab whose script does not go on keeps the lock until it is closed.
	hang = `void navigator.locks.request(Object.keys(localStorage)[0], () => new Promise(() => {}))`
	// What waits for 18 s waits for less in this script.
	impatient = `(async () => {
		const real = AbortSignal.timeout
		AbortSignal.timeout = (ms) => real.call(AbortSignal, ms === 18_000 ? 200 : ms)
		try { return await ` + accessToken + ` } finally { AbortSignal.timeout = real }
	})()`

	accessToken = `(async () => {
		const { PicoAuth } = await import('/pico-auth.js')
		const { issuer, clientId } = document.documentElement.dataset
		return new PicoAuth({ issuer, clientId, redirectUri: location.origin + '/' }).accessToken()
	})()`
)

func evaluate(t *testing.T, tab context.Context, script string) string {
	t.Helper()
	text, err := chromedp.Run(tab, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Error(err)
	}
	return text
}

// signIn goes from the page of an application through those of the server.
func signIn(t *testing.T, tab context.Context) {
	t.Helper()
	do(t, tab,
		chromedp.Click("#sign-in"),
		chromedp.WaitVisible(`input[name="password"]`),
		chromedp.SendKeys(`input[name="email"]`, userEmail),
		chromedp.SendKeys(`input[name="password"]`, userPassword),
		chromedp.Click(`button[value="sign-in"]`),
		chromedp.WaitVisible(`button[value="allow"]`),
		chromedp.Click(`button[value="allow"]`),
		chromedp.WaitVisible("#sign-out"),
	)
}

// until waits until the expression is true on some page that the tab is at.
func until(t *testing.T, tab context.Context, expression string) {
	t.Helper()
	for range 600 {
		if ok, err := chromedp.Run(tab, chromedp.Evaluate[bool](expression)); err == nil && ok {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("not true: %s", expression)
}

// do runs actions in a tab; a failure says where the tab was.
func do(t *testing.T, tab context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tab, actions...); err != nil {
		where, _ := chromedp.Run(tab, chromedp.Location())
		text, _ := chromedp.Run(tab, chromedp.Text("body"))
		t.Fatalf("%v, at %s:\n%s", err, where, text)
	}
}

var tokensGiven = regexp.MustCompile(`route="POST /oauth2/token",status="200"} (\d+)`)

// refreshes is how many token requests the server has accepted.
func (s *server) refreshes(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(s.issuer + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	match := tokensGiven.FindSubmatch(text)
	if match == nil {
		t.Fatalf("no token request is counted:\n%s", text)
	}
	n, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
