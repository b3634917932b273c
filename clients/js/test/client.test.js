import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { after, before, beforeEach, test } from 'node:test'
import { PicoAuth } from '../pico-auth.js'
import { email, home, memory, openLocks, openPage, password, startSite, visitor } from './site.js'

const token = '/oauth2/token', refresh = '/api/v1/auth/refresh'
let site, page, user

before(async () => {
  site = await startSite({ AUTH_REFRESH_REUSE_GRACE_SECONDS: 10 })
  user = visitor(site.issuer) // signed in at the server after the first test
})
after(() => site.stop())
beforeEach(() => {
  page = openPage(home)
  globalThis.sessionStorage = memory()
})

const open = (storage = memory(), more = {}) =>
  Object.assign(new PicoAuth({ issuer: site.issuer, clientId: site.clientId, redirectUri: home, storage, ...more }), { storage })

// signIn goes to the server and back, without finishing the sign-in.
async function signIn(auth, options, visit = user, buttons) {
  await auth.signIn(options)
  page = openPage(await visit(page.left, buttons))
}

async function signedIn(storage, more) {
  const auth = open(storage, more)
  await signIn(auth)
  await auth.handleCallback()
  page = openPage(home)
  return auth
}

async function signedInWithPassword(storage) {
  const auth = open(storage)
  await auth.signInWithPassword(email, password)
  return auth
}

const stored = ({ storage }) => JSON.parse(storage.getItem(storage.keys()[0]) ?? null)
const change = ({ storage }, fields) => storage.setItem(storage.keys()[0], JSON.stringify({ ...stored({ storage }), ...fields }))
const expire = (auth) => change(auth, { expires: Date.now() - 1 })
const refused = (code, fields = {}) => (error) => {
  assert.deepEqual({ code: error.code, ...fields }, { code, ...Object.fromEntries(Object.keys(fields).map((name) => [name, error[name]])) })
  return true
}

test('the code flow signs the user in and leads back to where it began', async () => {
  const auth = open(), seen = []
  auth.onChange((user) => seen.push(user?.email))
  location.href = `${home}lists/7?sort=new#end`
  await signIn(auth)
  assert.match(location.search, /code=/)
  const [first, second] = await Promise.all([auth.handleCallback(), auth.handleCallback()])
  assert.equal(first, `${home}lists/7?sort=new#end`)
  assert.equal(second, first)
  assert.equal(location.href, first, 'the code stays in the address')
  assert.equal(sessionStorage.keys().length, 0, 'the verifier is kept')
  assert.equal(auth.user.email, email)
  assert.equal(auth.user.name, 'Ada Example')
  assert.equal(auth.user.exp, undefined)
  assert.deepEqual(seen, [email])
  const response = await auth.fetch(`${site.issuer}/oauth2/userinfo`)
  assert.equal((await response.json()).sub, auth.user.sub)
  assert.equal(await auth.handleCallback(), null)
})

test('a session is there for the next page and for other tabs', async () => {
  const auth = await signedIn()
  assert.deepEqual(open(auth.storage).user, auth.user)
  assert.equal(auth.user, auth.user, 'the same object')
})

test('what another program left in the storage is no session, and a sign-in replaces it', async () => {
  for (const text of ['', '{', 'text', '5', '[]', '{}', 'null', '"text"']) {
    const storage = memory()
    storage.setItem(`pico-auth:${site.issuer}:${site.clientId}`, text)
    const auth = open(storage)
    assert.deepEqual([auth.user, await auth.accessToken()], [null, null], text)
    await auth.signInWithPassword(email, password)
    assert.equal(auth.user.email, email)
  }
})

test('RFC 6749 section 10.12: a response that this tab did not ask for is refused', async () => {
  const auth = open()
  await signIn(auth)
  const answer = location.href
  globalThis.sessionStorage = memory() // of another tab
  await assert.rejects(auth.handleCallback(), refused('unknown_state'))
  assert.doesNotMatch(location.href, /code=/)
  assert.equal(auth.user, null)

  await signIn(auth)
  const good = location.href
  await auth.handleCallback()
  openPage(good)
  await assert.rejects(auth.handleCallback(), refused('unknown_state'), 'a response works once')
  openPage(answer)
  await assert.rejects(auth.handleCallback(), refused('unknown_state'))
})

test('RFC 9207 section 2.4: a response of another issuer, or of none, is refused and its code not used', async () => {
  for (const iss of ['https://evil.example', null]) {
    const auth = open(), before = site.gate.count(token)
    await signIn(auth)
    if (iss) location.searchParams.set('iss', iss)
    else location.searchParams.delete('iss')
    await assert.rejects(auth.handleCallback(), refused('invalid_issuer'))
    assert.equal(site.gate.count(token), before)
  }
})

