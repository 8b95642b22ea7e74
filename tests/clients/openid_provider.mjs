// A certified OpenID provider (npm oidc-provider) for the tests of sign-in. Prints its port when it listens.
// The login name decides the account: subject, address and email_verified, separated by bars; the password is not looked at.
import http from 'node:http'
import Provider from 'oidc-provider'

const { OP_PORT, OP_REDIRECT_URIS } = process.env
const verified = { yes: true, no: false, text: 'true' }
const account = (id) => {
  const [sub, email, word, name] = id.split('|')
  return { sub, ...(email && { email }), ...(word in verified && { email_verified: verified[word] }), name: name ?? sub }
}
const server = http.createServer((request, answer) => handler(request, answer))
let handler
server.listen(Number(OP_PORT), '127.0.0.1', () => {
  const { port } = server.address()
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{
      client_id: 'fluxbase-test', client_secret: 'not a secret & in need of %encoding', redirect_uris: JSON.parse(OP_REDIRECT_URIS),
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'client_secret_basic',
    }],
    findAccount: (_, id) => ({ accountId: id, claims: () => account(id) }),
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    subjectTypes: ['public'],
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true }, revocation: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    cookies: { keys: ['a key for tests'] },
    issueRefreshToken: () => true,
    ttl: { AccessToken: 30, IdToken: 3600, Interaction: 600, Session: 600, Grant: 600, RefreshToken: 3600, AuthorizationCode: 60 },
    renderError: (ctx, out) => { ctx.type = 'json'; ctx.body = out },
  })
  handler = provider.callback()
  console.log(port)
})
