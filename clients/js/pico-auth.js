// A client of pico-auth for browsers and Node. README.md says how to use it, pico-auth.d.ts
// what each member does; the comments here say why.

// What the server does with a refresh token decides what may be repeated: it works once,
// and for the reuse grace (10 s by default for clients) yields the same successor again. So
// a lost answer is asked for again within the grace, counted from the first attempt.
const patience = 9_000
const timeout = 8_000 // of one attempt
const turn = 18_000 // to wait for the lock of all tabs: longer than a refresh holds it

export class PicoAuthError extends Error {
  constructor(code, message, { status = 0, retryAfter = 0, cause } = {}) {
    super(message, { cause })
    this.name = 'PicoAuthError'
    this.code = code
    this.status = status
    this.retryAfter = retryAfter
  }
}

export class PicoAuth {
  #issuer; #base; #clientId; #redirectUri; #postLogoutRedirectUri; #scope; #origins; #storage; #key
  /** @type {any} */ #user = null
  #raw = null; #session = null; #told = null // what was read last, and what listeners know
  #listeners = new Set(); #refreshing; #callback; #pauseUntil = 0

  constructor({ issuer, clientId = '', redirectUri, postLogoutRedirectUri = redirectUri, scope = 'openid profile email', apis = [], storage }) {
    this.#issuer = issuer
    this.#base = issuer.replace(/\/$/, '')
    this.#clientId = clientId
    this.#redirectUri = redirectUri
    this.#postLogoutRedirectUri = postLogoutRedirectUri
    this.#scope = scope
    this.#origins = new Set([issuer, globalThis.location?.href, ...apis].filter(Boolean).map((url) => new URL(url).origin))
    this.#storage = storage ?? (globalThis.document ? localStorage : memory())
    this.#key = `pico-auth:${this.#base}:${clientId}`
    this.#told = this.user
    // Other tabs write the same storage; a page that comes back from the history has missed that.
    for (const event of ['storage', 'pageshow']) globalThis.addEventListener?.(event, () => this.#tell())
  }

  get user() { return this.#read(), this.#user }

  onChange(listener) {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async signIn({ returnTo = location.href, params = {} } = {}) {
    const target = new URL(returnTo, location.href)
    if (target.origin !== location.origin) throw new PicoAuthError('invalid_request', 'returnTo leads to another origin')
    const [state, nonce, verifier] = [random(), random(), random()]
    const challenge = base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier)))
    sessionStorage.setItem(pendingKey(state), JSON.stringify({ nonce, verifier, returnTo: target.href }))
    location.assign(`${this.#base}/oauth2/authorize?` + new URLSearchParams({
      ...params, response_type: 'code', client_id: this.#clientId, redirect_uri: this.#redirectUri, scope: this.#scope,
      state, nonce, code_challenge: challenge, code_challenge_method: 'S256',
    }))
  }

  // The parameters leave the address before the first await: a second call meanwhile, as frameworks
  // make in development, gets the result of the first.
  handleCallback() {
    const params = new URLSearchParams(location.search)
    if (params.has('state') && (params.has('code') || params.has('error'))) {
      this.#callback = this.#finish(params).finally(() => { this.#callback = undefined })
    }
    return this.#callback ?? Promise.resolve(null)
  }

