// Sign-in with identity providers by the unmodified @supabase/supabase-js. Prints one JSON object: name -> null | error.
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'

const { FB_URL, FB_ANON, FB_APP, FB_ID_TOKEN, FB_NONCE } = process.env
const scenarios = []
const scenario = (name, run) => scenarios.push([name, run])

const newClient = () => {
  const kept = new Map()
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) }
  return createClient(FB_URL, FB_ANON, { auth: { flowType: 'pkce', storage, autoRefreshToken: false, detectSessionInUrl: false } })
}
const ok = ({ data, error }) => {
  assert.equal(error, null, JSON.stringify(error))
  return data
}
// A browser: follows redirects with its cookies until the app's page.
const visit = async (url) => {
  const cookies = new Map()
  for (let hop = 0; hop < 10; hop += 1) {
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') } })
    for (const line of answer.headers.getSetCookie()) cookies.set(...line.split(';')[0].split(/=(.*)/s).slice(0, 2))
    assert.ok([302, 303].includes(answer.status), `${answer.status} ${await answer.text()}`)
    url = new URL(answer.headers.get('location'), url).href
    if (url.startsWith(FB_APP)) return new URL(url)
  }
  throw new Error('no end of redirects')
}
const signIn = async (client, provider) => {
  const { url } = ok(await client.auth.signInWithOAuth({ provider, options: { redirectTo: FB_APP, skipBrowserRedirect: true } }))
  return ok(await client.auth.exchangeCodeForSession((await visit(url)).searchParams.get('code')))
}

scenario('signInWithOAuth and exchangeCodeForSession', async () => {
  const client = newClient()
  const { session } = await signIn(client, 'liar')
  assert.equal(session.user.app_metadata.provider, 'liar')
  assert.ok(session.provider_token)
  assert.equal(ok(await client.auth.getUser()).user.id, session.user.id)
  assert.ok(ok(await client.auth.refreshSession()).session.access_token)
})
scenario('a code is good once', async () => {
  const client = newClient()
  const { url } = ok(await client.auth.signInWithOAuth({ provider: 'liar', options: { redirectTo: FB_APP, skipBrowserRedirect: true } }))
  const code = (await visit(url)).searchParams.get('code')
  ok(await client.auth.exchangeCodeForSession(code))
  const other = newClient()
  ok(await other.auth.signInWithOAuth({ provider: 'liar', options: { redirectTo: FB_APP, skipBrowserRedirect: true } }))
  const { error } = await other.auth.exchangeCodeForSession(code)
  assert.deepEqual([error.status, error.code], [404, 'flow_state_not_found'])
})
scenario('linkIdentity, getUserIdentities, unlinkIdentity', async () => {
  const client = newClient()
  const { user } = await signIn(client, 'liar')
  const { url } = ok(await client.auth.linkIdentity({ provider: 'second', options: { redirectTo: FB_APP } }))
  const linked = ok(await client.auth.exchangeCodeForSession((await visit(url)).searchParams.get('code')))
  assert.equal(linked.user.id, user.id)
  const { identities } = ok(await client.auth.getUserIdentities())
  assert.deepEqual(identities.map((each) => each.provider).sort(), ['liar', 'second'])
  ok(await client.auth.unlinkIdentity(identities.find((each) => each.provider === 'second')))
  assert.deepEqual(ok(await client.auth.getUserIdentities()).identities.map((each) => each.provider), ['liar'])
})
scenario('signInWithIdToken', async () => {
  const client = newClient()
  const { user } = ok(await client.auth.signInWithIdToken({ provider: 'liar', token: FB_ID_TOKEN, nonce: FB_NONCE }))
  assert.equal(user.identities[0].provider, 'liar')
  const { error } = await newClient().auth.signInWithIdToken({ provider: 'liar', token: FB_ID_TOKEN, nonce: FB_NONCE })
  assert.deepEqual([error.status, error.code], [400, 'bad_id_token'])
})
scenario('an unknown provider is refused', async () => {
  const { url } = ok(await newClient().auth.signInWithOAuth({ provider: 'nobody', options: { skipBrowserRedirect: true } }))
  const answer = await fetch(url, { redirect: 'manual' })
  assert.deepEqual([answer.status, (await answer.json()).error_code], [400, 'provider_disabled'])
})
scenario('signInWithSSO without a provider for the domain', async () => {
  const { error } = await newClient().auth.signInWithSSO({ domain: 'corp.test' })
  assert.deepEqual([error.status, error.code], [404, 'sso_provider_not_found'])
})

const outcomes = {}
for (const [name, run] of scenarios) {
  try { await run(); outcomes[name] = null } catch (error) { outcomes[name] = String(error.stack ?? error) }
}
console.log(JSON.stringify(outcomes))
process.exit(0)
