import { type LabelConstraint, LabelConstraint_Operator as Operator } from "@kedge/proto";
import { isDecimal } from "./conditions.ts";

/** Position of the first condition that no node can meet together with those before it; -1 when there is none. */
export function firstContradiction(constraints: readonly LabelConstraint[]): number {
  return constraints.findIndex(({ label }, i) => {
    const together = constraints.slice(0, i + 1).filter((it) => it.label === label);
    return together.length > 1 && !isMeetable(together);
  });
}

/** Tells whether some value of a label, or its absence, meets all these conditions on it. */
function isMeetable(constraints: readonly LabelConstraint[]): boolean {
  const listed = constraints.find(({ operator }) => operator === Operator.IN);
  if (listed !== undefined) return listed.values.some((value) => constraints.every((it) => holds(it, value)));
  if (constraints.some(({ operator }) => operator === Operator.NOT_EXISTS)) {
    return constraints.every((it) => holds(it, undefined));
  }
  const bounds = (wanted: Operator) =>
    constraints.filter(({ operator }) => operator === wanted).map(({ values }) => Number(values[0]));
  return Math.max(...bounds(Operator.AT_LEAST)) <= Math.min(...bounds(Operator.AT_MOST));
}

function holds({ operator, values }: LabelConstraint, value: string | undefined): boolean {
  switch (operator) {
    case Operator.IN:
      return value !== undefined && values.includes(value);
    case Operator.NOT_IN:
      return value === undefined || !values.includes(value);
    case Operator.EXISTS:
      return value !== undefined;
    case Operator.NOT_EXISTS:
      return value === undefined;
    case Operator.AT_LEAST:
      return value !== undefined && isDecimal(value) && Number(value) >= Number(values[0]);
    case Operator.AT_MOST:
      return value !== undefined && isDecimal(value) && Number(value) <= Number(values[0]);
    case Operator.UNSPECIFIED:
      return true;
    default:
      return operator satisfies never;
  }
}