  async #finish(params) {
    const key = pendingKey(params.get('state'))
    const pending = JSON.parse(sessionStorage.getItem(key))
    sessionStorage.removeItem(key) // a state works once
    history.replaceState(history.state, '', pending?.returnTo ?? location.pathname + location.hash)
    if (!pending) throw new PicoAuthError('unknown_state', 'this sign-in was started in another tab, or was finished before')
    // RFC 9207 section 2.4; our server always sends it.
    if (params.get('iss') !== this.#issuer) throw new PicoAuthError('invalid_issuer', `the response is from ${params.get('iss')}, not from ${this.#issuer}`)
    if (params.has('error')) throw new PicoAuthError(params.get('error'), params.get('error_description') ?? 'the sign-in was refused')
    const started = Date.now()
    const answer = await this.#send('/oauth2/token', new URLSearchParams({
      grant_type: 'authorization_code', client_id: this.#clientId, redirect_uri: this.#redirectUri,
      code: params.get('code'), code_verifier: pending.verifier,
    }))
    // The token came from the token endpoint over TLS, so its signature is not checked: OpenID
    // Connect Core 3.1.3.7, item 6. Five minutes are for the clock of this device.
    const claims = this.#idToken(answer.id_token)
    if (claims.nonce !== pending.nonce) throw new PicoAuthError('invalid_id_token', 'the ID token is of another sign-in')
    if (!(claims.exp * 1000 + 300_000 > Date.now())) throw new PicoAuthError('invalid_id_token', 'the ID token has expired: check the clock of this device')
    await exclusive(this.#key, () => this.#write(sessionOf(answer, started, claims)), true)
    return pending.returnTo
  }

  #idToken(token) {
    const claims = token ? decode(token) : {}
    if (claims.iss !== this.#issuer || !claims.sub || [claims.aud].flat().join() !== this.#clientId) {
      throw new PicoAuthError('invalid_id_token', 'the ID token is not from the issuer for this client')
    }
    return claims
  }

  async signInWithPassword(email, password) {
    const started = Date.now()
    const answer = await this.#send('/api/v1/auth/login', { email, password }, { patience: 0, timeout: 20_000 }) // it may wait 10 s to be hashed
    await exclusive(this.#key, () => this.#write(sessionOf(answer, started, decode(answer.access_token))), true)
    return this.user
  }

  async signOut() {
    const s = await exclusive(this.#key, () => {
      const s = this.#read()
      this.#write(null)
      return s
    }, true, 1_000) // the server ends the session by a used token, too
    if (!s) return
    if (!s.idToken) return void await this.#send('/api/v1/auth/logout', { refresh_token: s.refresh }, { lost: true })
    // With offline_access the tokens outlive the session in the browser, so they are revoked, too.
    await this.#send('/oauth2/revoke', new URLSearchParams({ client_id: this.#clientId, token: s.refresh ?? s.access }), { patience: 0 }).catch(() => {})
    location.assign(`${this.#base}/oauth2/logout?` + new URLSearchParams({
      id_token_hint: s.idToken, client_id: this.#clientId, post_logout_redirect_uri: this.#postLogoutRedirectUri,
    }))
  }

  async accessToken() {
    const s = this.#read()
    if (!s || isFresh(s, Math.min(30_000, s.lifetime / 4))) return s?.access ?? null
    const usable = isFresh(s, 0)
    if (usable && Date.now() < this.#pauseUntil) return s.access
    return this.#refresh(s.access).catch((error) => {
      if (!usable || !isTemporary(error)) throw error
      this.#pauseUntil = Date.now() + 1000 * Math.max(5, error.retryAfter)
      return s.access
    })
  }

  async fetch(input, init) {
    const request = new Request(input, init), again = request.clone()
    const origin = new URL(request.url).origin
    if (!this.#origins.has(origin)) throw new PicoAuthError('invalid_request', `${origin} is not in apis: the access token is not sent to it`)
    const token = await this.accessToken(), sub = this.user?.sub
    const response = await fetch(authorize(request, token))
    // A user who has to sign in again gets nothing new by a refresh (RFC 9470).
    if (response.status !== 401 || !token || response.headers.get('WWW-Authenticate')?.includes('insufficient_user_authentication')) return response
    const next = await this.#refresh(token)
    return next && this.user?.sub === sub ? fetch(authorize(again, next)) : response // never as another user
  }

  // One refresh at a time in this tab, and by the lock in all tabs.
  #refresh(used) {
    return this.#refreshing ??= exclusive(this.#key, () => this.#rotate(used)).finally(() => { this.#refreshing = undefined })
  }

  async #rotate(used) {
    const s = this.#read()
    if (!s || (s.access !== used && isFresh(s, 0))) return s?.access ?? null // another tab was first
    const started = Date.now()
    try {
      if (!s.refresh) throw new PicoAuthError('invalid_grant', 'there is no refresh token')
      const answer = s.idToken
        ? await this.#send('/oauth2/token', new URLSearchParams({ grant_type: 'refresh_token', client_id: this.#clientId, refresh_token: s.refresh }), { lost: true })
        : await this.#send('/api/v1/auth/refresh', { refresh_token: s.refresh }, { lost: true })
      const claims = answer.id_token ? this.#idToken(answer.id_token) : s.idToken ? s.user : decode(answer.access_token)
      if (claims.sub !== s.user.sub) throw new PicoAuthError('invalid_id_token', 'the ID token is of another user') // Core 12.2
      if (this.#replaced(s)) return this.#read()?.access ?? null
      this.#write({ ...s, ...sessionOf(answer, started, claims) })
      return answer.access_token
    } catch (error) {
      if (error.code !== 'invalid_grant' && error.code !== 'invalid_token') throw error
      if (this.#replaced(s)) return this.#read()?.access ?? null
      this.#write(null) // the session has ended; every tab sees it
      return null
    }
  }

  // A sign-in or sign-out that waited too long for this tab was not stopped by its lock.
  #replaced(s) { return this.#read()?.refresh !== s.refresh }

  // Sends a request until it is answered or the patience is over. After 429 and 503 the server
  // has used nothing; after a lost answer it may have, so that is repeated only where it may be.
  async #send(path, body, { lost = false, patience: limit = patience, timeout: each = timeout } = {}) {
    for (let end = Date.now() + limit, wait = 250; ; wait *= 2) {
      try {
        return await request(this.#base + path, body, each)
      } catch (error) {
        const pause = Math.max(wait, 1000 * error.retryAfter)
        if (!isTemporary(error) || Date.now() + pause > end || (!lost && error.status !== 429 && error.status !== 503)) throw error
        await sleep(pause)
      }
    }
  }

  #read() {
    const raw = this.#storage.getItem(this.#key)
    if (raw === this.#raw) return this.#session
    this.#raw = raw
    try { this.#session = JSON.parse(raw) } catch { this.#session = null } // of another program: the user signs in again
    const user = this.#session?.user ?? null
    if (JSON.stringify(user) !== JSON.stringify(this.#user)) this.#user = user // the same object while it is equal
    return this.#session
  }

  #write(session) {
    if (session) this.#storage.setItem(this.#key, JSON.stringify(session))
    else this.#storage.removeItem(this.#key)
    this.#tell()
  }

  #tell() {
    if (this.user === this.#told) return
    this.#told = this.#user
    for (const listener of this.#listeners) queueMicrotask(() => listener(this.#user)) // its faults are its own
  }
}

async function request(url, body, timeout) {
  const form = body instanceof URLSearchParams
  let response, text
  try {
    response = await fetch(url, {
      method: 'POST', credentials: 'omit', cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(timeout),
      body: form ? body : JSON.stringify(body), headers: form ? {} : { 'Content-Type': 'application/json' },
    })
    text = await response.text()
  } catch (cause) {
    throw new PicoAuthError('network_error', 'the server did not answer, or does not allow this origin', { cause })
  }
  let data
  try { data = JSON.parse(text || '{}') } catch { /* of a proxy, or the page of a network that asks for a login */ }
  if (response.ok && data) return data
  if (response.ok) throw new PicoAuthError('network_error', 'the answer is not from the server')
  throw new PicoAuthError(data?.error ?? 'http_error', data?.error_description ?? data?.detail ?? `the server answered ${response.status}`, {
    status: response.status, retryAfter: Number(response.headers.get('Retry-After')) || 0,
  })
}

const isTemporary = ({ code, status }) => code === 'network_error' || code === 'lock_timeout' || status === 429 || status >= 500

// Tokens expire by the clock of this device since the request, never by the exp of a server
// whose clock differs. A time that lies too far ahead is of a clock that was set back.
const isFresh = (s, margin) => s.expires - Date.now() > margin && s.expires - Date.now() <= s.lifetime

function sessionOf(answer, started, { iss, aud, azp, exp, iat, nbf, jti, nonce, at_hash, ...user }) {
  const lifetime = 1000 * answer.expires_in
  const session = { access: answer.access_token, expires: started + lifetime, lifetime, user }
  if (answer.refresh_token) session.refresh = answer.refresh_token
  if (answer.id_token) session.idToken = answer.id_token
  return session
}

// The lock of all tabs; without one (Node, plain http) of this process. What a tab writes to
// localStorage reaches the others later than the end of its lock does (measured in Chromium: after
// one of three refreshes they read the used token), so it keeps the lock for a moment more. A tab
// that hangs never lets go: a sign-in or sign-out then goes on without the lock, the latter soon. A
// refresh fails, since that tab may have used the refresh token.
const queues = new Map()
function exclusive(name, run, must = false, limit = turn) {
  const locks = globalThis.navigator?.locks
  if (!locks) {
    const last = (queues.get(name) ?? Promise.resolve()).then(run)
    queues.set(name, last.catch(() => {}))
    return last
  }
  return new Promise((resolve, reject) => {
    const go = () => new Promise((done) => done(run())).then(resolve, reject)
    locks.request(name, { signal: AbortSignal.timeout(limit) }, () => go().then(() => sleep(100))).catch((cause) => {
      if (cause?.name !== 'TimeoutError') reject(cause)
      else if (must) go()
      else reject(new PicoAuthError('lock_timeout', 'another tab of this application does not respond: close or reload it', { cause }))
    })
  })
}

function authorize(request, token) {
  if (token) request.headers.set('Authorization', `Bearer ${token}`)
  return request
}

function memory() {
  const items = new Map()
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) }
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
const pendingKey = (state) => `pico-auth:pending:${state}`
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)))
const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
const decode = (token) => JSON.parse(new TextDecoder().decode(Uint8Array.from(
  atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))))
