import type { Logger } from "@kedge/kernel";
import type { HandlerFlags } from "./flags/handler-flags.ts";
import type { Tensors } from "./tensor.ts";

/** A parameter value of the protocol. */
export type Parameter = string | number | boolean;

/** Parameters of a request or response. Objects from clients are made without a prototype. */
export type Parameters = Readonly<Record<string, Parameter>>;

/** A request as a handler sees it: parsed, self-consistent, not yet compared with the model's signature. */
export interface HandlerRequest {
  readonly id?: string;
  readonly parameters: Parameters;
  readonly inputs: Tensors;
}

/** An answer as a handler sees or gives it. */
export interface HandlerResponse {
  readonly outputs: Tensors;
  readonly parameters?: Parameters;
}

/** Metrics that a deployment may be judged on, see `HandlerContext.metrics`. Never throws: what cannot be taken is left out and logged. */
export interface PushedMetrics {
  /** One value of a distribution or mean, e.g. a quality score. */
  observe(name: string, value: number): void;
  /** Something that happened, at most once or twice a request. Default 1. For amounts use `observe`. */
  count(name: string, n?: number): void;
}

/** What a handler may use. One is made for each request. */
export interface HandlerContext {
  readonly model: { readonly name: string; readonly version: string };
  readonly log: Logger;
  /** Figures of this request, told at `/metrics` under their own names; at most 16 names a model. */
  readonly metrics: PushedMetrics;
  /** The node's feature flags; a change is there within a second, for the requests that come then. */
  readonly flags: HandlerFlags;
  /** Aborts when the request's time is over or its client is gone. */
  readonly signal: AbortSignal;
  /** Runs the model; inputs are compared with its signature first. May be called any number of times. */
  infer(inputs: Tensors): Promise<Tensors>;
  /** Counts this request under a prediction label; the last call wins. Other characters than [A-Za-z0-9._-] become "_". */
  label(name: string): void;
  /** Refuses the request: the client gets status 400 with this message. */
  reject(message: string): never;
}

/**
 * The named exports of a model's `handler.mjs`, all optional. `predict` replaces the run of the model; the others run
 * before and after it. An error thrown here gives status 500 with its message. Several requests may be inside at once.
 */
export interface Handler {
  readonly preprocess?: (request: HandlerRequest, context: HandlerContext) => HandlerRequest | Promise<HandlerRequest>;
  readonly predict?: (request: HandlerRequest, context: HandlerContext) => HandlerResponse | Promise<HandlerResponse>;
  readonly postprocess?: (
    response: HandlerResponse,
    context: HandlerContext,
  ) => HandlerResponse | Promise<HandlerResponse>;
}
