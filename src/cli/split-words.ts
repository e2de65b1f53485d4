/** `1.2 s`, `38 s`, `1m12s`, `2h05m`. */
export function spanOf(ms: number): string {
  const clipped = Math.max(0, ms)
  if (clipped < 9_950) return `${(clipped / 1_000).toFixed(1)} s`
  return wholeSpanOf(clipped)
}

/** The same without tenths, for what is drawn again every second. */
export function wholeSpanOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  const two = (number: number) => String(number).padStart(2, '0')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m${two(seconds % 60)}s`
  return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`
}

/** `1 part`, `31 parts`. */
export function countOf(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`
}

/** `850 B`, `212 kB`, `3.4 MB`. */
export function sizeOf(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`
  if (bytes < 999_500) return `${Math.round(bytes / 1_000)} kB`
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** Work done beside the time that it took. */
export function speedupOf(times: number): string {
  return `${times.toFixed(1)}× as fast as one by one`
}

/** One line that a terminal can only show: labels and sentences come from files and other machines. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
}

/** A text of several lines without what would move the cursor or rename the window. */
export function forTerminal(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
}
