// What the tests need around the client: a real server behind a gate that can lose answers,
// and a browser without JavaScript for the pages of the server.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const program = process.env.PICO_AUTH ?? new URL('../../../bin/pico-auth', import.meta.url).pathname

export const email = 'ada@example.com'
export const password = 'correct horse battery staple'
export const home = 'http://localhost:3000/'

export async function startSite(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'pico-auth-'))
  const port = await freePort()
  const gate = await startGate(port)
  const env = {
    ...process.env, HOME: folder, SERVER_PORT: port, AUTH_DATA_DIR: join(folder, 'keys'),
    DATABASE_URL: `sqlite:///${join(folder, 'auth.db')}`, AUTH_ISSUER: gate.issuer, AUTH_BCRYPT_COST: 10, ...settings,
  }
  const server = spawn(program, ['serve'], { env, cwd: folder, stdio: 'ignore' })
  const run = (args, input) => new Promise((resolve, reject) => {
    const child = execFile(program, args, { env, cwd: folder }, (error, stdout) => error ? reject(error) : resolve(stdout))
    child.stdin.end(input)
  })
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`http://localhost:${port}/readyz`).catch(() => null)
    if (ready?.ok) break
    if (tries > 600) throw new Error('the server does not start')
    await new Promise((done) => setTimeout(done, 100))
  }
  await run(['user', 'create', email, '--display-name', 'Ada Example'], `${password}\n`)
  const { client_id: clientId } = JSON.parse(await run(
    ['client', 'create', '--json', '--kind', 'spa', '--redirect-uri', home, '--post-logout-redirect-uri', home]))
  return {
    issuer: gate.issuer, clientId, gate, run,
    async stop() {
      server.kill()
      await once(server, 'exit')
      gate.close()
      await rm(folder, { recursive: true })
    },
  }
}

// A gate passes requests on to the server, and counts them. Its faults are used up one by one, by
// the requests of their path: {path, lose: true} passes the request on and loses the answer,
// {path, status, retryAfter} answers itself.
async function startGate(port) {
  const faults = [], counts = {}
  const listener = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost')
    counts[pathname] = (counts[pathname] ?? 0) + 1
    const place = faults.findIndex((f) => f.path === pathname)
    const fault = place < 0 ? {} : faults.splice(place, 1)[0]
    if (fault.status) return response.writeHead(fault.status, fault.retryAfter ? { 'Retry-After': fault.retryAfter } : {}).end('from a proxy')
    const upstream = http.request({ port, host: 'localhost', path: request.url, method: request.method, headers: request.headers })
    upstream.on('response', (answer) => {
      if (fault.lose) return answer.resume().on('end', () => request.socket.destroy())
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
    })
    upstream.on('error', () => request.socket.destroy())
    request.pipe(upstream)
  })
  await once(listener.listen(0, 'localhost'), 'listening')
  return {
    issuer: `http://localhost:${listener.address().port}`,
    next: (...more) => faults.push(...more),
    count: (path) => counts[path] ?? 0,
    close() {
      listener.close()
      listener.closeAllConnections()
    },
  }
}

async function freePort() {
  const listener = http.createServer().listen(0, 'localhost')
  await once(listener, 'listening')
  const { port } = listener.address()
  listener.close()
  await once(listener, 'close')
  return port
}

// openPage makes the globals of a page. Where it is sent to is in its property left.
export function openPage(address) {
  const page = { left: null }
  const at = new URL(address)
  globalThis.location = at
  at.assign = (url) => { page.left = String(url) }
  globalThis.history = { state: null, replaceState: (state, _, url) => { at.href = new URL(url, at).href } }
  return page
}

// openLocks gives the tabs of this process the locks of a browser, which Node has from 24 on,
// until the test ends.
export function openLocks(t) {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator'), tails = new Map()
  const request = (name, { signal }, run) => new Promise((resolve, reject) => {
    let begun = false, release
    const last = tails.get(name) ?? Promise.resolve(), mine = new Promise((done) => { release = done })
    tails.set(name, last.then(() => mine))
    const begin = (then) => { if (!begun) begun = true, then() }
    signal?.addEventListener('abort', () => begin(() => (release(), reject(signal.reason))))
    last.then(() => begin(() => Promise.resolve(run()).then(resolve, reject).finally(release)))
  })
  Object.defineProperty(globalThis, 'navigator', { value: { locks: { request } }, configurable: true })
  t.after(() => before ? Object.defineProperty(globalThis, 'navigator', before) : delete globalThis.navigator)
}

export function memory() {
  const items = new Map()
  return {
    getItem: (key) => items.get(key) ?? null, setItem: (key, value) => void items.set(key, String(value)),
    removeItem: (key) => void items.delete(key), keys: () => [...items.keys()],
  }
}

// visitor goes through the pages of the server from an address, pressing these buttons where a
// page has them, and returns the address outside of the server where that ends.
export function visitor(issuer) {
  const cookies = new Map()
  return async function visit(address, buttons = ['sign-in', 'allow', 'continue']) {
    let body, from = issuer
    for (let steps = 0; steps < 20; steps++) {
      if (new URL(address).origin !== issuer) return address
      const response = await fetch(address, {
        method: body ? 'POST' : 'GET', body, redirect: 'manual',
        headers: { Cookie: [...cookies].map((pair) => pair.join('=')).join('; '), Accept: 'text/html', ...(body && { Origin: new URL(from).origin }) },
      })
      for (const cookie of response.headers.getSetCookie()) {
        const [name, value] = cookie.split(';')[0].split('=')
        if (value) cookies.set(name, value)
        else cookies.delete(name)
      }
      const next = response.headers.get('Location')
      const text = await response.text()
      body = undefined
      if (next) {
        address = new URL(next, address).href
        continue
      }
      const form = /<form[^>]*>[^]*?<\/form>/.exec(text)?.[0] ?? ''
      const action = buttons.find((name) => form.includes(`value="${name}"`))
      if (!action) return `${response.status} ${address}\n${text}`
      body = new URLSearchParams({ action })
      for (const [field] of form.matchAll(/<input[^>]*>/g)) {
        const [, name] = /name="([^"]*)"/.exec(field) ?? [], [, value] = /value="([^"]*)"/.exec(field) ?? []
        if (name && !field.includes('checkbox')) body.set(name, { email, password }[name] ?? value ?? '')
      }
      from = address
      address = new URL(unescape(/<form[^>]*action="([^"]*)"/.exec(form)?.[1] ?? ''), address).href
    }
    throw new Error(`still at ${address}`)
  }
}

const unescape = (text) => text.replaceAll('&amp;', '&').replaceAll('&#43;', '+').replaceAll('&#34;', '"')
