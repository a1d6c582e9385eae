import { Cursor, type Rules } from "./cursor.ts";
import { readCommand, readExpression } from "./expressions.ts";
import { tokenise } from "./lexer.ts";
import type { Block } from "./nodes.ts";
import { readStatements } from "./statements.ts";

const RULES: Rules = { expression: readExpression, command: readCommand, statements: readStatements };

/** The statements of a Groovy 2.4 script. Throws GroovySyntaxError for what Groovy would refuse. */
export function parseGroovy(source: string): Block {
  const cursor = new Cursor(tokenise(source), RULES);
  const block = readStatements(cursor);
  if (cursor.peek().type !== "end") cursor.unexpected();
  return block;
}
