// The page of the notes, without a framework.
import { PicoAuth } from '/pico-auth.js'

const { issuer, clientId } = document.documentElement.dataset
const auth = new PicoAuth({
  issuer,
  clientId,
  redirectUri: `${location.origin}/`,
  scope: 'openid profile email roles',
})

const element = (id) => document.getElementById(id)

// attempt runs what a user asked for, and shows why it failed.
async function attempt(action) {
  element('fault').hidden = true
  try {
    await action()
  } catch (error) {
    element('fault').textContent = error.message
    element('fault').hidden = false
  }
}

let shown // the sub of the user whose page this is

function show(user) {
  if (user?.sub !== shown) {
    shown = user?.sub
    element('list').replaceChildren()
    element('empty').hidden = element('fault').hidden = true
    element('text').value = ''
    element('all').checked = false
  }
  element('welcome').hidden = user !== null
  element('notes').hidden = element('account').hidden = user === null
  element('name').textContent = user?.name ?? user?.email ?? ''
  element('everyone').hidden = !['operator', 'org_admin', 'superadmin'].includes(user?.role)
  if (user) attempt(list)
}

async function call(path, init) {
  const response = await auth.fetch(path, init)
  if (!response.ok) throw new Error(response.status === 401 ? 'Please sign in again.' : await response.text())
  return response.json()
}

async function list() {
  const all = element('all').checked
  const of = shown
  const notes = await call(all ? '/api/notes/all' : '/api/notes')
  if (shown !== of) return // another user has signed in meanwhile
  element('empty').hidden = notes.length > 0
  element('list').replaceChildren(...notes.map(({ text, author, written }) => {
    const item = document.createElement('li')
    const about = document.createElement('small')
    about.textContent = (all ? `${author}, ` : '') + new Date(written).toLocaleString()
    item.append(text, about)
    return item
  }))
}

element('sign-in').onclick = () => attempt(() => auth.signIn())
element('sign-out').onclick = () => attempt(() => auth.signOut())
element('all').onchange = () => attempt(list)
element('write').onsubmit = (event) => {
  event.preventDefault()
  attempt(async () => {
    const text = element('text').value
    await call('/api/notes', { method: 'POST', body: JSON.stringify({ text }), headers: { 'Content-Type': 'application/json' } })
    element('text').value = ''
    await list()
  })
}

await attempt(() => auth.handleCallback())
auth.onChange(show) // also when another tab signs in or out
show(auth.user)