test('OpenID Connect Core 3.1.3.7: an ID token of another issuer, client or sign-in, or an old one, is refused', async (t) => {
  const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
  for (const [name, changed] of Object.entries({
    issuer: { iss: 'https://evil.example' }, audience: { aud: 'another' }, audiences: { aud: [site.clientId, 'another'] },
    nonce: { nonce: 'another' }, expiry: { exp: Date.now() / 1000 - 301 }, 'no expiry': { exp: undefined }, subject: { sub: undefined },
  })) {
    const auth = open()
    await signIn(auth)
    const real = fetch
    t.mock.method(globalThis, 'fetch', async (...args) => {
      const answer = await (await real(...args)).json()
      const payload = Buffer.from(JSON.stringify({ ...claims(answer.id_token), ...changed })).toString('base64url')
      return Response.json({ ...answer, id_token: `e30.${payload}.x` })
    })
    await assert.rejects(auth.handleCallback(), refused('invalid_id_token'), name)
    assert.equal(auth.user, null, name)
    t.mock.restoreAll()
  }
})

test('returnTo never leads to another origin', async () => {
  for (const returnTo of ['https://evil.example/', '//evil.example', '/\\evil.example', 'javascript:alert(1)', 'http://localhost:3001/']) {
    await assert.rejects(open().signIn({ returnTo }), refused('invalid_request'), returnTo)
  }
  assert.equal(page.left, null)
  const auth = open()
  await signIn(auth, { returnTo: '/a//b' })
  assert.equal(await auth.handleCallback(), `${home}a//b`)
})

test('a sign-in that the user cancels is an error with its code', async () => {
  const auth = open()
  await signIn(auth, { params: { prompt: 'consent' } }, visitor(site.issuer), ['deny', 'sign-in'])
  await assert.rejects(auth.handleCallback(), refused('access_denied'))
  assert.equal(location.href, home)
})

test('the JSON API signs the user in by a password', async () => {
  const auth = await signedInWithPassword()
  assert.equal(auth.user.email, email)
  assert.equal(auth.user.role, 'viewer')
  const response = await auth.fetch(`${site.issuer}/api/v1/auth/me`)
  assert.equal((await response.json()).id, auth.user.sub)
  await assert.rejects(open().signInWithPassword(email, 'wrong'), refused('invalid_credentials', { status: 401 }))
})

for (const [kind, start, path] of [['code flow', signedIn, token], ['JSON API', signedInWithPassword, refresh]]) {
  test(`${kind}: many requests and two clients at once refresh once`, async () => {
    const auth = await start(), other = open(auth.storage), old = await auth.accessToken()
    expire(auth)
    const count = site.gate.count(path)
    const got = await Promise.all([auth, other, auth, other, auth].map((client) => client.accessToken()))
    assert.equal(site.gate.count(path), count + 1)
    assert.equal(new Set(got).size, 1)
    assert.notEqual(got[0], old)
    assert.equal(auth.user.email, email)
  })

  test(`${kind}: an answer that is lost is asked for again`, async () => {
    const auth = await start(), count = site.gate.count(path)
    for (const fault of [{ lose: true }, { status: 502 }, { status: 200 }]) {
      expire(auth)
      site.gate.next({ path, ...fault }, { path, ...fault })
      assert.ok(await auth.accessToken())
    }
    assert.equal(site.gate.count(path), count + 9)
    assert.equal((await auth.fetch(`${site.issuer}/${kind === 'JSON API' ? 'api/v1/auth/me' : 'oauth2/userinfo'}`)).status, 200)
  })

  test(`${kind}: after 503 and 429 the same token is sent again, when the server says so`, async () => {
    const auth = await start(), { refresh } = stored(auth), count = site.gate.count(path), began = Date.now()
    expire(auth)
    site.gate.next({ path, status: 503, retryAfter: 1 }, { path, status: 429, retryAfter: 1 })
    assert.ok(await auth.accessToken())
    assert.notEqual(stored(auth).refresh, refresh)
    assert.equal(site.gate.count(path), count + 3)
    assert.ok(Date.now() - began >= 1900)
  })

  test(`${kind}: a server that is away for long ends no session`, async () => {
    const auth = await start(), old = stored(auth).access
    change(auth, { expires: Date.now() + 20_000 }) // about to expire, and valid
    site.gate.next({ path, status: 503, retryAfter: 60 })
    const count = site.gate.count(path)
    assert.equal(await auth.accessToken(), old)
    assert.equal(await auth.accessToken(), old)
    assert.equal(site.gate.count(path), count + 1, 'the server is not asked again before its time')
    expire(auth)
    site.gate.next({ path, status: 429, retryAfter: 60 })
    await assert.rejects(auth.accessToken(), refused('http_error', { status: 429, retryAfter: 60 }))
    assert.ok(auth.user)
    assert.notEqual(await auth.accessToken(), old)
  })

  test(`${kind}: a session that was ended elsewhere signs every tab out`, async () => {
    const auth = await start(), other = open(auth.storage), seen = []
    auth.onChange((user) => seen.push(user))
    const thief = { ...stored(auth) }
    expire(auth)
    await auth.accessToken()
    change(auth, { refresh: stored(auth).refresh, expires: 0 })
    await auth.accessToken() // the successor is used
    change(auth, { refresh: thief.refresh, expires: 0 }) // and a used token is presented again
    assert.equal(await auth.accessToken(), null)
    assert.equal(auth.user, null)
    assert.equal(other.user, null)
    assert.deepEqual(seen, [null])
    assert.equal(await auth.accessToken(), null)
  })
}

