// Authentication with the unmodified @supabase/supabase-js against a started server. Prints one JSON object: name -> null | error.
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'

const { FB_URL, FB_ANON, FB_SERVICE } = process.env
const quiet = { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } }
const client = () => createClient(FB_URL, FB_ANON, quiet)
const admin = createClient(FB_URL, FB_SERVICE, quiet).auth.admin
const password = 'violet tunnel 93 cup'
const other = 'granite lamp 41 fern'
const address = () => `${crypto.randomUUID()}@example.test`
const good = async (call) => {
  const { data, error } = await call
  assert.equal(error, null, JSON.stringify(error))
  return data
}
const refused = async (call, code) => {
  const { error } = await call
  assert.equal(error?.code, code, JSON.stringify(error))
  return error
}
const signedUp = async () => {
  const supabase = client()
  const email = address()
  const { user, session } = await good(supabase.auth.signUp({ email, password, options: { data: { nick: 'ada' } } }))
  return { supabase, email, user, session }
}

const scenarios = []
const scenario = (name, run) => scenarios.push([name, run])

scenario('signUp gives a session and the user with his metadata', async () => {
  const { email, user, session } = await signedUp()
  assert.equal(user.email, email)
  assert.equal(user.user_metadata.nick, 'ada')
  assert.equal(user.role, 'authenticated')
  assert.equal(user.identities[0].provider, 'email')
  assert.equal(session.token_type, 'bearer')
  assert.ok(session.expires_at > Date.now() / 1000)
})
scenario('signUp with a taken address or a weak password says why', async () => {
  const { email } = await signedUp()
  await refused(client().auth.signUp({ email: email.toUpperCase(), password }), 'user_already_exists')
  const error = await refused(client().auth.signUp({ email: address(), password: 'short' }), 'weak_password')
  assert.deepEqual(error.reasons, ['length'])
})
scenario('signInWithPassword, getUser and rows under RLS as that user', async () => {
  const { email, user } = await signedUp()
  const supabase = client()
  await good(supabase.auth.signInWithPassword({ email, password }))
  assert.equal((await good(supabase.auth.getUser())).user.id, user.id)
  await good(supabase.from('cl_own').insert({ note: email }))
  assert.deepEqual((await good(supabase.from('cl_own').select('owner,note'))), [{ owner: user.id, note: email }])
  await refused(client().auth.signInWithPassword({ email, password: other }), 'invalid_credentials')
  await refused(client().auth.signInWithPassword({ email: address(), password }), 'invalid_credentials')
})
scenario('getClaims verifies the token with the published keys', async () => {
  const { supabase, user, session } = await signedUp()
  const { claims } = await good(supabase.auth.getClaims())
  assert.equal(claims.sub, user.id)
  assert.equal(claims.aal, 'aal1')
  assert.equal(claims.amr[0].method, 'password')
  assert.equal(claims.session_id.length, 36)
  assert.ok(session.access_token)
})
scenario('refreshSession rotates; the old token gives the same child within the grace', async () => {
  const { supabase, session } = await signedUp()
  const first = await good(supabase.auth.refreshSession())
  assert.notEqual(first.session.refresh_token, session.refresh_token)
  const again = await good(client().auth.refreshSession({ refresh_token: session.refresh_token }))
  assert.equal(again.session.refresh_token, first.session.refresh_token)
  await refused(client().auth.refreshSession({ refresh_token: 'nobody-issued-this' }), 'refresh_token_not_found')
})
scenario('setSession goes on with stored tokens', async () => {
  const { session, user } = await signedUp()
  const supabase = client()
  const data = await good(supabase.auth.setSession({ access_token: session.access_token, refresh_token: session.refresh_token }))
  assert.equal(data.user.id, user.id)
})
scenario('updateUser changes metadata, password and address', async () => {
  const { supabase, email } = await signedUp()
  assert.equal((await good(supabase.auth.updateUser({ data: { nick: 'countess' } }))).user.user_metadata.nick, 'countess')
  await refused(supabase.auth.updateUser({ password }), 'same_password')
  await good(supabase.auth.updateUser({ password: other }))
  await refused(client().auth.signInWithPassword({ email, password }), 'invalid_credentials')
  await good(client().auth.signInWithPassword({ email, password: other }))
})
scenario('signOut local, others and global act on the next request', async () => {
  const { supabase, email, session } = await signedUp()
  const second = client()
  await good(second.auth.signInWithPassword({ email, password }))
  const { error } = await second.auth.signOut({ scope: 'others' })
  assert.equal(error, null)
  const old = createClient(FB_URL, FB_ANON, { ...quiet, global: { headers: { Authorization: `Bearer ${session.access_token}` } } })
  assert.equal((await old.from('cl_own').select()).status, 401)
  assert.equal((await supabase.auth.getUser(session.access_token)).error.name, 'AuthSessionMissingError')
  const token = (await second.auth.getSession()).data.session.access_token
  assert.equal((await second.auth.signOut()).error, null)
  assert.ok((await client().auth.getUser(token)).error)
})
scenario('signInAnonymously, then a real account with the same id', async () => {
  const supabase = client()
  const { user } = await good(supabase.auth.signInAnonymously({ options: { data: { cart: 3 } } }))
  assert.equal(user.is_anonymous, true)
  const email = address()
  const real = await good(supabase.auth.updateUser({ email, password }))
  assert.equal(real.user.id, user.id)
  assert.equal(real.user.is_anonymous, false)
  assert.equal(real.user.user_metadata.cart, 3)
  assert.equal((await good(client().auth.signInWithPassword({ email, password }))).user.id, user.id)
})
scenario('admin: create, get, list with pages, update, ban, delete', async () => {
  const email = address()
  const { user } = await good(admin.createUser({ email, password, email_confirm: true, user_metadata: { a: 1 }, app_metadata: { plan: 'pro' } }))
  assert.equal(user.app_metadata.plan, 'pro')
  assert.ok(user.email_confirmed_at)
  assert.equal((await good(admin.getUserById(user.id))).user.email, email)
  const page = await good(admin.listUsers({ page: 1, perPage: 2 }))
  assert.equal(page.users.length, 2)
  assert.equal(page.nextPage, 2)
  assert.ok(page.total >= 3)
  assert.equal((await good(admin.updateUserById(user.id, { app_metadata: { plan: null, seats: 2 } }))).user.app_metadata.plan, undefined)
  await good(admin.updateUserById(user.id, { ban_duration: '24h' }))
  await refused(client().auth.signInWithPassword({ email, password }), 'user_banned')
  await good(admin.updateUserById(user.id, { ban_duration: 'none' }))
  await good(client().auth.signInWithPassword({ email, password }))
  await refused(admin.createUser({ email, password }), 'email_exists')
  await good(admin.deleteUser(user.id))
  await refused(admin.getUserById(user.id), 'user_not_found')
  await refused(client().auth.signInWithPassword({ email, password }), 'invalid_credentials')
})
scenario('admin.signOut ends the sessions of a token', async () => {
  const { supabase, session } = await signedUp()
  assert.equal((await admin.signOut(session.access_token, 'global')).error, null)
  assert.ok((await supabase.auth.getUser(session.access_token)).error)
})
scenario('admin is for the service key alone', async () => {
  const { supabase } = await signedUp()
  await refused(supabase.auth.admin.listUsers(), 'not_admin')
  await refused(client().auth.admin.listUsers(), 'not_admin')
})

const outcomes = {}
for (const [name, run] of scenarios) {
  try {
    await run()
    outcomes[name] = null
  } catch (error) {
    outcomes[name] = String(error?.stack ?? error)
  }
}
console.log(JSON.stringify(outcomes))
