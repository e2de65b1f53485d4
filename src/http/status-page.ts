import type { queueStatus } from './status.ts'

/** Until the page exists: one table, made on the server, renewed by the browser. */
export function statusPage(
  status: ReturnType<typeof queueStatus>,
  { version, demo }: { version: string; demo: boolean },
): string {
  const rows = status.backends
    .map(
      (backend) => `<tr>
<th scope="row">${escaped(backend.name)}</th>
<td>${escaped(backend.state)}${backend.reason === '' ? '' : `: ${escaped(backend.reason)}`}</td>
<td>${backend.in_flight}</td>
<td>${escaped(backend.resident.join(', ')) || 'none'}</td>
<td>${backend.models.length}</td>
<td>${backend.tokens_per_second ?? '–'}</td>
</tr>`,
    )
    .join('\n')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width">
<title>Chasqui: ${status.active_backends} of ${status.total_backends} backends</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color-scheme: light dark }
table { border-collapse: collapse }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #8884 }
</style>
</head>
<body>
<h1>Chasqui ${escaped(version)}${demo ? ' (demo: simulated servers)' : ''}</h1>
<p>${status.active_backends} of ${status.total_backends} backends serve,
${status.in_flight} requests run, ${status.queue_size} wait.</p>
<table>
<thead><tr><th>backend</th><th>state</th><th>running</th><th>loaded</th><th>models</th><th>tokens/s</th></tr></thead>
<tbody>
${rows}
</tbody>
</table>
</body>
</html>
`
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
