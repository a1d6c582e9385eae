import { create } from "@bufbuild/protobuf";
import {
  type LabelConstraint,
  LabelConstraintSchema,
  LabelConstraint_Operator as Operator,
  type WorkloadAffinity,
} from "@kedge/proto";
import type { z } from "zod";
import { formatCondition } from "./conditions.ts";
import { firstContradiction } from "./contradictions.ts";
import { report } from "./fields.ts";
import { type Path, quote } from "./finding.ts";
import type { PlacementFields } from "./placement.ts";

/** A condition of a file and where it stands. */
interface Placed {
  readonly constraint: LabelConstraint;
  readonly path: (string | number)[];
}

/** What is placed: the labels it asks for and the key they stand under, and everything else. */
export interface CheckedPlacement {
  readonly selectorKey: "runs-on" | "on";
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly fields: PlacementFields;
}

/** Reports conditions that come twice or contradict each other, and wishes that decide nothing. */
export function checkPlacement({ selectorKey, selector = {}, fields }: CheckedPlacement, ctx: z.RefinementCtx): void {
  const fixed = Object.entries(selector).map(([label, value]) => ({
    constraint: create(LabelConstraintSchema, { label, operator: Operator.IN, values: [value] }),
    path: [selectorKey, label],
  }));
  const required = (fields.require ?? []).map((constraint, i) => ({ constraint, path: ["require", i] }));
  const isSound = reportContradiction([...fixed, ...required], ctx);
  if (isSound) checkPreferences([...fixed, ...required], fields, ctx);
  checkNeighbours(fields, ctx);
  checkSpread([...fixed, ...required], fields, ctx);
}

/** Reports the first condition that is there already, or that cannot hold beside the others. */
function reportContradiction(conditions: readonly Placed[], ctx: z.RefinementCtx): boolean {
  for (const [i, { path }] of conditions.entries()) {
    const twin = twinOf(conditions, i);
    if (twin === undefined) continue;
    const place = { path, others: [twin.path], hint: "keep one of them" };
    report(ctx, `${quote(formatCondition(twin.constraint))} is required already`, place);
    return false;
  }
  const at = firstContradiction(conditions.map(({ constraint }) => constraint));
  if (at >= 0) reportImpossible(conditions.slice(0, at + 1), "no node can meet", ctx);
  return at < 0;
}

/** The last of these conditions cannot hold together with earlier ones on the same label. */
function reportImpossible(conditions: readonly Placed[], problem: string, ctx: z.RefinementCtx): void {
  const last = conditions.at(-1);
  if (last === undefined) return;
  const { label } = last.constraint;
  const others = conditions.slice(0, -1).filter((it) => it.constraint.label === label);
  const named = others.map(({ constraint }) => quote(formatCondition(constraint))).join(" and ");
  const place = { path: last.path, others: others.map(({ path }) => path), hint: "remove one of them" };
  report(ctx, `${problem} ${quote(formatCondition(last.constraint))} together with ${named}`, place);
}

/** An earlier condition that says the same, whatever the order of its values. */
function twinOf(conditions: readonly Placed[], index: number): Placed | undefined {
  const key = conditions[index] && keyOf(conditions[index].constraint);
  return conditions.slice(0, index).find(({ constraint }) => keyOf(constraint) === key);
}

function keyOf({ label, operator, values }: LabelConstraint): string {
  return [label, operator, ...[...values].sort()].join(" ");
}

function checkPreferences(required: readonly Placed[], fields: PlacementFields, ctx: z.RefinementCtx): void {
  const wishes = (fields.prefer ?? []).flatMap(({ constraint }, i) =>
    constraint === undefined ? [] : [{ constraint, path: ["prefer", i] }],
  );
  for (const [i, wish] of wishes.entries()) {
    const twin = twinOf([...required, ...wishes.slice(0, i), wish], required.length + i);
    const all = [...required, wish];
    if (twin !== undefined) {
      const is = required.includes(twin) ? "required" : "preferred";
      const place = { path: wish.path, others: [twin.path], hint: "remove this one" };
      report(ctx, `${quote(formatCondition(twin.constraint))} is ${is} already`, place);
    } else if (firstContradiction(all.map(({ constraint }) => constraint)) >= 0) {
      reportImpossible(all, "no node can have", ctx);
    }
  }
}

function checkNeighbours({ near = [], apart = [] }: PlacementFields, ctx: z.RefinementCtx): void {
  const seen = new Map<string, Path>();
  const check = (key: "near" | "apart", list: readonly WorkloadAffinity[]): void => {
    for (const [i, { workload }] of list.entries()) {
      const path = [key, i];
      const earlier = seen.get(workload);
      if (earlier === undefined) seen.set(workload, path);
      else {
        const message =
          earlier[0] === key ? `${quote(workload)} is there twice` : `cannot be near and apart from ${quote(workload)}`;
        report(ctx, message, { path, others: [earlier], hint: "keep one of them" });
      }
    }
  };
  check("near", near);
  check("apart", apart);
}

function checkSpread(required: readonly Placed[], { spread }: PlacementFields, ctx: z.RefinementCtx): void {
  if (spread === undefined) return;
  const single = required.find(
    ({ constraint: { label, operator, values } }) =>
      label === spread.label && operator === Operator.IN && values.length === 1,
  );
  if (single === undefined) return;
  const condition = quote(formatCondition(single.constraint));
  report(ctx, `there is only one ${spread.label} to spread over: ${condition} is required`, {
    path: ["spread"],
    others: [single.path],
  });
}
