import { type Source, SourceEvent, type Trigger } from "@kedge/proto";
import { fitsGlobs } from "../glob.ts";

/**
 * Tells whether any of a pipeline's triggers starts a run for a change. Where it is not known which paths changed, patterns
 * of paths hold. New heads that were found by looking fit `poll`, and `push` as well if the repository has none to tell.
 */
export function startsRun(
  triggers: readonly Trigger[],
  source: Source,
  { pollsForPushes = false }: { readonly pollsForPushes?: boolean } = {},
): boolean {
  return triggers.some(({ kind }) => {
    switch (kind.case) {
      case "push": {
        const isPush = source.event === SourceEvent.PUSH || (source.event === SourceEvent.POLL && pollsForPushes);
        return isPush && fits(source.branch, kind.value.branches) && touches(source, kind.value.paths);
      }
      case "pullRequest":
        return (
          source.event === SourceEvent.PULL_REQUEST &&
          fits(source.baseBranch, kind.value.branches) &&
          touches(source, kind.value.paths)
        );
      case "tag":
        return source.event === SourceEvent.TAG && fits(source.tag, kind.value.tags);
      case "poll":
        return source.event === SourceEvent.POLL && fits(source.branch, kind.value.branches);
      case "cron":
      case undefined:
        return false;
      default:
        return kind satisfies never;
    }
  });
}

function fits(value: string, patterns: readonly string[]): boolean {
  return patterns.length === 0 || fitsGlobs(value, patterns);
}

function touches({ changed }: Source, patterns: readonly string[]): boolean {
  return patterns.length === 0 || changed.length === 0 || changed.some((path) => fitsGlobs(path, patterns));
}
