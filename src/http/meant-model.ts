import { canonicalName } from '../core/model-name.ts'
import type { PlacementSettings } from '../core/settings.ts'
import { Names } from '../routing/rules/names.ts'

/** A body's fields with the model that is meant, where they name an alias; the parts of a run are asked of that one. */
export function withMeantModel<Fields extends Readonly<Record<string, unknown>>>(
  fields: Fields,
  placement: PlacementSettings,
): Fields {
  const { model } = fields
  if (typeof model !== 'string') return fields
  const meant = new Names(placement).meantBy(canonicalName(model))
  return meant === undefined ? fields : { ...fields, model: meant }
}
