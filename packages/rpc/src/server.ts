import type { RpcServer, RpcServerOptions } from "./server-options.ts";

export declare function createRpcServer(options: RpcServerOptions): RpcServer;
