// Mailed flows with the unmodified @supabase/supabase-js against a started server and a real mail server.
// FB_MAIL answers what arrived: GET /?to=…&count=n. Prints one JSON object: name -> null | error.
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'

const { FB_URL, FB_ANON, FB_SERVICE, FB_MAIL, FB_SITE } = process.env
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
}
const mailed = async (to, count = 1) => (await fetch(`${FB_MAIL}/?to=${encodeURIComponent(to)}&count=${count}`)).json()
// The button of the page, as a browser presses it.
const pressed = async (link) => {
  const url = new URL(link)
  assert.equal((await fetch(link)).status, 200)
  const answer = await fetch(`${url.origin}${url.pathname}`, { method: 'POST', body: url.searchParams, redirect: 'manual' })
  assert.equal(answer.status, 303)
  return new URL(answer.headers.get('location'))
}
const confirmed = async () => {
  const supabase = client()
  const email = address()
  const { user, session } = await good(supabase.auth.signUp({ email, password }))
  assert.equal(session, null)
  const { code } = await mailed(email)
  const verified = await good(supabase.auth.verifyOtp({ email, token: code, type: 'signup' }))
  assert.equal(verified.user.id, user.id)
  return { supabase, email, session: verified.session }
}

const scenarios = []
const scenario = (name, run) => scenarios.push([name, run])

scenario('signUp waits for the code of the mail', async () => {
  const { email } = await confirmed()
  await good(client().auth.signInWithPassword({ email, password }))
})
scenario('signInWithPassword before the confirmation says email_not_confirmed', async () => {
  const email = address()
  await good(client().auth.signUp({ email, password }))
  await refused(client().auth.signInWithPassword({ email, password }), 'email_not_confirmed')
})
scenario('signInWithOtp and verifyOtp with the code', async () => {
  const supabase = client()
  const email = address()
  await good(supabase.auth.signInWithOtp({ email, options: { data: { nick: 'ada' } } }))
  const { code } = await mailed(email)
  const { session, user } = await good(supabase.auth.verifyOtp({ email, token: code, type: 'email' }))
  assert.equal(user.user_metadata.nick, 'ada')
  assert.equal((await good(supabase.auth.getUser())).user.id, user.id)
  assert.ok(session.refresh_token)
  await refused(client().auth.verifyOtp({ email, token: code, type: 'email' }), 'otp_expired')
})
scenario('verifyOtp with token_hash of a magic link', async () => {
  const supabase = client()
  const email = address()
  await good(supabase.auth.signInWithOtp({ email }))
  const { token } = await mailed(email)
  const { session } = await good(supabase.auth.verifyOtp({ token_hash: token, type: 'magiclink' }))
  assert.equal(session.user.email, email)
  await refused(client().auth.verifyOtp({ token_hash: token, type: 'magiclink' }), 'otp_expired')
})
scenario('the link of signInWithOtp ends with a session that setSession takes', async () => {
  const supabase = client()
  const email = address()
  await good(supabase.auth.signInWithOtp({ email, options: { emailRedirectTo: FB_SITE } }))
  const place = await pressed((await mailed(email)).link)
  const found = new URLSearchParams(place.hash.slice(1))
  assert.equal(place.origin + place.pathname, FB_SITE)
  await good(supabase.auth.setSession({ access_token: found.get('access_token'), refresh_token: found.get('refresh_token') }))
  assert.equal((await good(supabase.auth.getUser())).user.email, email)
})
scenario('PKCE: the link gives a code that exchangeCodeForSession takes', async () => {
  const kept = new Map()
  const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value), removeItem: (name) => kept.delete(name) }
  const supabase = createClient(FB_URL, FB_ANON, { auth: { flowType: 'pkce', storage, autoRefreshToken: false, detectSessionInUrl: false } })
  const email = address()
  await good(supabase.auth.signInWithOtp({ email }))
  const place = await pressed((await mailed(email)).link)
  assert.equal(place.hash, '')
  const { session } = await good(supabase.auth.exchangeCodeForSession(place.searchParams.get('code')))
  assert.equal(session.user.email, email)
})
scenario('resetPasswordForEmail, verifyOtp and a new password', async () => {
  const { email } = await confirmed()
  const supabase = client()
  await good(supabase.auth.resetPasswordForEmail(email))
  const { code } = await mailed(email, 2)
  await good(supabase.auth.verifyOtp({ email, token: code, type: 'recovery' }))
  await good(supabase.auth.updateUser({ password: other }))
  await good(client().auth.signInWithPassword({ email, password: other }))
  await refused(client().auth.signInWithPassword({ email, password }), 'invalid_credentials')
})
scenario('resetPasswordForEmail says nothing about who has an account', async () => {
  await good(client().auth.resetPasswordForEmail(address()))
})
scenario('updateUser changes the address when both have confirmed', async () => {
  const { supabase, email } = await confirmed()
  const next = address()
  const { user } = await good(supabase.auth.updateUser({ email: next }))
  assert.deepEqual([user.email, user.new_email], [email, next])
  const half = await supabase.auth.verifyOtp({ email, token: (await mailed(email, 2)).code, type: 'email_change' })
  assert.equal(half.error, null)
  const { user: changed } = await good(client().auth.verifyOtp({ email: next, token: (await mailed(next)).code, type: 'email_change' }))
  assert.equal(changed.email, next)
})
scenario('reauthenticate mails the nonce of updateUser', async () => {
  const { supabase, email } = await confirmed()
  await good(supabase.auth.reauthenticate())
  const { code } = await mailed(email, 2)
  await refused(supabase.auth.updateUser({ password: other, nonce: code === '000000' ? '111111' : '000000' }), 'reauthentication_not_valid')
  await good(supabase.auth.updateUser({ password: other, nonce: code }))
})
scenario('resend mails the confirmation again', async () => {
  const supabase = client()
  const email = address()
  await good(supabase.auth.signUp({ email, password }))
  await good(supabase.auth.resend({ type: 'signup', email }))
  await good(supabase.auth.verifyOtp({ email, token: (await mailed(email, 2)).code, type: 'signup' }))
})
scenario('admin.inviteUserByEmail', async () => {
  const email = address()
  const { user } = await good(admin.inviteUserByEmail(email, { data: { team: 7 } }))
  assert.ok(user.invited_at)
  const { token } = await mailed(email)
  const { session } = await good(client().auth.verifyOtp({ token_hash: token, type: 'invite' }))
  assert.equal(session.user.user_metadata.team, 7)
})
scenario('admin.generateLink of every kind', async () => {
  const { email } = await confirmed()
  for (const params of [
    { type: 'signup', email: address(), password },
    { type: 'invite', email: address() },
    { type: 'magiclink', email },
    { type: 'recovery', email },
  ]) {
    const { properties, user } = await good(admin.generateLink(params))
    assert.equal(user.email, params.email)
    assert.match(properties.email_otp, /^\d{6}$/)
    const proof = { token_hash: properties.hashed_token, type: properties.verification_type }
    assert.equal((await good(client().auth.verifyOtp(proof))).session.user.email, params.email)
  }
  await refused(admin.generateLink({ type: 'recovery', email: address() }), 'user_not_found')
  await refused(client().auth.admin.generateLink({ type: 'magiclink', email }), 'not_admin')
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
