import { create } from "@bufbuild/protobuf";
import { errorMessage } from "@kedge/domain";
import { assertRouteRules } from "@kedge/gateway";
import { type Route, RouteSchema } from "@kedge/proto";

/** A route as a node serves it. */
export interface NodeRoute {
  readonly route: Route;
  /** Why its rules are left out; undefined when they are not. */
  readonly refused: string | undefined;
}

/**
 * The route of a node with these labels: the splits are those of the first wave that the labels fit. Rules that the
 * gateway refuses are left out, so that a bad route holds up neither its own split nor the other deployments'.
 */
export function routeOfNode(wanted: Route, labels: Readonly<Record<string, string>>): NodeRoute {
  const wave = wanted.waves.find(({ nodeSelector }) =>
    Object.entries(nodeSelector).every(([key, value]) => labels[key] === value),
  );
  const own = create(RouteSchema, { ...wanted, splits: wave?.splits ?? wanted.splits, waves: [] });
  try {
    assertRouteRules(own);
    return { route: own, refused: undefined };
  } catch (error) {
    const { sticky, ...rest } = own;
    const route = create(RouteSchema, { ...rest, matches: [], mirrors: [], previewRevision: 0 });
    return { route, refused: errorMessage(error) };
  }
}
