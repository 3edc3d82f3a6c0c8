/** Facts of this device and browser, as far as they report them. */

import { type Brand, browserName } from "./browser_name";
import { adapterName, emulation } from "./gpu";

export interface DeviceFacts {
  user_agent: string;
  browser: string;
  platform: string;
  model: string;
  mobile: boolean;
  cores: number;
  memory_gib: number | null;
  screen: string;
  gpu: string | null;
  gpu_emulated: string | null;
  battery: string | null;
  secure: boolean;
  isolated: boolean;
  wasm_threads: boolean;
  jspi: boolean;
  webgpu: boolean;
  webnn: boolean;
  clock_step_ms: number;
  /** Missing capability -> reason. */
  missing: Record<string, string>;
}

interface Hints {
  brands: Brand[];
  mobile: boolean;
  platform: string;
  getHighEntropyValues(names: string[]): Promise<Record<string, string>>;
}

interface Newer {
  userAgentData?: Hints;
  deviceMemory?: number;
  getBattery?(): Promise<{ level: number; charging: boolean }>;
  ml?: { createContext(options: object): Promise<{ destroy?(): void }> };
}

const newer = navigator as unknown as Newer;

/** The resolution of performance.now(), in ms: browsers reduce it against cache timing attacks. */
export function clockStep(): number {
  let least = Infinity;
  for (let i = 0; i < 15; i++) {
    const start = performance.now();
    let now = start;
    while (now === start) now = performance.now();
    least = Math.min(least, now - start);
  }
  return least;
}

async function gpuFacts(missing: Record<string, string>): Promise<Pick<DeviceFacts, "gpu" | "gpu_emulated">> {
  if (!navigator.gpu) {
    missing.webgpu = isSecureContext
      ? "this browser has no WebGPU"
      : "WebGPU needs https or localhost";
    return { gpu: null, gpu_emulated: null };
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) {
    missing.webgpu = "WebGPU finds no usable GPU";
    return { gpu: null, gpu_emulated: null };
  }
  return { gpu: adapterName(adapter.info), gpu_emulated: emulation(adapter.info) };
}

async function hasWebnn(missing: Record<string, string>): Promise<boolean> {
  try {
    if (!newer.ml) throw new Error(isSecureContext ? "this browser has no WebNN" : "WebNN needs https or localhost");
    (await newer.ml.createContext({ deviceType: "npu" })).destroy?.();
    return true;
  } catch (error) {
    missing.webnn = error instanceof Error ? error.message.slice(0, 200) : String(error).slice(0, 200);
    return false;
  }
}

async function battery(): Promise<string | null> {
  const found = await newer.getBattery?.().catch(() => null);
  return found ? `${Math.round(found.level * 100)} %${found.charging ? ", charging" : ""}` : null;
}

export async function deviceFacts(): Promise<DeviceFacts> {
  const missing: Record<string, string> = {};
  const hints = newer.userAgentData;
  const more = (await hints?.getHighEntropyValues(["model", "platformVersion", "architecture"]).catch(() => null)) ?? {};
  const gpu = await gpuFacts(missing);
  if (!crossOriginIsolated) {
    missing.threads = isSecureContext
      ? "the page is not cross-origin isolated, so WASM has one thread"
      : "threads need https or localhost: WASM has one thread";
  }
  const platform = [hints?.platform ?? navigator.platform, more.platformVersion, more.architecture];
  return {
    user_agent: navigator.userAgent.slice(0, 500),
    browser: browserName(navigator.userAgent, hints?.brands ?? []),
    platform: platform.filter(Boolean).join(" ") || "unknown",
    model: more.model ?? "",
    mobile: hints?.mobile ?? /Mobi/.test(navigator.userAgent),
    cores: navigator.hardwareConcurrency || 1,
    memory_gib: newer.deviceMemory ?? null,
    screen: `${screen.width}x${screen.height} at ${devicePixelRatio}`,
    ...gpu,
    battery: await battery(),
    secure: isSecureContext,
    isolated: crossOriginIsolated,
    wasm_threads: crossOriginIsolated && typeof SharedArrayBuffer !== "undefined",
    jspi: "Suspending" in WebAssembly,
    webgpu: gpu.gpu !== null,
    webnn: await hasWebnn(missing),
    clock_step_ms: clockStep(),
    missing,
  };
}
