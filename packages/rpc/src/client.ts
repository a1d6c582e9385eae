import type { DescService } from "@bufbuild/protobuf";
import type { RpcClientOptions } from "./client-options.ts";
import type { RpcClient, RpcMethods } from "./service-types.ts";

/** Connections to one server, shared by the clients of several services. */
export interface RpcConnection {
  client<S extends DescService>(service: S): RpcMethods<S>;
  /** May be called twice. */
  close(): void;
}

export declare function connectRpc(options: RpcClientOptions): RpcConnection;
export declare function createRpcClient<S extends DescService>(desc: S, options: RpcClientOptions): RpcClient<S>;
