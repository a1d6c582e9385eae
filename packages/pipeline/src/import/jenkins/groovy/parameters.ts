import type { Cursor } from "./cursor.ts";
import { modifiersLength, typeLength } from "./lookahead.ts";

/** The parameters of a closure or method, with what closes them: the arrow or the parenthesis. */
export function readParameters(cursor: Cursor, close: "->" | ")"): void {
  cursor.skipNewlines();
  while (!cursor.is(close)) {
    cursor.index += modifiersLength(cursor, 0);
    const type = typeLength(cursor, 0);
    const after = cursor.peek(type);
    if (after.type === "identifier" || after.text === "...") cursor.index += type;
    cursor.take("...");
    cursor.name();
    if (cursor.take("=")) {
      cursor.skipNewlines();
      cursor.rules.command(cursor);
    }
    cursor.skipNewlines();
    if (!cursor.take(",")) break;
    cursor.skipNewlines();
  }
  cursor.expect(close);
}
