// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the configuration's own variables
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadSettings } from '../../src/config/load.ts'
import { printSettings } from '../../src/config/print.ts'
import { problemsFrom, reportOf, settingsFrom } from './help.ts'

const secret = 'hunter2'

describe('a secret', () => {
  it.each([
    ['a token with a space', `admin_token: ${secret} x`],
    ['a token as a list', `admin_token: [${secret}]`],
    ['a misspelt token', `adminn_token: ${secret}`],
    ['a misspelt map of headers', `backends: [{url: "http://a:1", heders: {A: ${secret}}}]`],
    ['headers as text', `backends: [{url: "http://a:1", headers: "A: ${secret}"}]`],
    ['headers as a list', `backends:\n  - url: http://a:1\n    headers:\n      - "A: ${secret}"`],
    ['a header in a header', `backends: [{url: "http://a:1", headers: {A: {B: ${secret}}}}]`],
    ['a header as a key', `backends: [{url: "http://a:1", headers: {"A: ${secret}": x}}]`],
    ['a wrong header beside it', `backends: [{url: "http://a:1", headers: {A: ${secret}, B: 5}}]`],
    ['a login without scheme', `backends: [{url: "me:${secret}@box:1"}]`],
    ['a login with a wrong port', `backends: [{url: "http://me:${secret}@box:99999"}]`],
    ['a login with a slash', `backends: [{url: "http://me:${secret}/x@box"}]`],
    ['a login with a wrong scheme', `backends: [{url: "htp://me:${secret}@box"}]`],
    ['a login with a broken code', `backends: [{url: "http://me:${secret}%zz@box"}]`],
    ['a key in a query', `backends: [{url: "http://box/?key=${secret}"}]`],
    ['a login as a backend', `backends:\n  - http://me:${secret}@box`],
    ['a login as a backend without scheme', `backends:\n  - me:${secret}@box`],
    ['a login as the address', `listen: http://me:${secret}@box:1`],
    ['a comment behind a wrong token', `admin_token: a b # was ${secret}`],
    ['a file that is broken elsewhere', `admin_token: ${secret}\nlisten: "`],
    ['a broken token', `admin_token: "${secret}`],
    ['a token before a tab', `admin_token:\n\t${secret}`],
    ['a broken header', `backends:\n  - headers:\n      url: ${secret}\n     x: [${secret}`],
    ['a broken flow', `backends: [{url: "http://a:1", headers: {A: "${secret}", B: ]`],
    ['a section that became one text', `backends:\n  |- #\n    headers:\n      A: ${secret}`],
    ['a section that became one line', `backends:\n  >- #\n    headers: A: ${secret}`],
    ['a token without a space', `admin_token:${secret}`],
    ['a token without a space in a flow', `{admin_token:${secret}, listen: x}`],
    ['a header without a space', `backends: [{url: "http://a:1", headers: {A:${secret}}}]`],
    ['a login without a space', `backends: [{url:http://me:${secret}@a: 1}]`],
    ['two tokens', `admin_token: ${secret}\nadmin_token: ${secret}`],
    ['an unknown alias', `admin_token: *${secret}`],
    ['a token that became a key', `admin_token:\n? ${secret}`],
    ['a login whose line ends before its @', `backends:\n  - url: http:\t//me:${secret}\n@a:1`],
    ['a header that became a backend', `backends:\n  - url: http://a:1\n  -  X-Key:] "${secret}"`],
    ['a header below a question mark', `backends:\n  - url: http://a:1\n?  ?  X-Key: ${secret}`],
    ['an unknown tag', `admin_token: !${secret} x`],
    ['a token that went on in the value above', `listen: 127.0.0.1:1\n admin_token:[ ${secret}`],
  ])('is not printed: %s', (_, text) => {
    const problems = problemsFrom(text)
    expect(problems.length).toBeGreaterThan(0)
    expect(reportOf(problems, text)).not.toContain(secret)
    expect(JSON.stringify(problems)).not.toContain(secret)
  })

  it('is not printed when it comes from a variable', () => {
    const keys = ['admin_token', 'listen', 'routing: {picker', 'manage: {pull', 'queue: {timeout']
    for (const key of keys) {
      const text = `${key}: "\${S}"${key.includes('{') ? '}' : ''}`
      expect(reportOf(problemsFrom(text, { S: `${secret} x` }), text)).not.toContain(secret)
    }
    const preference = 'backends: [{url: "http://a:1"}]\nrouting: {preferences: {code: "${S}"}}'
    const problems = problemsFrom(preference, { S: secret })
    expect(problems).toHaveLength(1)
    expect(reportOf(problems, preference)).not.toContain(secret)
  })

  it('is not printed when CHASQUI_ADMIN_TOKEN or --backend is wrong', async () => {
    const loads = [
      () => loadSettings({ env: { CHASQUI_ADMIN_TOKEN: `${secret} x` }, cwd: '/' }),
      () => loadSettings({ options: { backends: [`me:${secret}@box`] }, env: {}, cwd: '/' }),
      () => loadSettings({ env: { CHASQUI_BACKENDS: `http://me:${secret},x@box` }, cwd: '/' }),
    ]
    for (const load of loads) {
      const error = await load().then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      expect(error).toMatchObject({ name: 'ConfigError' })
      expect(JSON.stringify(error) + String(error)).not.toContain(secret)
    }
  })

  it('is masked in printed settings', () => {
    const text = `admin_token: ${secret}\nbackends:\n  - {url: "http://me:${secret}@a:1", headers: {X-Key: ${secret}}}`
    const printed = printSettings(settingsFrom(text))
    expect(printed).not.toContain(secret)
    expect(printed).not.toContain(btoa(`me:${secret}`))
    expect(printed).toContain('x-key: "***"'.replaceAll('"', printed.includes("'***'") ? "'" : '"'))
  })

  // A sign that fell in before a URL made a comment of it, which is in no tree of the file. Its line was shown as it was,
  // with the password, since a quotation mark had hidden that it is a login.
  it('is not printed where its URL has become a comment', () => {
    const text = `backends:\n  - url: #http:/"/me:${secret}@a:1\n`
    expect(reportOf(problemsFrom(text), text)).not.toContain(secret)
  })

  // A sign that fell in before a URL made the name of an alias or of an anchor of it. The first names no node and the second
  // is none, so that nothing was hidden, and the file counted as whole.
  it.each([
    ['an alias', `*http:/"/me:${secret}@a:1`],
    ['an anchor', `&http:/\`/me:${secret}@a:1`],
    ['an anchor with a key', `&http://box/?key=${secret}`],
  ])('is not printed where its URL has become the name of %s', (_, url) => {
    const text = `backends:\n  - url: ${url}\n`
    expect(reportOf(problemsFrom(text), text)).not.toContain(secret)
  })

  it('is not printed, however the file around it is broken', () => {
    const file = `listen: 127.0.0.1:1\nadmin_token: ${secret}\nbackends:\n  - url: http://me:${secret}@a:1\n    headers:\n      Authorization: Bearer ${secret}\n      X-Key: "${secret}"\nqueue: {max: 5}\n`
    const breakage = fc.tuple(
      fc.nat(file.length),
      fc.constantFrom(
        '"',
        "'",
        '[',
        ']',
        '{',
        '}',
        '\t',
        '\n',
        ':',
        '- ',
        '&',
        '*',
        '!',
        '|',
        '>',
        '%',
        '@',
        '`',
        '#',
        ', ',
      ),
    )
    fc.assert(
      fc.property(fc.array(breakage, { minLength: 1, maxLength: 3 }), (breakages) => {
        let text = file
        for (const [at, sign] of breakages) text = text.slice(0, at) + sign + text.slice(at)
        // A sign inside the secret makes another word of it, and that is what must not be printed then.
        fc.pre(text.split(secret).length === file.split(secret).length)
        const report = reportOf(problemsFrom(text), text)
        expect(report).not.toContain(secret)
      }),
      { numRuns: 1_000 },
    )
  })
})
