export { type CaCertificateOptions, fetchCaCertificate } from "./ca-certificate.ts";
export { connectRpc, createRpcClient, type RpcConnection } from "./client.ts";
export type { RpcClientOptions } from "./client-options.ts";
export { serviceDefinition } from "./method-definition.ts";
export { createRpcServer } from "./server.ts";
export {
  type BoundService,
  bindService,
  type CallRecord,
  type MethodName,
  type RpcServer,
  type RpcServerOptions,
  type ServerTls,
} from "./server-options.ts";
export type {
  CallContext,
  CallOptions,
  Principal,
  RpcClient,
  RpcMethods,
  ServiceImplementation,
} from "./service-types.ts";
