import type { TenantSettings } from '../core/settings.ts'
import { headerOf } from './headers.ts'
import { isTrusted, type TenantAsk } from './tenant.ts'

/** A longer name of a conversation is no name but an attempt at our memory. */
const sessionLengthMax = 256
const plain = /^[\x20-\x7e]+$/

/** Whether this can be a conversation's name. */
export function isSessionName(text: string): boolean {
  return text.length <= sessionLengthMax && plain.test(text)
}

/**
 * What the client calls its conversation: its own word, or that of a chat page whose address is trusted. It holds for
 * one tenant only, so that nobody can meet another's by its name. Undefined: nothing, or nothing that can be used.
 */
export function sessionOf(
  ask: TenantAsk,
  tenant: string,
  settings: TenantSettings,
): string | undefined {
  const said = headerOf(ask.headers, 'x-chasqui-session') ?? ofChatPage(ask, settings)
  return said !== undefined && isSessionName(said) ? `${tenant} ${said}` : undefined
}

function ofChatPage(ask: TenantAsk, settings: TenantSettings): string | undefined {
  const chat = headerOf(ask.headers, 'x-openwebui-chat-id')
  return chat !== undefined && isTrusted(ask, settings) ? chat : undefined
}
