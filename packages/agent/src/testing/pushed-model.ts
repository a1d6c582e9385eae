import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { CHUNK_BYTES } from "@kedge/bus";
import { type FileEntry, FileEntrySchema, ModelManifestSchema, SignedSchema } from "@kedge/proto";
import type { ControllerFixture } from "./agent-fixture.ts";

const WEIGHTS = dirname(createRequire(import.meta.url).resolve("@ricky0123/vad-web/package.json"));
const SETTINGS = JSON.stringify({
  warmup: {
    inputs: { input: { shape: [1, 512] }, state: { shape: [2, 1, 128] }, sr: { shape: [], fill: 16_000 } },
  },
});

/** Puts a voice-activity model with these weights on the controller's side; the digest of its manifest. */
export async function pushVoiceModel(
  controller: ControllerFixture,
  weights: string,
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  const all = {
    "model.json": SETTINGS,
    "model.onnx": await readFile(join(WEIGHTS, "dist", weights)),
    ...files,
  };
  const entries = await Promise.all(
    Object.entries(all).map(([path, content]) => pushFile(controller, path, Buffer.from(content))),
  );
  const manifest = create(ModelManifestSchema, { model: "vad", files: entries });
  const signed = controller.testBus.authority.signer.sign(ModelManifestSchema, manifest, "*");
  return controller.putChunk(toBinary(SignedSchema, signed));
}

async function pushFile(controller: ControllerFixture, path: string, bytes: Buffer): Promise<FileEntry> {
  const chunks: string[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    chunks.push(await controller.putChunk(bytes.subarray(at, at + CHUNK_BYTES)));
  }
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return create(FileEntrySchema, { path, size: BigInt(bytes.length), sha256, chunks });
}
