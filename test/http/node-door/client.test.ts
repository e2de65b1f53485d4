import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { NodeClient } from '../../../src/http/node-door/client.ts'
import { LastWords } from '../../../src/http/node-door/last-words.ts'

/** A response, as far as the client's side of an exchange listens to it. */
function fakeResponse() {
  const state = { destroyed: false, writableFinished: false, end() {} }
  const response = Object.assign(new EventEmitter(), state)
  return {
    response,
    client: () => new NodeClient(response as unknown as ServerResponse, new LastWords()),
  }
}

describe("the client's side at the door of Node", () => {
  it('knows of a client that had left before anybody listened', () => {
    const { response, client } = fakeResponse()
    response.destroyed = true
    let told = 0
    client().onLeft(() => told++)
    expect(told).toBe(1)
  })

  it('hears of a client that leaves, once', () => {
    const { response, client } = fakeResponse()
    const side = client()
    let told = 0
    side.onLeft(() => told++)
    response.emit('close')
    response.emit('close')
    expect(told).toBe(1)
    expect(side.left).toBe(true)
  })

  it('does not take the end of an answer for a leaving', () => {
    const { response, client } = fakeResponse()
    const side = client()
    side.onLeft(() => expect.unreachable())
    side.end()
    response.writableFinished = true
    response.emit('close')
    expect(side.left).toBe(false)
  })
})
