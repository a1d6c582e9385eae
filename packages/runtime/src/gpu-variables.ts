/** Makes CUDA see these GPUs alone; an empty list hides all. Nothing when nothing is said of GPUs. */
export function processGpuVariables(gpus: readonly string[] | undefined): Record<string, string> {
  return gpus === undefined ? {} : { CUDA_VISIBLE_DEVICES: gpus.join(",") };
}

/**
 * The same for a container, and for NVIDIA's container toolkit: where that is the engine's default runtime, an image with
 * NVIDIA_VISIBLE_DEVICES=all in it, as CUDA's own have, would get every GPU of the host without asking.
 */
export function containerGpuVariables(gpus: readonly string[] | undefined): Record<string, string> {
  if (gpus === undefined) return {};
  return { ...processGpuVariables(gpus), NVIDIA_VISIBLE_DEVICES: gpus.length === 0 ? "void" : gpus.join(",") };
}