test('JSON API without a reuse grace: an answer that is lost ends the session', async () => {
  const strict = await startSite()
  try {
    const auth = open(memory(), { issuer: strict.issuer })
    await auth.signInWithPassword(email, password)
    expire(auth)
    strict.gate.next({ path: refresh, lose: true })
    assert.equal(await auth.accessToken(), null)
    assert.equal(auth.user, null)
  } finally {
    await strict.stop()
  }
})

test('a code is not sent twice after an answer that is lost', async () => {
  const auth = open()
  await signIn(auth)
  site.gate.next({ path: token, lose: true })
  const count = site.gate.count(token)
  await assert.rejects(auth.handleCallback(), refused('network_error', { status: 0 }))
  assert.equal(site.gate.count(token), count + 1)
})

test('a clock that was set back, and one that differs from the server, do not matter', async (t) => {
  const auth = await signedIn(), count = site.gate.count(token)
  change(auth, { expires: Date.now() + 48 * 3600_000 })
  await auth.accessToken()
  assert.equal(site.gate.count(token), count + 1)
  const ahead = Date.now() + 48 * 3600_000
  t.mock.method(Date, 'now', () => ahead)
  await auth.accessToken()
  assert.equal(site.gate.count(token), count + 2)
  await auth.accessToken()
  assert.equal(site.gate.count(token), count + 2, 'the exp of the token is of another clock')
})

test('fetch refreshes once on a 401, repeats the request with its body, and sends tokens to known origins only', async () => {
  let wanted
  const seen = []
  const api = http.createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    seen.push(`${request.method} ${body}`)
    const ok = request.headers.authorization !== wanted
    if (request.url === '/step-up') response.setHeader('WWW-Authenticate', 'Bearer error="insufficient_user_authentication", max_age="900"')
    response.writeHead(ok && request.url === '/' ? 200 : 401).end()
  }).listen(0, 'localhost')
  await once(api, 'listening')
  const origin = `http://localhost:${api.address().port}`
  try {
    await assert.rejects((await signedIn()).fetch(origin), refused('invalid_request'))
    const auth = await signedIn(memory(), { apis: [`${origin}/v1/`] }), count = site.gate.count(token)
    wanted = `Bearer ${await auth.accessToken()}`
    assert.equal((await auth.fetch(`${origin}/`, { method: 'POST', body: 'milk' })).status, 200)
    assert.deepEqual(seen, ['POST milk', 'POST milk'])
    assert.equal(site.gate.count(token), count + 1)
    assert.equal((await auth.fetch(`${origin}/always`)).status, 401)
    assert.equal(seen.length, 4)
    assert.equal(site.gate.count(token), count + 2)
    assert.equal((await auth.fetch(`${origin}/step-up`)).status, 401)
    assert.equal(site.gate.count(token), count + 2, 'a refresh is no new sign-in')
    assert.equal((await open(memory(), { apis: [origin] }).fetch(origin)).status, 200, 'without a user there is no token')
  } finally {
    api.close()
    api.closeAllConnections()
  }
})

