// A web application that signs its users in with openid-client and express:
//
//   pico-auth client create --kind web --redirect-uri http://localhost:3000/callback
//   npm install && CLIENT_ID=... CLIENT_SECRET=... npm start
import express from 'express'
import session from 'express-session'
import * as client from 'openid-client'

const issuer = new URL(process.env.ISSUER ?? 'http://localhost:8100')
const port = process.env.PORT ?? '3000'
const base = `http://localhost:${port}`

const config = await client.discovery(
  issuer,
  process.env.CLIENT_ID,
  undefined,
  client.ClientSecretBasic(process.env.CLIENT_SECRET),
  // Only for an issuer on http://localhost; remove it for a real one.
  { execute: issuer.protocol === 'http:' ? [client.allowInsecureRequests] : [] },
)

const app = express()
app.use(
  session({
    secret: process.env.SESSION_SECRET ?? client.randomState(),
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: 'lax' }, // add secure: true behind https
  }),
)

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

app.get('/', (req, res) => {
  const user = req.session.user
  res.send(
    '<!doctype html><title>node-web</title>' +
      (user
        ? `<p>Hello ${escape(user.name ?? user.email)}</p><p>${escape(user.email)}</p><a href="/logout">Sign out</a>`
        : '<a href="/login">Sign in</a>'),
  )
})

app.get('/login', async (req, res) => {
  const verifier = client.randomPKCECodeVerifier()
  const checks = { state: client.randomState(), nonce: client.randomNonce() }
  req.session.checks = { verifier, ...checks }
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: `${base}/callback`,
    scope: 'openid profile email',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...checks,
  })
  res.redirect(url.href)
})

app.get('/callback', async (req, res) => {
  const checks = req.session.checks
  if (!checks) return res.status(400).send('this sign-in was not started here')
  // Checks state, iss, nonce, the ID token's signature and the code verifier.
  const tokens = await client.authorizationCodeGrant(config, new URL(req.originalUrl, base), {
    pkceCodeVerifier: checks.verifier,
    expectedState: checks.state,
    expectedNonce: checks.nonce,
  })
  const user = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
  req.session.regenerate(() => {
    req.session.user = user
    req.session.idToken = tokens.id_token
    res.redirect('/')
  })
})

app.get('/logout', (req, res) => {
  const idToken = req.session.idToken
  req.session.destroy(() => {
    if (!idToken) return res.redirect('/')
    const url = client.buildEndSessionUrl(config, {
      id_token_hint: idToken,
      post_logout_redirect_uri: `${base}/`,
    })
    res.redirect(url.href)
  })
})

app.listen(Number(port), 'localhost', () => console.log(`open ${base}`))
