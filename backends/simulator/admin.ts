import { createHash } from 'node:crypto'
import { canonicalName, readModelName } from '../../src/core/model-name.ts'
import { type Fields, isObject, type Json } from './go-json.ts'
import { findModel, type House } from './inference.ts'
import { type Blueprint, blueprintOf, displayName, type StoredModel } from './models.ts'
import { type Say, withProgress } from './progress.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'
import { type Call, type Route, withStruct } from './routes.ts'
import { sha256 } from './text.ts'

/** Everything that changes what is on the imitated disk. */

const short = (digest: string) => digest.slice(0, 12)
const configBytes = 485
const modelsFolder = '/usr/share/ollama/.ollama/models'
const blobPath = (digest: string) => `${modelsFolder}/blobs/sha256-${digest}`
const manifestPath = (name: string) => {
  const canonical = canonicalName(name)
  const path = fullPath(canonical.slice(0, canonical.lastIndexOf(':')))
  return `${modelsFolder}/manifests/${path}/${canonical.slice(canonical.lastIndexOf(':') + 1)}`
}
const fullPath = (path: string) => {
  const missing = 3 - path.split('/').length
  return ['registry.ollama.ai', 'library'].slice(0, Math.max(0, missing)).concat(path).join('/')
}

async function pullModel(house: House, name: string, signal: AbortSignal, say: Say): Promise<void> {
  await say({ status: 'pulling manifest' })
  // Such names stand for models that no registry has.
  if (/missing/i.test(name)) throw new Refusal(500, 'pull model manifest: file does not exist')
  const before = house.store.find(name)
  const blueprint = blueprintOf(specOf(house, name), house.settings)
  const config = sha256(`config ${canonicalName(name)}`)
  const layers = [
    { digest: blueprint.weights, bytes: blueprint.sizeBytes },
    { digest: config, bytes: configBytes },
  ]
  for (const { digest, bytes } of layers) {
    const line = { status: `pulling ${short(digest)}`, digest: `sha256:${digest}`, total: bytes }
    const told = (completed: number) => say(completed > 0 ? { ...line, completed } : line)
    if (house.store.hasBlob(digest)) {
      await told(bytes)
      continue
    }
    const here = await house.downloads.fetch(digest, bytes, signal, told)
    if (!here) throw new Refusal(499, 'context canceled')
  }
  await say({ status: 'verifying sha256 digest' })
  await say({ status: 'writing manifest' })
  house.store.write(name, blueprint)
  if (before && before.weights !== blueprint.weights)
    await say({ status: 'removing unused layers' })
  await say({ status: 'success' })
}

/** What the settings know of a name counts for a pulled model too. */
function specOf(house: House, name: string) {
  const spec = house.settings.models.find(
    (one) => typeof one !== 'string' && canonicalName(one.name) === canonicalName(name),
  )
  return typeof spec === 'object' ? { ...spec, name } : { name }
}

function nameOf(fields: Fields, whenMissing: string): string {
  const name = fields.string('model') || fields.string('name') || ''
  if (name === '') throw new Refusal(400, whenMissing)
  return name
}

async function pull(house: House, fields: Fields, reply: Reply): Promise<void> {
  const name = nameOf(fields, 'invalid model name')
  if (!readModelName(name)) throw new Refusal(400, 'invalid model name')
  await withProgress(reply, fields.boolean('stream') ?? true, (say) =>
    pullModel(house, name, reply.signal, say),
  )
}

async function push(house: House, fields: Fields, reply: Reply): Promise<void> {
  const name = nameOf(fields, 'model is required')
  await withProgress(reply, fields.boolean('stream') ?? true, async (say) => {
    await say({ status: 'retrieving manifest' })
    const model = house.store.find(name)
    if (!model) {
      await say({ status: "couldn't retrieve manifest" })
      throw new Refusal(500, `open ${manifestPath(name)}: no such file or directory`)
    }
    const digest = `sha256:${model.weights}`
    const line = { status: `pushing ${short(model.weights)}`, digest, total: model.sizeBytes }
    await say(line)
    await say({ ...line, completed: model.sizeBytes })
    await say({ status: 'pushing manifest' })
    await say({ status: 'success' })
  })
}

function copy(house: House, fields: Fields, reply: Reply): void {
  const source = fields.string('source') ?? ''
  const destination = fields.string('destination') ?? ''
  if (!readModelName(source)) throw new Refusal(400, `source "${source}" is invalid`)
  if (!readModelName(destination)) throw new Refusal(400, `destination "${destination}" is invalid`)
  const model = house.store.find(source)
  if (!model) throw new Refusal(404, `model "${source}" not found`)
  house.store.copy(model, destination)
  reply.empty(200)
}

function remove(house: House, fields: Fields, reply: Reply): void {
  const name = fields.string('model') || fields.string('name') || ''
  if (!readModelName(name)) throw new Refusal(400, `name "${name}" is invalid`)
  const model = house.store.find(name)
  if (!model) throw new Refusal(404, `model '${name}' not found`)
  house.store.remove(model)
  reply.empty(200)
}

/** The digests of a `files` or `adapters` map. */
function filesOf(fields: Fields, field: string): string[] {
  const files = fields.object(field, 'map[string]string') ?? {}
  return Object.entries(files).map(([path, value]) => {
    if (path.startsWith('/') || path.split('/').includes('..'))
      throw new Refusal(400, 'file path must be relative')
    const digest = readDigest(typeof value === 'string' ? value : '')
    if (digest === undefined) throw new Refusal(400, 'invalid digest format')
    return digest
  })
}

