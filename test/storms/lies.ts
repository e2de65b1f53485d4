/** The ways in which bytes can lie. `interim`, `dribble` and `late` are odd but true, and must do no harm. */
export const lies = [
  'garbage',
  'two lengths',
  'length and chunks',
  'bare line feeds',
  'endless head',
  'bad chunk',
  'longer chunk',
  'cut by closing',
  'cut by a reset',
  'said twice',
  'uninvited upgrade',
  'interim',
  'dribble',
  'late',
  'slammed door',
  'idle ones closed',
] as const
export type Lie = (typeof lies)[number]
