import type { Expression } from "./nodes.ts";

/** Why Groovy would not assign to an expression, in the words of its compiler; undefined: it would. */
export function unassignable(left: Expression): string | undefined {
  const rest = "but it should be a variable expression";
  switch (left.kind) {
    case "variable":
    case "property":
    case "list":
      return undefined;
    case "binary":
      return left.operator === "[" ? undefined : `${groovyText(left)} is a binary expression, ${rest}`;
    case "constant":
      return `[${groovyText(left)}] is a constant expression, ${rest}`;
    case "gstring":
      return `"${groovyText(left)}" is a GString expression, ${rest}`;
    case "call":
      return `"${groovyText(left)}" is a method call expression, ${rest}`;
    default:
      return "what stands before the = is no variable, property or item";
  }
}

/** An expression as Groovy's messages show it; what is deep or rare is left out. */
function groovyText(expression: Expression, depth = 0): string {
  if (depth > 8) return "...";
  const text = (inner: Expression): string => groovyText(inner, depth + 1);
  switch (expression.kind) {
    case "variable":
      return expression.name;
    case "constant":
      return String(expression.value);
    case "binary":
      return `(${text(expression.left)} ${expression.operator} ${text(expression.right)})`;
    case "call": {
      const { target, method, args } = expression;
      return `${target === undefined ? "this" : text(target)}.${text(method)}(${args.map(text).join(", ")})`;
    }
    case "property":
      return `${text(expression.object)}.${expression.name ?? "..."}`;
    case "gstring":
      return expression.parts.map((part) => (part.kind === "text" ? part.text : "$...")).join("");
    default:
      return "...";
  }
}
