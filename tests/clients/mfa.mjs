// Second factors and passkeys with the unmodified @supabase/supabase-js. Prints one JSON object: name -> null | error.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { createClient } from '@supabase/supabase-js'

const { FB_URL, FB_ANON, FB_SERVICE } = process.env
const options = {
  auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false, experimental: { passkey: true, recoveryCodes: true } },
}
const client = () => createClient(FB_URL, FB_ANON, options)
const admin = createClient(FB_URL, FB_SERVICE, options).auth.admin
const password = 'violet tunnel 93 cup'
const good = async (call) => {
  const { data, error } = await call
  assert.equal(error, null, JSON.stringify(error))
  return data
}
const refused = async (call, code) => {
  const { error } = await call
  assert.equal(error?.code, code, JSON.stringify(error))
}
const code = (secret, steps = 0) => {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps))
  const digest = crypto.createHmac('sha1', key).update(counter).digest()
  return String((digest.readUInt32BE(digest[19] & 15) & 0x7fffffff) % 1000000).padStart(6, '0')
}
const enrolled = async () => {
  const supabase = client()
  const email = `${crypto.randomUUID()}@example.test`
  const { user } = await good(supabase.auth.signUp({ email, password }))
  const factor = await good(supabase.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }))
  const verified = await good(supabase.auth.mfa.challengeAndVerify({ factorId: factor.id, code: code(factor.totp.secret) }))
  return { supabase, email, user, factor, verified }
}
const level = async (supabase) => {
  const { currentLevel, nextLevel } = await good(supabase.auth.mfa.getAuthenticatorAssuranceLevel())
  return [currentLevel, nextLevel]
}

const scenarios = []
const scenario = (name, run) => scenarios.push([name, run])

scenario('enroll shows a picture, challengeAndVerify gives an aal2 session', async () => {
  const { supabase, factor, verified } = await enrolled()
  assert.ok(factor.totp.qr_code.startsWith('data:image/svg+xml;utf-8,<svg '))
  assert.ok(!factor.totp.qr_code.includes('#'))
  assert.ok(factor.totp.uri.startsWith('otpauth://totp/'))
  assert.ok(verified.access_token && verified.refresh_token)
  assert.deepEqual(await level(supabase), ['aal2', 'aal2'])
  const { totp, all } = await good(supabase.auth.mfa.listFactors())
  assert.deepEqual([totp.length, all.length, totp[0].id, totp[0].friendly_name], [1, 1, factor.id, 'phone'])
})
scenario('a password alone is aal1 of aal2 and reads nothing until verify', async () => {
  const { email, factor } = await enrolled()
  const supabase = client()
  await good(supabase.auth.signInWithPassword({ email, password }))
  assert.deepEqual(await level(supabase), ['aal1', 'aal2'])
  assert.equal((await supabase.from('mfa_rows').select()).status, 403)
  const challenge = await good(supabase.auth.mfa.challenge({ factorId: factor.id }))
  await refused(supabase.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: '000000' }), 'mfa_verification_failed')
  await good(supabase.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: code(factor.totp.secret, 1) }))
  assert.deepEqual(await level(supabase), ['aal2', 'aal2'])
  assert.equal((await good(supabase.from('mfa_rows').select())).length, 1)
})
scenario('unenroll lowers the session at once', async () => {
  const { supabase, factor } = await enrolled()
  assert.equal((await good(supabase.from('mfa_rows').select())).length, 1)
  assert.equal((await good(supabase.auth.mfa.unenroll({ factorId: factor.id }))).id, factor.id)
  assert.equal((await good(supabase.from('mfa_rows').select())).length, 0)
  await good(supabase.auth.refreshSession())
  assert.deepEqual(await level(supabase), ['aal1', 'aal1'])
})
scenario('recovery codes: generate, status, verify, regenerate', async () => {
  const { supabase, email } = await enrolled()
  const made = await good(supabase.auth.mfa.recoveryCodes.generate())
  assert.equal(made.codes.length, 10)
  const other = client()
  await good(other.auth.signInWithPassword({ email, password }))
  await good(other.auth.mfa.recoveryCodes.verify({ code: made.codes[0].toUpperCase() }))
  assert.deepEqual(await level(other), ['aal2', 'aal2'])
  assert.equal((await good(other.auth.mfa.recoveryCodes.getStatus())).remaining, 9)
  assert.equal((await good(other.auth.mfa.recoveryCodes.regenerate())).codes.length, 10)
})
scenario('admin lists and deletes factors', async () => {
  const { supabase, user, factor } = await enrolled()
  const { factors } = await good(admin.mfa.listFactors({ userId: user.id }))
  assert.deepEqual(factors.map((each) => each.id), [factor.id])
  await good(admin.mfa.deleteFactor({ userId: user.id, id: factor.id }))
  assert.deepEqual((await good(supabase.auth.mfa.listFactors())).all, [])
})

