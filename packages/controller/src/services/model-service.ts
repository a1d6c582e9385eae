import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Bus, getChunk, type Signer, verifySigned } from "@kedge/bus";
import { assertName, KedgeError } from "@kedge/domain";
import {
  FileDataSchema,
  LineageSchema,
  type Model,
  ModelManifestSchema,
  type ModelService,
  type ModelVersion,
  ModelVersionSchema,
  type PushModelHeader,
  type PushModelRequest,
  SignedSchema,
} from "@kedge/proto";
import type { CallContext, ServiceImplementation } from "@kedge/rpc";
import type { ChunkHolds } from "../files/chunk-holds.ts";
import { ContentUpload } from "../models/push.ts";
import type { ModelRegistry } from "../models/registry.ts";
import type { Stores } from "../stores.ts";
import { pageOf } from "./paging.ts";
import { assertMayTag } from "./tag-right.ts";

/** What the model service works with. */
export interface ModelServiceOptions {
  readonly bus: Bus;
  readonly stores: Stores;
  readonly models: ModelRegistry;
  readonly signer: Signer;
  readonly holds: ChunkHolds;
}

/** ModelService: content in as a stream of parts, out the same way. */
export function createModelService(options: ModelServiceOptions): ServiceImplementation<typeof ModelService> {
  const { bus, stores, models, signer, holds } = options;
  return {
    pushModel: async (requests, context) => {
      using hold = holds.begin();
      const newUpload = (model: string) => new ContentUpload(bus, hold, model);
      const { header, upload } = await receive(newUpload, requests, context.signal);
      const content = await upload.finish(signer);
      // Who gave up meanwhile gets no version.
      context.signal.throwIfAborted();
      const added = await models.addVersion(withLineage(header, stores, context), content, context.principal.name);
      return { version: added.version, existed: added.existed, newBytes: content.newBytes };
    },
    pullModel: async function* (request, context) {
      const { version } = models.find(request.model, request.version);
      yield { part: { case: "version", value: version } };
      const signed = fromBinary(SignedSchema, await getChunk(bus, version.digest));
      const manifest = verifySigned(ModelManifestSchema, signed, { key: signer.publicKey, audience: "*" });
      for (const file of manifest.files) {
        const chunks = file.chunks.length === 0 ? [undefined] : file.chunks;
        for (const chunk of chunks) {
          context.signal.throwIfAborted();
          const data = chunk === undefined ? new Uint8Array() : await getChunk(bus, chunk);
          yield { part: { case: "file", value: create(FileDataSchema, { path: file.path, data }) } };
        }
      }
    },
    getModel: async (request) => models.find(request.model, request.version),
    listModels: async (request) => {
      if (request.model === "") {
        const all = [...stores.models.entries()].map(([, { value }]) => value);
        const page = pageOf<Model>(
          all.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
          (model) => model.name,
          request,
        );
        return { models: page.items, nextPageToken: page.nextPageToken };
      }
      models.find(request.model, "");
      const newestFirst = models.versions(request.model).toReversed();
      const page = pageOf<ModelVersion>(newestFirst, (version) => String(version.version).padStart(10, "0"), {
        ...request,
        descending: true,
        bytesOf: (version) => toBinary(ModelVersionSchema, version).length,
      });
      return { versions: page.items, nextPageToken: page.nextPageToken };
    },
    tagModel: async (request, { principal }) => {
      assertMayTag(request, principal, (id) => stores.runs.get(id)?.value);
      return { model: await models.tag(request.model, request.version, request.tag) };
    },
    deleteModel: async (request) => {
      await models.delete(request.model, request.version);
      return {};
    },
  };
}

async function receive(
  newUpload: (model: string) => ContentUpload,
  requests: AsyncIterable<PushModelRequest>,
  signal: AbortSignal,
): Promise<{ header: PushModelHeader; upload: ContentUpload }> {
  let header: PushModelHeader | undefined;
  let upload: ContentUpload | undefined;
  for await (const { part } of requests) {
    signal.throwIfAborted();
    if (part.case === "header" && header === undefined) {
      header = part.value;
      assertName("model", header.model, "header.model");
      upload = newUpload(header.model);
    } else if (part.case === "file" && upload !== undefined) {
      await upload.add(part.value);
    } else {
      throw new KedgeError("INVALID_FIELD", "send the header first and once, then files", { field: "part" });
    }
  }
  if (header === undefined || upload === undefined) {
    throw new KedgeError("INVALID_FIELD", "the header is missing", { field: "header" });
  }
  return { header, upload };
}

/** A running task's pushes carry the lineage of its run, whatever it claims. */
function withLineage(header: PushModelHeader, stores: Stores, { principal }: CallContext): PushModelHeader {
  const run = principal.runId === undefined ? undefined : stores.runs.get(principal.runId)?.value;
  if (run === undefined) return header;
  const parent = stores.models.get(header.model)?.value.latestVersion;
  return {
    ...header,
    lineage: create(LineageSchema, {
      runId: run.id,
      job: run.jobs.find((job) => job.tasks.some((task) => task.id === principal.taskId))?.spec?.name ?? "",
      repository: run.source?.repository ?? "",
      commit: run.source?.commit ?? "",
      parents: header.lineage?.parents.length ? header.lineage.parents : parent === undefined ? [] : [parent],
    }),
  };
}