/** Only when they are read does it show that blobs are not here. */
function demandBlobs(house: House, digests: readonly string[]): void {
  const absent = digests.find((digest) => !house.store.hasBlob(digest))
  if (absent !== undefined)
    throw new Refusal(500, `open ${blobPath(absent)}: no such file or directory`)
}

async function create(house: House, fields: Fields, reply: Reply): Promise<void> {
  const name = nameOf(fields, 'invalid model name')
  if (!readModelName(name)) throw new Refusal(400, 'invalid model name')
  const from = fields.string('from') ?? ''
  const hasFiles = fields.has('files') || fields.has('adapters')
  const files = filesOf(fields, 'files')
  const adapters = filesOf(fields, 'adapters')
  await withProgress(reply, fields.boolean('stream') ?? true, async (say) => {
    if (from === '' && !hasFiles) throw new Refusal(400, "neither 'from' or 'files' was specified")
    const base =
      from === ''
        ? await fromFiles(house, name, files, say)
        : await fromModel(house, from, reply, say)
    demandBlobs(house, adapters)
    const weights =
      adapters.length === 0 ? base.weights : sha256(['adapted', base.weights, ...adapters].join())
    await say({ status: `using existing layer sha256:${weights}` })
    const parent = from === '' ? base.parent : displayName(from)
    const made = layered({ ...base, weights, parent }, fields)
    const config = sha256(JSON.stringify(made))
    await say({ status: `creating new layer sha256:${config}` })
    await say({ status: 'writing manifest' })
    house.store.write(name, made)
    await say({ status: 'success' })
  })
}

async function fromModel(house: House, from: string, reply: Reply, say: Say): Promise<Blueprint> {
  const quiet: Say = (line) => (line['status'] === 'success' ? Promise.resolve() : say(line))
  if (!house.store.find(from)) await pullModel(house, from, reply.signal, quiet)
  return plain(findModel(house, from))
}

/** The blueprint of a stored model, without what belongs to its name. */
function plain(model: StoredModel): Blueprint {
  const { name: _, canonical: __, modifiedAt: ___, digest: ____, ...blueprint } = model
  return blueprint
}

async function fromFiles(
  house: House,
  name: string,
  files: readonly string[],
  say: Say,
): Promise<Blueprint> {
  await say({ status: 'parsing GGUF' })
  demandBlobs(house, files)
  const joined = [...files].sort().join()
  const sizeBytes = files.reduce((sum, digest) => sum + house.store.blobBytes(digest), 0)
  const [first = joined] = files
  if (house.settings.generation === 'old') {
    const weights = files.length === 1 ? first : sha256(`joined ${joined}`)
    // The older servers take the file for the parent.
    const parent = blobPath(first)
    return { ...blueprintOf({ name, digest: weights }, house.settings), sizeBytes, parent }
  }
  // The newer servers write the file anew, so the weights have another digest than what was uploaded.
  const line = { status: 'validating GGUF model', digest: '0'.repeat(19), total: sizeBytes }
  await say({ ...line, completed: sizeBytes })
  await say({ status: 'verifying conversion' })
  const weights = sha256(`rewritten ${joined}`)
  return { ...blueprintOf({ name, digest: weights }, house.settings), sizeBytes }
}

function layered(base: Blueprint, fields: Fields): Blueprint {
  const license = fields.get('license')
  const parameters: Record<string, Json> = { ...base.parameters, ...fields.object('parameters') }
  const messages = fields.get('messages')
  return {
    ...base,
    parameters,
    template: fields.string('template') ?? base.template,
    system: fields.string('system') ?? base.system,
    license: Array.isArray(license)
      ? license.join('\n')
      : typeof license === 'string'
        ? license
        : base.license,
    messages: Array.isArray(messages) && messages.every(isObject) ? messages : base.messages,
  }
}

function readDigest(text: string): string | undefined {
  return /^sha256[:-]([0-9a-f]{64})$/.exec(text)?.[1]
}

function headBlob(house: House, call: Call, reply: Reply): void {
  const digest = readDigest(call.parameter)
  if (digest === undefined) throw new Refusal(400, 'invalid digest format')
  if (!house.store.hasBlob(digest)) throw new Refusal(404, 'blob not found')
  reply.empty(200)
}

async function postBlob(house: House, call: Call, reply: Reply): Promise<void> {
  const digest = readDigest(call.parameter)
  if (digest === undefined) throw new Refusal(400, 'invalid digest format')
  // Answered at once, with the body still on its way: a sender must be ready for that.
  if (house.store.hasBlob(digest)) {
    reply.empty(200)
    call.req.resume()
    return
  }
  const hash = createHash('sha256')
  let bytes = 0
  for await (const part of call.req as AsyncIterable<Buffer>) {
    hash.update(part)
    bytes += part.length
  }
  const got = hash.digest('hex')
  reply.entry.bodyBytes = bytes
  reply.entry.bodySha256 = got
  if (got !== digest)
    throw new Refusal(400, `digest mismatch, expected "sha256:${digest}", got "sha256:${got}"`)
  house.store.addBlob(digest, bytes)
  reply.empty(201)
}

export const adminRoutes: readonly Route[] = [
  { method: 'POST', path: '/api/pull', handle: withStruct('PullRequest', pull) },
  { method: 'POST', path: '/api/push', handle: withStruct('PushRequest', push) },
  { method: 'POST', path: '/api/create', handle: withStruct('CreateRequest', create) },
  { method: 'POST', path: '/api/copy', handle: withStruct('CopyRequest', copy) },
  { method: 'DELETE', path: '/api/delete', handle: withStruct('DeleteRequest', remove) },
  { method: 'HEAD', path: '/api/blobs/:digest', handle: headBlob },
  { method: 'POST', path: '/api/blobs/:digest', streamsBody: true, handle: postBlob },
]
