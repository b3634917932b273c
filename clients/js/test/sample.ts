// Compiled only: what an application in TypeScript may write, and that the client, which the test
// copies to implementation.js, is what its declarations say.
import { PicoAuth, PicoAuthError, type User } from '@pico-auth/client'
import * as client from './implementation.js'

const auth = new PicoAuth({ issuer: 'https://auth.example.com', clientId: 'app', redirectUri: 'https://app.example/', apis: ['https://api.example'] })
new PicoAuth({ issuer: 'https://auth.example.com', storage: sessionStorage })
// @ts-expect-error the issuer is required
new PicoAuth({ clientId: 'app' })

const end: () => void = auth.onChange((user: User | null) => console.log(user?.email?.toLowerCase(), user?.sub, user?.tenant))
end()

export async function main(): Promise<string> {
  const returned: string | null = await auth.handleCallback()
  if (!auth.user) await auth.signIn({ returnTo: '/notes', params: { prompt: 'login' } })
  // @ts-expect-error the user is read-only
  auth.user = null
  const response = await auth.fetch('/api/notes', { method: 'POST', body: 'bread' })
  const token: string | null = await auth.accessToken()
  try {
    const user = await auth.signInWithPassword('ada@example.com', 'secret')
    return user.sub + returned + token + response.status
  } catch (error) {
    if (error instanceof PicoAuthError && error.code === 'rate_limited') return `again in ${error.retryAfter} s`
    throw error
  } finally {
    await auth.signOut()
  }
}

export const implemented: typeof import('@pico-auth/client') = client
