/** The GPU of a worker, and its facts. */

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render|software/i;

export interface Gpu {
  device: GPUDevice;
  name: string;
  /** What emulates the hardware; null: real hardware. */
  emulated: string | null;
}

/** The name of an adapter, from all reported parts. */
export function adapterName(info: GPUAdapterInfo): string {
  const parts = [info.vendor, info.architecture, info.device, info.description].filter(Boolean);
  return [...new Set(parts)].join(" ") || "an unnamed GPU";
}

export function emulation(info: GPUAdapterInfo): string | null {
  const name = adapterName(info);
  if (/swiftshader/i.test(name)) return "SwiftShader (software Vulkan)";
  return info.isFallbackAdapter || SOFTWARE.test(name) ? `a software GPU (${name})` : null;
}

/** A device with all features and limits of its adapter; throws if there is none. */
export async function openGpu(): Promise<Gpu> {
  if (!navigator.gpu) throw new Error("this browser has no WebGPU here (it needs https or localhost)");
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("WebGPU finds no GPU on this device");
  const requiredLimits: Record<string, number> = {};
  for (const limit of ["maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage"] as const) {
    requiredLimits[limit] = adapter.limits[limit];
  }
  for (const limit of ["maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup"] as const) {
    requiredLimits[limit] = adapter.limits[limit];
  }
  for (const limit of ["maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupSizeZ"] as const) {
    requiredLimits[limit] = adapter.limits[limit];
  }
  requiredLimits.maxTextureDimension2D = adapter.limits.maxTextureDimension2D;
  requiredLimits.maxComputeWorkgroupsPerDimension = adapter.limits.maxComputeWorkgroupsPerDimension;
  const wanted: GPUFeatureName[] = ["shader-f16", "subgroups"];
  const requiredFeatures = wanted.filter((feature) => adapter.features.has(feature));
  const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
  return { device, name: adapterName(adapter.info), emulated: emulation(adapter.info) };
}