// A passkey authenticator: one P-256 credential, attestation "none".
const b64 = (data) => Buffer.from(data).toString('base64url')
const sha256 = (data) => crypto.createHash('sha256').update(data).digest()
const head = (major, size) => (size < 24 ? Buffer.from([(major << 5) | size]) : size < 256 ? Buffer.from([(major << 5) | 24, size]) : Buffer.from([(major << 5) | 25, size >> 8, size & 255]))
const cbor = (value) => {
  if (Number.isInteger(value)) return value < 0 ? head(1, -1 - value) : head(0, value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  return Buffer.concat([head(5, value.length), ...value.flat().map(cbor)])
}
class Authenticator {
  constructor() {
    Object.assign(this, crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }))
    this.id = crypto.randomBytes(32)
    this.count = 0
  }
  data(rpId, flags) {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(++this.count)
    return Buffer.concat([sha256(rpId), Buffer.from([flags]), count])
  }
  clientData(type, challenge) {
    return Buffer.from(JSON.stringify({ type, challenge, origin: FB_URL.replace('127.0.0.1', 'localhost') }))
  }
  answer(response) {
    return { id: b64(this.id), rawId: b64(this.id), type: 'public-key', clientExtensionResults: {}, response }
  }
  create({ challenge, rp, user }) {
    this.handle = user.id
    const { x, y } = this.publicKey.export({ format: 'jwk' })
    const key = cbor([[1, 2], [3, -7], [-1, 1], [-2, Buffer.from(x, 'base64url')], [-3, Buffer.from(y, 'base64url')]])
    const data = Buffer.concat([this.data(rp.id, 0x45), Buffer.alloc(16), Buffer.from([0, 32]), this.id, key])
    const attestation = cbor([['fmt', 'none'], ['attStmt', []], ['authData', data]])
    return this.answer({ clientDataJSON: b64(this.clientData('webauthn.create', challenge)), attestationObject: b64(attestation) })
  }
  get({ challenge, rpId }) {
    const client = this.clientData('webauthn.get', challenge)
    const data = this.data(rpId, 0x05)
    const signature = crypto.sign('sha256', Buffer.concat([data, sha256(client)]), this.privateKey)
    return this.answer({ clientDataJSON: b64(client), authenticatorData: b64(data), signature: b64(signature), userHandle: this.handle })
  }
}
scenario('a passkey: registered, listed, renamed, signs in without a name, deleted', async () => {
  const supabase = client()
  const email = `${crypto.randomUUID()}@example.test`
  const { user } = await good(supabase.auth.signUp({ email, password }))
  const device = new Authenticator()
  const begun = await good(supabase.auth.passkey.startRegistration())
  const made = await good(supabase.auth.passkey.verifyRegistration({ challengeId: begun.challenge_id, credential: device.create(begun.options) }))
  assert.deepEqual((await good(supabase.auth.passkey.list())).map((each) => each.id), [made.id])
  assert.equal((await good(supabase.auth.passkey.update({ passkeyId: made.id, friendlyName: 'blue' }))).friendly_name, 'blue')
  const other = client()
  const asked = await good(other.auth.passkey.startAuthentication())
  const signed = await good(other.auth.passkey.verifyAuthentication({ challengeId: asked.challenge_id, credential: device.get(asked.options) }))
  assert.equal(signed.user.id, user.id)
  assert.equal((await good(other.auth.mfa.getAuthenticatorAssuranceLevel())).currentLevel, 'aal2')
  assert.deepEqual((await good(admin.passkey.listPasskeys({ userId: user.id }))).map((each) => each.id), [made.id])
  await good(other.auth.passkey.delete({ passkeyId: made.id }))
  assert.deepEqual(await good(supabase.auth.passkey.list()), [])
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
