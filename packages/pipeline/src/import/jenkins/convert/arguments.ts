import type { Expression } from "../groovy/nodes.ts";
import type { Arguments, MethodCall } from "../model/model.ts";

/** What an argument is called with; `fallback` is the name of a lone value. */
export function argument(args: Arguments, name: string, fallback?: string): Expression | undefined {
  if (args.kind === "named") return args.entries.find(({ key }) => key === name)?.value.expression;
  if (args.kind === "single") return name === fallback ? args.value.expression : undefined;
  return name === fallback ? args.values[0]?.expression : undefined;
}

/** As `argument`, of an option, trigger or parameter; calls among the arguments are not found. */
export function callArgument({ args }: MethodCall, name: string, fallback?: string): Expression | undefined {
  for (const arg of args) {
    if (arg.kind === "pair" && arg.key === name && arg.value.kind === "value") return arg.value.expression;
    if (arg.kind === "value" && name === fallback) return arg.expression;
  }
  return undefined;
}

/** Text that is known as it stands. */
export function literalText(expression: Expression | undefined): string | undefined {
  return expression?.kind === "constant" && expression.value !== null ? String(expression.value) : undefined;
}

/** Whether a literal is true. */
export function isTrue(expression: Expression | undefined): boolean {
  return expression?.kind === "constant" && expression.value === true;
}

/** A value of a literal map, e.g. `[url: "...", branch: "..."]`. */
export function entry(expression: Expression | undefined, key: string): Expression | undefined {
  if (expression?.kind !== "map") return undefined;
  return expression.entries.find((it) => it.key.kind === "constant" && it.key.value === key)?.value;
}

/** The items of a literal list. */
export function items(expression: Expression | undefined): readonly Expression[] {
  return expression?.kind === "list" ? expression.items : [];
}

const SECONDS: Readonly<Record<string, number>> = {
  NANOSECONDS: 1e-9,
  MICROSECONDS: 1e-6,
  MILLISECONDS: 1e-3,
  SECONDS: 1,
  MINUTES: 60,
  HOURS: 3600,
  DAYS: 86_400,
};

/** Whole seconds of a time and its unit, at least 1; undefined when they are not known. */
export function seconds(time: string | undefined, unit: string | undefined, fallback: string): number | undefined {
  const factor = SECONDS[(unit ?? fallback).toUpperCase()];
  if (time === undefined || factor === undefined || !/^\d{1,9}$/.test(time)) return undefined;
  return Math.min(Math.max(1, Math.round(Number(time) * factor)), 30 * 86_400);
}

/** A duration as it is written in kedge.yaml. */
export function duration(total: number): string {
  if (total % 3600 === 0) return `${total / 3600}h`;
  return total % 60 === 0 ? `${total / 60}m` : `${total}s`;
}
