import { RE2JS } from "re2js";

/** Why a text is no RE2 expression; undefined when it is one. */
export function regexProblem(source: string): string | undefined {
  try {
    RE2JS.compile(source);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
