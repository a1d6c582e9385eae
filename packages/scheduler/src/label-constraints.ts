import { type LabelConstraint, LabelConstraint_Operator } from "@kedge/proto";

/**
 * Tells whether a node's labels meet a condition. An unknown operator is never met: it may come from a newer client, and
 * running where it should not is worse than waiting.
 */
export function meetsConstraint(labels: Readonly<Record<string, string>>, constraint: LabelConstraint): boolean {
  const value = labelOf(labels, constraint.label);
  switch (constraint.operator) {
    case LabelConstraint_Operator.IN:
      return value !== undefined && constraint.values.includes(value);
    case LabelConstraint_Operator.NOT_IN:
      return value === undefined || !constraint.values.includes(value);
    case LabelConstraint_Operator.EXISTS:
      return value !== undefined;
    case LabelConstraint_Operator.NOT_EXISTS:
      return value === undefined;
    case LabelConstraint_Operator.AT_LEAST:
      return numberOf(value) >= numberOf(constraint.values[0]);
    case LabelConstraint_Operator.AT_MOST:
      return numberOf(value) <= numberOf(constraint.values[0]);
    default:
      return false;
  }
}

/** A label's value; labels named like built-in properties are not found by accident. */
export function labelOf(labels: Readonly<Record<string, string>>, label: string): string | undefined {
  return Object.hasOwn(labels, label) ? labels[label] : undefined;
}

/** NaN, which no comparison holds for, unless it is a decimal number. */
function numberOf(text: string | undefined): number {
  return text === undefined || text.trim() === "" ? Number.NaN : Number(text);
}
