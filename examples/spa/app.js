// A browser application without a server of its own, with oidc-client-ts.
const { issuer, clientId } = await (await fetch('/settings.json')).json()

const manager = new oidc.UserManager({
  authority: issuer,
  client_id: clientId,
  redirect_uri: `${location.origin}/`,
  post_logout_redirect_uri: `${location.origin}/`,
  scope: 'openid profile email',
  loadUserInfo: true,
})

const params = new URLSearchParams(location.search)
let user
try {
  if (params.has('state') && (params.has('code') || params.has('error'))) {
    user = await manager.signinCallback()
    history.replaceState(null, '', '/')
  } else {
    user = await manager.getUser()
  }
} catch (error) {
  document.getElementById('user').textContent = error.message
}

if (user && !user.expired) {
  document.getElementById('user').textContent = `Hello ${user.profile.name ?? user.profile.email} ${user.profile.email}`
}
for (const [id, shown, act] of [
  ['sign-in', !user, () => manager.signinRedirect()],
  ['sign-out', user, () => manager.signoutRedirect()],
]) {
  const button = document.getElementById(id)
  button.hidden = !shown
  button.onclick = act
}
