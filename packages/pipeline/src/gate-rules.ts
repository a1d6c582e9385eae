import { create } from "@bufbuild/protobuf";
import { Comparison, GateBaselineSchema, type GateRule, GateRuleSchema } from "@kedge/proto";
import { z } from "zod";
import { exactlyOne, metricName, name, version } from "./fields.ts";

const rule = z
  .strictObject({
    metric: metricName,
    "at-least": z.number().optional(),
    "at-most": z.number().optional(),
    job: name("job").optional().meta({ description: "Job that reported it; default: any in needs." }),
    baseline: z
      .strictObject({ model: name("model"), version })
      .optional()
      .meta({ description: "The threshold is relative to the same metric of this model version." }),
  })
  .superRefine((value, ctx) => exactlyOne(value, ["at-least", "at-most"], ctx));

function compileRule(fields: z.output<typeof rule>): GateRule {
  const least = fields["at-least"];
  return create(GateRuleSchema, {
    job: fields.job ?? "",
    metric: fields.metric,
    comparison: least === undefined ? Comparison.AT_MOST : Comparison.AT_LEAST,
    threshold: least ?? fields["at-most"] ?? 0,
    ...(fields.baseline === undefined ? {} : { baseline: create(GateBaselineSchema, fields.baseline) }),
  });
}

/** The rules of a gate, in their proto form. */
export const gateRules = z
  .array(rule)
  .min(1)
  .max(100)
  .transform((rules) => rules.map(compileRule));
