import { Forge } from "@kedge/proto";
import type { ForgeEvent } from "./forge-event.ts";
import { parseGithubEvent } from "./github-events.ts";
import { parseGitlabEvent } from "./gitlab-events.ts";
import { malformed } from "./payload-fields.ts";

/**
 * Reads what a forge sent. `event` is the value of its event header, `body` the JSON. Never throws; whoever calls has
 * checked the signature.
 */
export function parseForgeEvent(forge: Forge, event: string, body: unknown): ForgeEvent {
  switch (forge) {
    case Forge.GITHUB:
      return parseGithubEvent(event, body, { listsChanges: true });
    case Forge.GITEA:
      return parseGithubEvent(event, body, { listsChanges: false });
    case Forge.GITLAB:
      return parseGitlabEvent(event, body);
    case Forge.UNSPECIFIED:
      return malformed("the repository has no forge");
    default:
      return forge satisfies never;
  }
}
