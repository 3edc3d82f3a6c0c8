/** Messages between server and page; `runtime/devices/browser/wire.py` is the server's side. */

import type { Program } from "./program";

export type Unit = "cpu" | "gpu" | "npu";
export type Backend = "wasm" | "webgpu" | "webnn";
export type Runner = "onnxruntime-web" | "litert-js";

/** The pixel contract of a tensor, as in the manifest. */
export interface TensorSpec {
  name: string;
  shape: (number | string)[];
  dtype: string;
  layout: "NCHW" | "NHWC";
  color: string;
  value_range: [number, number];
  scale: number | null;
  zero_point: number | null;
}

/** Tolerances of an output to its golden picture; null: no limit. */
export interface Tolerance {
  reason: string;
  max_abs: number | null;
  mean_lsb: number | null;
  min_psnr_db: number | null;
  min_exact_share: number | null;
  max_block_lsb: number | null;
  max_grid_lsb: number | null;
  min_sqnr_db: number | null;
  /** Of outputs that are no pictures: the largest difference, as a share of the largest golden number. */
  max_relative: number | null;
}

/** A golden picture, and the tolerances of outputs. */
export interface Judge {
  golden: string;
  tolerance: Tolerance;
}

/** One artifact in one runtime on one backend. */
export interface Candidate {
  key: string;
  artifact: string;
  runner: Runner;
  unit: Unit;
  backend: Backend;
  url: string;
  bytes: number;
  input: TensorSpec;
  output: TensorSpec;
  golden: string | null;
  tolerance: Tolerance | null;
  /** Further golden pictures with which it is compared. */
  others: Judge[];
  /** Raw input tensor instead of the golden picture; then the raw output is sent back to `output_url`. */
  input_url: string | null;
  output_url: string | null;
  /** Key of its baseline. */
  baseline: string | null;
}

export interface Tiling {
  scale: number;
  halo: number;
  multiple: number;
  whole_pixels: number;
}

export interface Plan {
  rounds: number;
  /** Minimum rounds when the time is over. */
  least_rounds: number;
  /** Maximum number of candidates loaded at the same time. */
  at_once: number;
  runs: number;
  warmup: number;
  min_seconds: number;
  max_seconds: number;
  threads: number;
  timeout_s: number;
}

export interface LeftOut {
  what: string;
  reason: string;
}

/** The file of one part of a system. */
export interface PartFile {
  url: string;
  inputs: TensorSpec[];
  outputs: TensorSpec[];
}

/** The files of a system's parts for one target and precision, in one runtime on one backend. */
export interface Way {
  key: string;
  artifact: string;
  runner: Runner;
  unit: Unit;
  backend: Backend;
  parts: Record<string, PartFile>;
  /** Tolerances of each output to its golden picture. */
  limits: Record<string, Tolerance>;
}

/** Several networks and the program that runs them. `golden`: a safetensors file with `input.NAME` and `output.NAME`. */
export interface SystemOffer {
  program: Program;
  golden: string;
  notice: string;
  most_pixels: number;
  ways: Way[];
}

export interface Offer {
  schema_version: number;
  title: string;
  about: string;
  whole_picture: boolean;
  tiling: Tiling;
  plan: Plan;
  candidates: Candidate[];
  left_out: LeftOut[];
  golden_input: string | null;
  automatic: boolean;
  records: boolean;
  done: Record<string, StoredRow>;
  /** Set if a system is served, which has no candidates. */
  system: SystemOffer | null;
}

export interface Parity {
  psnr_db: number | null;
  max_abs: number;
  mean_lsb: number;
  exact_share: number;
  block_lsb: number;
  grid_lsb: number;
  /** null: both are equal. */
  sqnr_db: number | null;
}

/** A candidate that ran. */
export interface Measured {
  outcome: "measured";
  key: string;
  runtime_versions: Record<string, string>;
  unit_ran: string;
  threads: number;
  init_ms: number;
  first_inference_ms: number;
  warmup: number;
  runs_per_round: number;
  inferences_per_sample: number;
  samples_ms: number[];
  clock_step_ms: number;
  heap_mib: number | null;
  emulated: string | null;
  operators_per_unit: Record<string, Record<string, number>>;
  parity: Parity | null;
  /** Figures against the further golden pictures, in order. */
  others: Parity[];
  /** Its baseline's samples from the same rounds. */
  reference: { key: string; samples_ms: number[] } | null;
  facts: Record<string, string | number | boolean>;
}

/** A candidate that did not run, and the reason. */
export interface Failed {
  outcome: "skipped";
  key: string;
  reason: string;
}

export type Row = Measured | Failed;

/** Time relative to a baseline, paired per round, and its 95 % interval. */
export interface Ratio {
  baseline: string;
  value: number;
  low: number;
  high: number;
}

/** A row as stored by the server: checked, with its time of receipt. */
export type StoredRow = (Failed | (Measured & { ratio: Ratio | null })) & {
  received: string;
  passed: boolean | null;
  failures: string[];
};
