/** What is known of who asks: JSON values by name. `targetingKey` is who it is. They may come from anybody. */
export type FlagAttributes = Readonly<Record<string, unknown>>;

/** OpenFeature's name of the attribute that says who asks. */
export const TARGETING_KEY = "targetingKey";

/**
 * The attribute of a name; undefined when there is none or it is null. "user.plan" is the attribute of that name or
 * else the plan in the attribute user.
 */
export function attributeOf(attributes: FlagAttributes, name: string): unknown {
  if (Object.hasOwn(attributes, name)) return attributes[name] ?? undefined;
  let value: unknown = attributes;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Reflect.get(value, part);
  }
  return value ?? undefined;
}