test('fetch does not repeat the request of one user as another who signed in meanwhile', async () => {
  const auth = await signedIn(), seen = []
  const api = http.createServer((request, response) => {
    seen.push(request.headers.authorization)
    change(auth, { access: 'of another', expires: Date.now() + 60_000, lifetime: 60_000, user: { sub: 'another' } }) // in another tab
    response.writeHead(401).end()
  }).listen(0, 'localhost')
  await once(api, 'listening')
  try {
    const origin = `http://localhost:${api.address().port}`, same = open(auth.storage, { apis: [origin] })
    assert.equal((await same.fetch(origin, { method: 'POST', body: 'milk' })).status, 401)
    assert.equal(seen.length, 1)
    assert.equal(await same.accessToken(), 'of another')
  } finally {
    api.close()
    api.closeAllConnections()
  }
})

test('a tab that hangs with the lock stops no sign-in and no sign-out, and a refresh fails with a clear error', async (t) => {
  openLocks(t)
  const real = AbortSignal.timeout
  const waits = []
  t.mock.method(AbortSignal, 'timeout', (ms) => {
    waits.push(ms)
    return real.call(AbortSignal, ms === 18_000 || ms === 1_000 ? 100 : ms)
  })
  const auth = await signedInWithPassword(), [key] = auth.storage.keys(), count = site.gate.count(refresh)
  let close
  const hanging = navigator.locks.request(key, {}, () => new Promise((done) => { close = done }))

  const old = await auth.accessToken()
  change(auth, { expires: Date.now() + 20_000 }) // about to expire, and valid
  assert.equal(await auth.accessToken(), old)
  expire(auth)
  await assert.rejects(auth.accessToken(), refused('lock_timeout'))
  assert.equal(site.gate.count(refresh), count, 'the other tab may have used the token')
  await auth.signInWithPassword(email, password)
  assert.notEqual(await auth.accessToken(), old)
  waits.length = 0
  await auth.signOut()
  assert.equal(auth.user, null)
  assert.ok(waits.includes(1_000) && !waits.includes(18_000), 'the user waits for the other tab')

  close()
  await hanging
  await auth.signInWithPassword(email, password)
  expire(auth)
  assert.ok(await auth.accessToken())
  assert.equal(site.gate.count(refresh), count + 1)
})

test('a refresh that was overtaken by a sign-out or another sign-in leaves that as it is', async (t) => {
  const theirs = { access: 'theirs', refresh: 'theirs', expires: Date.now() + 60_000, lifetime: 60_000, user: { sub: 'another' } }
  const ended = () => Response.json({ error: 'invalid_token' }, { status: 401 })
  for (const [session, answer] of [[null], [theirs], [null, ended], [theirs, ended]]) {
    const auth = await signedInWithPassword(), [key] = auth.storage.keys(), real = fetch
    expire(auth)
    t.mock.method(globalThis, 'fetch', async (...args) => {
      const response = await real(...args)
      if (session) auth.storage.setItem(key, JSON.stringify(session))
      else auth.storage.removeItem(key)
      return answer ? answer() : response
    })
    assert.equal(await auth.accessToken(), session?.access ?? null)
    assert.deepEqual(stored(auth), session)
    t.mock.restoreAll()
  }
})

test('signing out ends the session here and at the server', async () => {
  const auth = open(), visit = visitor(site.issuer)
  await signIn(auth, {}, visit)
  await auth.handleCallback()
  page = openPage(home)
  const old = stored(auth)
  await auth.signOut()
  assert.equal(auth.user, null)
  assert.equal(await visit(page.left), home, 'the server leads back')
  auth.storage.setItem(`pico-auth:${site.issuer}:${site.clientId}`, JSON.stringify({ ...old, expires: 0 }))
  assert.equal(await auth.accessToken(), null, 'the refresh token is revoked')
  page = openPage(home)
  await auth.signIn()
  assert.match(await visit(page.left, []), /name="password"/, 'the next sign-in asks for the password')

  const offline = await signedIn(memory(), { scope: 'openid offline_access' }), kept = offline.storage.getItem(offline.storage.keys()[0])
  await offline.signOut()
  offline.storage.setItem(`pico-auth:${site.issuer}:${site.clientId}`, kept)
  expire(offline)
  assert.equal(await offline.accessToken(), null, 'tokens that outlive the session are revoked')

  const json = await signedInWithPassword(), { refresh } = stored(json)
  await json.signOut()
  assert.equal(json.user, null)
  json.storage.setItem(`pico-auth:${site.issuer}:${site.clientId}`, JSON.stringify({ access: 'x', refresh, expires: 0, lifetime: 1, user: { sub: 'x' } }))
  assert.equal(await json.accessToken(), null)
  await json.signOut() // again is no error
})
