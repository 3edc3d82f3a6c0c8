/** LiteRT.js in a worker (a classic one: the library calls importScripts): WASM and WebGPU. */

import { type CompiledModel, loadAndCompile, loadLiteRt, setWebGpuDevice, supportsFeature, Tensor } from "@litertjs/core";
import { version } from "@litertjs/core/package.json";

import { type Engine, type Facts, type Feeds, type Opening, serve } from "./engine";
import { type Gpu, openGpu } from "./gpu";
import { Listening } from "./listening";
import type { Values } from "./pixels";

const FILES = {
  plain: "litert_wasm_internal.js",
  threaded: "litert_wasm_threaded_internal.js",
  jspi: "litert_wasm_jspi_internal.js",
  compat: "litert_wasm_compat_internal.js",
};
type Build = keyof typeof FILES;

/** The library's build: JSPI lets WebGPU share a graph with WASM, and old browsers lack relaxed SIMD. */
async function buildFor(opening: Opening): Promise<Build> {
  if (!(await supportsFeature("relaxedSimd"))) return "compat";
  if (opening.backend === "webgpu") return (await supportsFeature("jspi")) ? "jspi" : "plain";
  return opening.threads > 1 && (await supportsFeature("threads")) ? "threaded" : "plain";
}

/** Copy the values of an output, then release it: the library reuses its memory in the next run. */
async function taken(result: Tensor): Promise<Values> {
  const output = await result.data();
  if (output instanceof Int32Array) throw new Error("the artifact's output is int32, which is not a picture");
  const copy = output.slice();
  result.delete();
  return copy;
}

class LiteRt implements Engine {
  private model!: CompiledModel;
  private opening!: Opening;
  private build: Build = "plain";
  private gpu: Gpu | null = null;

  async load(opening: Opening): Promise<string | null> {
    this.opening = opening;
    this.build = await buildFor(opening);
    const script = opening.base + FILES[this.build];
    // The library reads its settings from a global; its threads run this script again.
    const settings = { locateFile: (file: string) => opening.base + file, mainScriptUrlOrBlob: script };
    Object.assign(self, { Module: settings });
    await loadLiteRt(script);
    if (opening.backend === "webgpu") {
      this.gpu = await openGpu();
      setWebGpuDevice(this.gpu.device);
    }
    return this.gpu?.emulated ?? null;
  }

  private threads(): number {
    return this.build === "threaded" ? this.opening.threads : 1;
  }

  async open(opening: Opening): Promise<void> {
    const accelerator = opening.backend === "webgpu" ? "webgpu" : "wasm";
    this.model = await loadAndCompile(opening.model, { accelerator, cpuOptions: { numThreads: this.threads() } });
  }

  async run(input: Values, shape: number[]): Promise<Values> {
    const given = new Tensor(input as Float32Array<ArrayBuffer>, shape);
    const [result] = await this.model.run(given);
    given.delete();
    return taken(result!);
  }

  async runNamed(inputs: Feeds): Promise<Feeds> {
    const given: Record<string, Tensor> = {};
    for (const [name, { values, shape }] of Object.entries(inputs)) given[name] = new Tensor(values as Float32Array<ArrayBuffer>, shape);
    const found = await this.model.run(given);
    for (const tensor of Object.values(given)) tensor.delete();
    const outputs: Feeds = {};
    for (const [name, tensor] of Object.entries(found)) {
      const shape = [...tensor.type.layout.dimensions];
      outputs[name] = { values: await taken(tensor), shape };
    }
    return outputs;
  }

  async facts(): Promise<Facts> {
    const { backend } = this.opening;
    const onGpu = this.model.options.accelerator === "webgpu"; // the library falls back to WASM silently
    const whole = this.model.isFullyAccelerated;
    return {
      unit_ran: onGpu ? (whole ? "gpu" : "gpu+cpu") : "cpu",
      threads: this.threads(),
      runtime_versions: { "litert-js": version },
      operators_per_unit: {},
      facts: { backend, build: this.build, ...(this.gpu ? { gpu: this.gpu.name } : {}) },
    };
  }
}

serve(new LiteRt(), new Listening());
