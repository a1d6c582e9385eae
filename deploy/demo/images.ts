import { buildHostBaseImage, connectDocker, createImageStore } from "@kedge/runtime";

/** Image that the demo's containers are made from; kept for the next run. */
export const BASE_IMAGE = "kedge-demo/node:24";

/** Name of the images that the demo's pipeline builds. */
export const BUILT_IMAGE = "kedge-demo/voice-detector";

/** Makes the base image of this machine's own Node and shell, unless it is there; tells whether it was made. */
export async function ensureBaseImage(): Promise<boolean> {
  const images = createImageStore({ docker: connectDocker() });
  if ((await images.find(BASE_IMAGE)) !== undefined) return false;
  await buildHostBaseImage({ images, tag: BASE_IMAGE, programs: [process.execPath, "sh"] });
  return true;
}

/** Removes what the demo's pipeline built from these commits. */
export async function removeBuiltImages(commits: readonly string[]): Promise<void> {
  const images = createImageStore({ docker: connectDocker() });
  for (const commit of commits) await images.remove(`${BUILT_IMAGE}:${commit}`);
}
