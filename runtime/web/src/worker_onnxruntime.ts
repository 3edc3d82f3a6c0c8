/** onnxruntime-web in a worker: WASM, WebGPU and WebNN. */

import type { InferenceSession, Tensor } from "onnxruntime-web";

import { type Engine, type Facts, type Feeds, type Opening, serve } from "./engine";
import { type Gpu, openGpu } from "./gpu";
import { Listening } from "./listening";
import { dtypeOf, type Values } from "./pixels";
import { parsePlacements, type Placements, unitOf } from "./placements";

type Ort = typeof import("onnxruntime-web");
type Build = "wasm" | "jspi" | "asyncify";

/** A model with one Relu: it loads the library without the artifact, so that both can be timed separately. */
const SMALLEST = "CAgSADozCgwKAXgSAXkiBFJlbHUSAWdaDwoBeBIKCggIARIECgIIAWIPCgF5EgoKCAgBEgQKAggBQgQKABAN";

const listening = new Listening();

/** The library's builds: plain, and with WebGPU and WebNN on JSPI of new browsers, or without it. */
async function library(build: Build): Promise<Ort> {
  if (build === "wasm") return import("onnxruntime-web/wasm");
  return build === "jspi" ? import("onnxruntime-web/jspi") : import("onnxruntime-web/webgpu");
}

class OnnxRuntime implements Engine {
  private ort!: Ort;
  private session!: InferenceSession;
  private opening!: Opening;
  private build: Build = "wasm";
  private gpu: Gpu | null = null;

  async load(opening: Opening): Promise<string | null> {
    this.opening = opening;
    if (opening.backend !== "wasm") this.build = "Suspending" in WebAssembly ? "jspi" : "asyncify";
    this.ort = await library(this.build);
    const file = `${opening.base}ort-wasm-simd-threaded${this.build === "wasm" ? "" : `.${this.build}`}`;
    this.ort.env.wasm.wasmPaths = { mjs: `${file}.mjs`, wasm: `${file}.wasm` };
    this.ort.env.wasm.numThreads = this.threads();
    if (opening.backend === "webgpu") {
      this.gpu = await openGpu();
      this.ort.env.webgpu.device = this.gpu.device;
    }
    const smallest = Uint8Array.from(atob(SMALLEST), (letter) => letter.charCodeAt(0));
    await (await this.ort.InferenceSession.create(smallest, { executionProviders: ["wasm"] })).release();
    return this.gpu?.emulated ?? null;
  }

  private threads(): number {
    return this.opening.backend === "wasm" ? this.opening.threads : 1;
  }

  async open(opening: Opening): Promise<void> {
    this.session = await this.ort.InferenceSession.create(opening.model, this.options());
  }

  private options(): InferenceSession.SessionOptions {
    const { backend, unit } = this.opening;
    if (backend === "webnn") return { executionProviders: [{ name: "webnn", deviceType: unit }] };
    return { executionProviders: [backend] };
  }

  async run(input: Values, shape: number[]): Promise<Values> {
    const [name] = this.session.inputNames;
    const [result] = this.session.outputNames;
    const found = await this.session.run({ [name!]: this.tensor(input, shape) });
    return (await found[result!]!.getData()) as Values;
  }

  async runNamed(inputs: Feeds): Promise<Feeds> {
    const given = Object.entries(inputs).map(([name, { values, shape }]) => [name, this.tensor(values, shape)]);
    const outputs: Feeds = {};
    for (const [name, found] of Object.entries(await this.session.run(Object.fromEntries(given)))) {
      outputs[name] = { values: (await found.getData()) as Values, shape: [...found.dims] };
    }
    return outputs;
  }

  private tensor(values: Values, shape: number[]): Tensor {
    return new this.ort.Tensor(dtypeOf(values) as Tensor.Type, values, shape) as Tensor;
  }

  /** Load the artifact again with the verbose log, which has the unit of each operator. */
  private async located(): Promise<Placements> {
    listening.forget();
    const verbose = { ...this.options(), logSeverityLevel: 0 as const };
    await (await this.ort.InferenceSession.create(this.opening.model, verbose)).release();
    return parsePlacements(listening.lines);
  }

  async facts(): Promise<Facts> {
    const { backend } = this.opening;
    const placements = backend === "wasm" ? {} : await this.located();
    return {
      unit_ran: backend === "wasm" ? "cpu" : unitOf(placements),
      threads: this.threads(),
      runtime_versions: { "onnxruntime-web": this.ort.env.versions.web ?? this.ort.env.versions.common },
      operators_per_unit: placements,
      facts: { backend, build: this.build, ...(this.gpu ? { gpu: this.gpu.name } : {}) },
    };
  }
}

serve(new OnnxRuntime(), listening);
