/** What one revision answered since the gateway was started in this process. */
export interface RevisionStats {
  readonly revision: number;
  /** Share it is meant to get now, basis points. */
  readonly basisPoints: number;
  /** Answered requests and those that got no answer; requests that the client gave up are not in it. */
  readonly requests: number;
  readonly errors: number;
}

/** Totals of one deployment. */
export interface DeploymentStats {
  readonly deployment: string;
  readonly revisions: readonly RevisionStats[];
  /** Requests that the client gave up. */
  readonly aborted: number;
  /** Requests answered 503 as no replica was ready. */
  readonly unserved: number;
  /** Requests that were sent again to another replica as the first gave no answer. */
  readonly redispatched: number;
  /** Requests that asked for a revision in preview; they are among the revision's, and in no window. */
  readonly previewed: number;
  /** Requests that nobody answered and that HAProxy did not log; they are among the errors of the revisions. */
  readonly silent: number;
}

/** Totals of the gateway, for metrics. */
export interface GatewayStats {
  readonly deployments: readonly DeploymentStats[];
  /** Log lines that could not be read or belong to no known split. */
  readonly unattributed: number;
  /** Log lines that HAProxy wrote and that did not arrive: requests that are in no window. */
  readonly lost: number;
  /** How often HAProxy's own counts were compared with its log. */
  readonly audits: number;
  /** How often HAProxy was started, and reloaded to make room, by this process. */
  readonly starts: number;
  readonly reloads: number;
}
