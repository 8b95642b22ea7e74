// Scenarios of the unmodified @supabase/supabase-js against a started server. Prints one JSON object: name -> null | error.
// test_supabase_js.py runs this file once and reports every scenario as its own test.
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'

const { FB_URL, FB_ANON, FB_SERVICE, FB_USER, FB_OTHER, FB_USER_ID } = process.env
const quiet = { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } }
const anon = createClient(FB_URL, FB_ANON, quiet)
const service = createClient(FB_URL, FB_SERVICE, quiet)
const as = (token) => createClient(FB_URL, FB_ANON, { ...quiet, global: { headers: { Authorization: `Bearer ${token}` } } })
const user = as(FB_USER)
const other = as(FB_OTHER)

const scenarios = []
const scenario = (name, run) => scenarios.push([name, run])
const rows = async (query) => {
  const { data, error } = await query
  assert.equal(error, null, JSON.stringify(error))
  return data
}
const ids = async (query) => (await rows(query)).map((row) => row.id)
const books = (columns = 'id') => anon.from('cl_books').select(columns).order('id').lt('id', 100)

scenario('select returns the chosen columns of every permitted row', async () => {
  assert.deepEqual(await rows(anon.from('cl_genres').select('id,name').order('id')), [{ id: 1, name: 'science' }, { id: 2, name: 'prose' }])
})
scenario('aliases, casts and JSON paths in select', async () => {
  const got = await rows(anon.from('cl_authors').select('who:name,id::text,facts->>city,n:facts->awards->count').eq('id', 1))
  assert.deepEqual(got, [{ who: 'Ada', id: '1', city: 'London', n: 3 }])
})
scenario('eq neq gt gte lt lte', async () => {
  assert.deepEqual(await ids(books().eq('author_id', 1)), [1, 2])
  assert.deepEqual(await ids(books().neq('author_id', 1)), [3, 4, 5])
  assert.deepEqual(await ids(books().gt('price', 12)), [2, 5])
  assert.deepEqual(await ids(books().gte('price', 12)), [2, 4, 5])
  assert.deepEqual(await ids(books().lt('price', 10.5)), [3])
  assert.deepEqual(await ids(books().lte('price', 10.5)), [1, 3])
})
scenario('like ilike match imatch', async () => {
  assert.deepEqual(await ids(books().like('title', 'S%')), [2, 5])
  assert.deepEqual(await ids(books().ilike('title', '%TT%')), [4])
  assert.deepEqual(await ids(books().filter('title', 'match', '^T.*s$')), [3])
  assert.deepEqual(await ids(books().filter('title', 'imatch', '^notes$')), [1])
  assert.deepEqual(await ids(books().likeAnyOf('title', ['N%', 'T%'])), [1, 3])
})
scenario('is null, not is null, in, not in', async () => {
  assert.deepEqual(await ids(books().is('translator_id', null)), [2, 4, 5])
  assert.deepEqual(await ids(books().not('translator_id', 'is', null)), [1, 3])
  assert.deepEqual(await ids(books().in('title', ['Notes', 'Sums', 'a,"b)'])), [1, 5])
  assert.deepEqual(await ids(books().not('id', 'in', '(1,2,3)')), [4, 5])
  assert.deepEqual(await ids(books().in('id', [])), [])
})
scenario('array and jsonb containment and overlap', async () => {
  const authors = () => anon.from('cl_authors').select('id').order('id')
  assert.deepEqual(await ids(authors().contains('languages', ['fr'])), [1, 2])
  assert.deepEqual(await ids(authors().containedBy('languages', ['de', 'en'])), [3])
  assert.deepEqual(await ids(authors().overlaps('languages', ['la', 'de'])), [2, 3])
  assert.deepEqual(await ids(authors().contains('facts', { city: 'Paris' })), [2])
  assert.deepEqual(await ids(authors().eq('facts->awards->>count', '3')), [1])
})
scenario('full text search', async () => {
  assert.deepEqual(await ids(books().textSearch('title', 'notes', { config: 'english' })), [1])
  assert.deepEqual(await ids(books().textSearch('title', 'letter', { type: 'plain', config: 'english' })), [4])
})
scenario('or trees, nested and negated', async () => {
  assert.deepEqual(await ids(books().or('id.eq.1,title.eq.Sums')), [1, 5])
  assert.deepEqual(await ids(books().or('id.eq.5,and(author_id.eq.1,not.or(stock.eq.0,id.eq.9))')), [1, 5])
  assert.deepEqual(await ids(books().or('title.in.(Notes,"Sums"),price.eq.7.25')), [1, 3, 5])
})
scenario('order by several columns with nulls first and last', async () => {
  const got = await ids(anon.from('cl_books').select('id').lt('id', 100).order('translator_id', { nullsFirst: true }).order('price', { ascending: false }))
  assert.deepEqual(got, [5, 2, 4, 3, 1])
  assert.deepEqual(await ids(anon.from('cl_books').select('id').lt('id', 100).order('translator_id', { nullsFirst: false, ascending: false }).order('id')), [1, 3, 2, 4, 5])
})
scenario('limit, range and exact count', async () => {
  assert.deepEqual(await ids(books().limit(2)), [1, 2])
  const page = await anon.from('cl_books').select('id', { count: 'exact' }).lt('id', 100).order('id').range(1, 2)
  assert.deepEqual([page.status, page.count, page.data.map((r) => r.id)], [206, 5, [2, 3]])
  const head = await anon.from('cl_books').select('*', { count: 'exact', head: true }).lt('id', 100)
  assert.deepEqual([head.count, head.data], [5, null])
})
scenario('an offset beyond the rows is 416 PGRST103', async () => {
  const { error, status } = await anon.from('cl_books').select('id', { count: 'exact' }).lt('id', 100).range(50, 60)
  assert.deepEqual([status, error.code], [416, 'PGRST103'])
})
scenario('embed to-one, to-many and many-to-many', async () => {
  const got = await rows(anon.from('cl_books').select('title,author:cl_authors!cl_books_author_fkey(name),cl_genres(name)').eq('id', 1).order('name', { referencedTable: 'cl_genres' }))
  assert.deepEqual(got, [{ title: 'Notes', author: { name: 'Ada' }, cl_genres: [{ name: 'prose' }, { name: 'science' }] }])
  const back = await rows(anon.from('cl_authors').select('name,books:cl_books!cl_books_author_fkey(id)').eq('id', 2).order('id', { referencedTable: 'books' }))
  assert.deepEqual(back, [{ name: 'Blaise', books: [{ id: 3 }, { id: 4 }] }])
})
scenario('nested embeds with their own filter and limit', async () => {
  const got = await rows(anon.from('cl_genres').select('name,cl_books(id,author:cl_authors!cl_books_author_fkey(name))').eq('id', 1)
    .gt('cl_books.price', 10).order('id', { referencedTable: 'cl_books', ascending: false }).limit(2, { referencedTable: 'cl_books' }))
  assert.deepEqual(got, [{ name: 'science', cl_books: [{ id: 5, author: { name: 'Carl' } }, { id: 2, author: { name: 'Ada' } }] }])
})
scenario('!inner drops parents without a match', async () => {
  assert.deepEqual(await ids(anon.from('cl_authors').select('id,cl_books!cl_books_author_fkey!inner(id)').gt('cl_books.price', 15).order('id')), [1, 3])
})
scenario('a null to-one embed is null', async () => {
  const got = await rows(anon.from('cl_books').select('id,t:cl_authors!cl_books_translator_fkey(name)').in('id', [1, 2]).order('id'))
  assert.deepEqual(got, [{ id: 1, t: { name: 'Blaise' } }, { id: 2, t: null }])
})
scenario('two relationships without a hint are 300 PGRST201', async () => {
  const { error, status } = await anon.from('cl_books').select('id,cl_authors(name)')
  assert.deepEqual([status, error.code, error.details.length], [300, 'PGRST201', 2])
})
scenario('no relationship is PGRST200', async () => {
  const { error, status } = await anon.from('cl_books').select('id,cl_shelves(label)')
  assert.deepEqual([status, error.code], [400, 'PGRST200'])
})
scenario('single and maybeSingle', async () => {
  assert.equal((await rows(anon.from('cl_books').select('title').eq('id', 1).single())).title, 'Notes')
  const none = await anon.from('cl_books').select('title').eq('id', -1).single()
  assert.deepEqual([none.status, none.error.code], [406, 'PGRST116'])
  assert.equal(await rows(anon.from('cl_books').select('title').eq('id', -1).maybeSingle()), null)
  const many = await anon.from('cl_books').select('title').lt('id', 3).maybeSingle()
  assert.equal(many.error.code, 'PGRST116')
})
scenario('insert one row and read it back', async () => {
  const got = await rows(user.from('cl_books').insert({ id: 201, title: 'New', price: 5, author_id: 3 }).select('id,stock').single())
  assert.deepEqual(got, { id: 201, stock: 0 })
})
scenario('insert without select is 201 and null', async () => {
  const { status, data, error } = await user.from('cl_books').insert({ id: 202, title: 'Quiet', price: 5, author_id: 3 })
  assert.deepEqual([status, data, error], [201, null, null])
})
scenario('insert many rows with an exact count', async () => {
  const got = await user.from('cl_books').insert([1, 2, 3].map((n) => ({ id: 210 + n, title: `Many ${n}`, price: n, author_id: 1 })), { count: 'exact' }).select('id')
  assert.deepEqual([got.status, got.count, got.data.map((r) => r.id)], [201, 3, [211, 212, 213]])
})
scenario('insert with defaultToNull=false uses column defaults', async () => {
  const got = await rows(user.from('cl_books').insert([{ id: 221, title: 'D', price: 1, author_id: 1 }, { id: 222, title: 'E', price: 1, author_id: 1, stock: 7 }], { defaultToNull: false }).select('stock').order('id'))
  assert.deepEqual(got.map((r) => r.stock), [0, 7])
})
scenario('a policy refuses the insert of anon with 401 and of a user with 403', async () => {
  const mine = await anon.from('cl_books').insert({ title: 'X', price: 1, author_id: 1 })
  assert.deepEqual([mine.status, mine.error.code], [401, '42501'])
  const bad = await user.from('cl_books').insert({ title: 'X', price: -1, author_id: 1 })
  assert.deepEqual([bad.status, bad.error.code], [403, '42501'])
})
scenario('constraint violations carry the SQLSTATE', async () => {
  const twice = await user.from('cl_books').insert({ id: 1, title: 'X', price: 1, author_id: 1 })
  assert.deepEqual([twice.status, twice.error.code], [409, '23505'])
  const orphan = await user.from('cl_books').insert({ title: 'X', price: 1, author_id: 99 })
  assert.deepEqual([orphan.status, orphan.error.code], [409, '23503'])
  const check = await user.from('cl_books').insert({ title: 'X', price: 1, author_id: 1, stock: -1 })
  assert.deepEqual([check.status, check.error.code], [400, '23514'])
})
scenario('upsert merges duplicates', async () => {
  await rows(user.from('cl_books').insert({ id: 230, title: 'Before', price: 1, author_id: 1 }))
  const got = await rows(user.from('cl_books').upsert([{ id: 230, title: 'After', price: 2, author_id: 1 }, { id: 231, title: 'Fresh', price: 2, author_id: 1 }]).select('id,title').order('id'))
  assert.deepEqual(got, [{ id: 230, title: 'After' }, { id: 231, title: 'Fresh' }])
})
scenario('upsert on another unique key, ignoring duplicates', async () => {
  await rows(user.from('cl_shelves').insert({ label: 'top' }))
  const got = await rows(user.from('cl_shelves').upsert([{ label: 'top', owner: FB_USER_ID }, { label: 'low', owner: FB_USER_ID }], { onConflict: 'owner,label', ignoreDuplicates: true }).select('label'))
  assert.deepEqual(got, [{ label: 'low' }])
})
scenario('update returns the changed rows', async () => {
  await rows(user.from('cl_books').insert({ id: 240, title: 'U', price: 1, author_id: 1 }))
  assert.deepEqual(await rows(user.from('cl_books').update({ price: 3 }).eq('id', 240).select('id,price')), [{ id: 240, price: 3 }])
  const none = await user.from('cl_books').update({ price: 3 }).eq('id', -5)
  assert.deepEqual([none.status, none.data], [204, null])
})
scenario('delete returns the removed rows', async () => {
  await rows(user.from('cl_books').insert({ id: 250, title: 'D', price: 1, author_id: 1 }))
  const got = await user.from('cl_books').delete({ count: 'exact' }).eq('id', 250).select('id')
  assert.deepEqual([got.status, got.count, got.data], [200, 1, [{ id: 250 }]])
})
scenario('an update or delete of hidden rows touches nothing', async () => {
  await rows(user.from('cl_shelves').insert({ id: 1, label: 'mine' }))
  assert.deepEqual(await rows(other.from('cl_shelves').update({ label: 'stolen' }).eq('id', 1).select()), [])
  assert.deepEqual(await rows(other.from('cl_shelves').delete().eq('id', 1).select()), [])
  assert.deepEqual(await rows(user.from('cl_shelves').select('label').eq('id', 1)), [{ label: 'mine' }])
})
scenario('every caller sees exactly the rows the policies allow', async () => {
  await rows(user.from('cl_shelves').insert({ id: 2, label: 'private' }))
  assert.deepEqual(await ids(user.from('cl_shelves').select('id').eq('id', 2)), [2])
  assert.deepEqual(await ids(other.from('cl_shelves').select('id').eq('id', 2)), [])
  assert.deepEqual(await ids(anon.from('cl_shelves').select('id').eq('id', 2)), [])
  assert.deepEqual(await ids(service.from('cl_shelves').select('id').eq('id', 2)), [2])
})
scenario('rpc with scalar, set and row results', async () => {
  assert.equal(await rows(anon.rpc('cl_add', { a: 2, b: 3 })), 5)
  assert.deepEqual(await ids(anon.rpc('cl_cheap', { max_price: 12 }).lt('id', 100).order('id').select('id')), [1, 3, 4])
  assert.equal((await rows(user.rpc('cl_restock', { book: 5, copies: 2 }))).stock, 6)
})
scenario('rpc by GET and its count by HEAD', async () => {
  assert.equal(await rows(anon.rpc('cl_add', { a: 2, b: 3 }, { get: true })), 5)
  assert.deepEqual(await ids(anon.rpc('cl_cheap', { max_price: 8 }, { get: true }).lt('id', 100).select('id')), [3])
})
scenario('rpc knows who calls', async () => {
  assert.equal(await rows(user.rpc('cl_who')), FB_USER_ID)
  assert.equal(await rows(anon.rpc('cl_who')), null)
})
scenario('an error raised with PTxyz sets the status', async () => {
  const { status, error } = await anon.rpc('cl_refuse', { reason: 'no coffee' })
  assert.deepEqual([status, error.code, error.message, error.hint], [418, 'PT418', 'no coffee', 'a teapot'])
})
scenario('an unknown function is 404 PGRST202', async () => {
  const { status, error } = await anon.rpc('cl_absent', { a: 1 })
  assert.deepEqual([status, error.code], [404, 'PGRST202'])
})
scenario('an unknown table is 404 PGRST205, an unknown column 400', async () => {
  const table = await anon.from('cl_absent').select()
  assert.deepEqual([table.status, table.error.code], [404, 'PGRST205'])
  const column = await anon.from('cl_books').select('absent')
  assert.deepEqual([column.status, column.error.code], [400, '42703'])
  const written = await user.from('cl_books').insert({ absent: 1 })
  assert.deepEqual([written.status, written.error.code], [400, 'PGRST204'])
})
scenario('a wrong type is 400 22P02', async () => {
  const { status, error } = await anon.from('cl_books').select().eq('id', 'x')
  assert.deepEqual([status, error.code], [400, '22P02'])
})
scenario('a schema that is not exposed is 406 PGRST106', async () => {
  for (const name of ['auth', 'fluxbase', 'pg_catalog', 'nowhere']) {
    const { status, error } = await service.schema(name).from('sessions').select()
    assert.deepEqual([name, status, error.code], [name, 406, 'PGRST106'])
  }
})
scenario('csv answers', async () => {
  assert.equal(await rows(anon.from('cl_genres').select('id,name').order('id').csv()), 'id,name\n1,science\n2,prose')
})
scenario('a forged token is 401, never anon', async () => {
  const { status, error } = await as(FB_USER.slice(0, -4) + 'AAAA').from('cl_genres').select()
  assert.deepEqual([status, error.code], [401, 'PGRST301'])
})
scenario('maxAffected rolls an over-wide update back', async () => {
  const { status, error } = await user.from('cl_books').update({ stock: 0 }).in('id', [1, 2, 3]).maxAffected(1)
  assert.deepEqual([status, error.code], [400, 'PGRST124'])
  assert.equal((await rows(anon.from('cl_books').select('stock').eq('id', 3).single())).stock, 9)
})
scenario('isDistinct, regexMatch, likeAllOf, ilikeAnyOf and range operators', async () => {
  assert.deepEqual(await ids(books().filter('translator_id', 'isdistinct', 2)), [2, 3, 4, 5])
  assert.deepEqual(await ids(books().likeAllOf('title', ['%e%', 'N%'])), [1])
  assert.deepEqual(await ids(books().ilikeAnyOf('title', ['n%', 'SUMS'])), [1, 5])
  assert.deepEqual(await ids(books().match({ author_id: 1, stock: 3 })), [1])
  assert.deepEqual(await ids(books().not('id', 'gt', 2)), [1, 2])
})
scenario('aggregates: alone, grouped, cast and inside an embed', async () => {
  assert.deepEqual(await rows(anon.from('cl_books').select('count(),price.sum(),top:price.max()').lt('id', 100)), [{ count: 5, sum: 79.75, top: 30 }])
  const grouped = await rows(anon.from('cl_books').select('author_id,price.avg()::integer').lt('id', 100).order('author_id'))
  assert.deepEqual(grouped, [{ author_id: 1, avg: 15 }, { author_id: 2, avg: 10 }, { author_id: 3, avg: 30 }])
  const inside = await rows(anon.from('cl_authors').select('name,books:cl_books!cl_books_author_fkey(count())').eq('id', 1).lt('books.id', 100))
  assert.deepEqual(inside, [{ name: 'Ada', books: [{ count: 2 }] }])
})
scenario('spread embeds lift columns', async () => {
  const got = await rows(anon.from('cl_books').select('title,...cl_authors!cl_books_author_fkey(author:name)').eq('id', 1))
  assert.deepEqual(got, [{ title: 'Notes', author: 'Ada' }])
})
scenario('explain as text and JSON, with analyze', async () => {
  const text = await rows(anon.from('cl_books').select('id').explain())
  assert.match(text, /Aggregate.*cost=/)
  const json = await rows(anon.from('cl_books').select('id').explain({ format: 'json', analyze: true, verbose: true }))
  assert.ok(json[0].Plan['Actual Total Time'] >= 0)
})
scenario('rollback answers and keeps nothing', async () => {
  const got = await rows(user.from('cl_books').insert({ id: 260, title: 'Gone', price: 1, author_id: 1 }).select('id').rollback())
  assert.deepEqual(got, [{ id: 260 }])
  assert.deepEqual(await ids(anon.from('cl_books').select('id').eq('id', 260)), [])
})
scenario('maxAffected lets a narrow change through, on rpc too', async () => {
  assert.equal((await user.from('cl_books').update({ stock: 3 }).eq('id', 1).maxAffected(1)).error, null)
  const { error } = await anon.rpc('cl_cheap', { max_price: 100 }).maxAffected(1)
  assert.equal(error.code, 'PGRST124')
})
scenario('throwOnError rejects with the error', async () => {
  await assert.rejects(async () => { await anon.from('cl_absent').select().throwOnError() }, (error) => error.code === 'PGRST205')
})
scenario('abortSignal ends a request, and the next one works', async () => {
  const controller = new AbortController()
  setTimeout(() => controller.abort(), 100)
  const { error } = await anon.rpc('cl_sleep').abortSignal(controller.signal)
  assert.match(error.message, /abort/i)
  assert.deepEqual(await ids(anon.from('cl_books').select('id').eq('id', 1)), [1])
})
scenario('schema() speaks to another exposed schema', async () => {
  assert.deepEqual(await rows(anon.schema('cl_archive').from('cl_scrolls').select()), [{ id: 1, title: 'Iliad' }])
})
scenario('geojson is 406 without PostGIS', async () => {
  const { status, error } = await anon.from('cl_books').select().geojson()
  assert.deepEqual([status, error.code], [406, 'PGRST107'])
})
scenario('csv quotes what needs it', async () => {
  await rows(user.from('cl_books').insert({ id: 270, title: 'a, "b"', price: 1, author_id: 1 }))
  assert.equal(await rows(anon.from('cl_books').select('id,title').eq('id', 270).csv()), 'id,title\n270,"a, ""b"""')
})
scenario('rpc with arrays, variadic and void results, sets of scalars and a raw body', async () => {
  assert.equal(await rows(anon.rpc('cl_sum', { list: [1, 2, 3] })), 6)
  assert.equal(await rows(anon.rpc('cl_sum', { list: [1, 2] }, { get: true })), 3)
  assert.equal(await rows(anon.rpc('cl_join', { words: ['a', 'b'] })), 'a-b')
  assert.equal(await rows(anon.rpc('cl_nothing')), null)
  assert.deepEqual(await rows(anon.rpc('cl_names')), ['Ada', 'Blaise', 'Carl'])
  assert.deepEqual(await rows(anon.rpc('cl_echo', { a: [1, { b: null }] })), { a: [1, { b: null }] })
})
scenario('rpc counts by HEAD', async () => {
  const got = await anon.rpc('cl_cheap', { max_price: 12 }, { head: true, get: true, count: 'exact' }).lt('id', 100)
  assert.deepEqual([got.count, got.data], [3, null])
})
scenario('upsert counts, and answers what it changed', async () => {
  await rows(user.from('cl_books').insert({ id: 280, title: 'One', price: 1, author_id: 1 }))
  const got = await user.from('cl_books').upsert({ id: 280, title: 'Two', price: 1, author_id: 1 }, { count: 'exact' }).select('title').single()
  assert.deepEqual([got.status, got.count, got.data], [200, 1, { title: 'Two' }])
})
scenario('every kind of count', async () => {
  for (const count of ['exact', 'planned', 'estimated']) {
    const got = await anon.from('cl_books').select('id', { count }).lt('id', 100)
    assert.ok(got.count >= 0, `${count}: ${JSON.stringify(got.error)}`)
  }
})

const results = {}
for (const [name, run] of scenarios) {
  try {
    await run()
    results[name] = null
  } catch (error) {
    results[name] = String(error?.message ?? error)
  }
}
console.log(JSON.stringify(results))
