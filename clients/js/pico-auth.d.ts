/** Where the session is kept: `localStorage`, `sessionStorage`, or an object like them. */
export interface SessionStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

export interface Options {
  /** The setting `auth.issuer` of the server, character by character. */
  issuer: string
  /** Needed by {@link PicoAuth.signIn}: a client of the kind `spa`. */
  clientId?: string
  /** Needed by {@link PicoAuth.signIn}: the page that calls {@link PicoAuth.handleCallback}, as registered. */
  redirectUri?: string
  /** Where the browser returns to after a sign-out, as registered. Default: `redirectUri`. */
  postLogoutRedirectUri?: string
  /** Default: `openid profile email`. It must have `openid`. */
  scope?: string
  /** URLs of further origins that {@link PicoAuth.fetch} sends the access token to. It always does to the page's own and the issuer's. */
  apis?: string[]
  /** Default: `localStorage`, which all tabs share; outside of a page, memory. */
  storage?: SessionStorage
}

/** The claims of the ID token; after a sign-in with a password, those of the access token. */
export interface User {
  sub: string
  email?: string
  name?: string
  role?: 'viewer' | 'operator' | 'org_admin' | 'superadmin'
  groups?: string[]
  [claim: string]: unknown
}

export interface SignInOptions {
  /** Where the user is after the sign-in: an address of this origin. Default: the present one. */
  returnTo?: string
  /** Further parameters of the request, such as `prompt`, `login_hint` or `ui_locales`. */
  params?: Record<string, string>
}

export declare class PicoAuth {
  constructor(options: Options)
  /** The user who is signed in. The same object while nothing about the user changes. */
  readonly user: User | null
  /** Calls the listener when a user signs in or out, here or in another tab, or changes. Returns how to end that. */
  onChange(listener: (user: User | null) => void): () => void
  /** Leaves the page for the sign-in of the server. */
  signIn(options?: SignInOptions): Promise<void>
  /**
   * Finishes a sign-in when the address has its response, and puts `returnTo` there instead.
   * Resolves to `returnTo`, or null when there was no response. May be called on every page, and again.
   */
  handleCallback(): Promise<string | null>
  /** Signs in by the JSON API, without the pages of the server. */
  signInWithPassword(email: string, password: string): Promise<User>
  /**
   * Ends the session. After {@link PicoAuth.signIn} this leaves the page to end it at the server, too. The
   * session is gone from this browser in any case; rejects when the server could not be told.
   */
  signOut(): Promise<void>
  /**
   * A valid access token, refreshed when it is about to expire; null: no user is signed in. Rejects with `lock_timeout` when
   * another tab that refreshes has not responded for 18 seconds.
   */
  accessToken(): Promise<string | null>
  /**
   * As the global `fetch`, with the access token. After a 401 the request is repeated once with a new token of the same user.
   * Rejects for an origin that is not this page's, the issuer's or one of `apis`.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>
}

export declare class PicoAuthError extends Error {
  constructor(code: string, message: string, options?: { status?: number; retryAfter?: number; cause?: unknown })
  /** The `error` of the server, such as `invalid_credentials` or `access_denied`, or one of
   * `network_error`, `http_error`, `lock_timeout` (another tab does not respond), `invalid_request`, `unknown_state`, `invalid_issuer` and `invalid_id_token`. */
  readonly code: string
  /** Of the response; 0: there was none. */
  readonly status: number
  /** In how many seconds to try again, as the server said; 0: it did not. */
  readonly retryAfter: number
}
