#!/usr/bin/env node
// `chasqui …` from anywhere: the same set-up as `npm run chasqui -- …`.
process.argv.splice(2, 0, 'chasqui')
await import('./boot.mjs')
