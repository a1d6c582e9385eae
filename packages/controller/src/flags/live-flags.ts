import { KedgeError, nearNames } from "@kedge/domain";
import type { Flag } from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** All flags that are not deleted, by name. */
export function liveFlags(stores: Pick<Stores, "flagRecords">): Flag[] {
  const flags = [...stores.flagRecords.entries()].flatMap(([, { value }]) => value.flag ?? []);
  return flags.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A flag. @throws KedgeError FLAG_NOT_FOUND with names that come near. */
export function findFlag(stores: Pick<Stores, "flagRecords">, name: string): Flag {
  const flag = stores.flagRecords.get(name)?.value.flag;
  if (flag !== undefined) return flag;
  const shown = name.slice(0, 80);
  const near = nearNames(
    shown,
    liveFlags(stores).map((each) => each.name),
  );
  throw new KedgeError("FLAG_NOT_FOUND", `no flag is called ${JSON.stringify(shown)}`, {
    field: "name",
    ...(near.length > 0 ? { hint: `did you mean ${near.join(" or ")}?` } : {}),
  });
}
