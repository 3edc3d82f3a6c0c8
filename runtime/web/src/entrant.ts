/** One loaded candidate: its file, its golden picture, its samples. */

import type { Answers } from "./engine";
import { compare } from "./parity";
import { emptyValues, imageSize, type Picture, shapeOf, toPicture, toTensor, type Values } from "./pixels";
import { download } from "./server";
import type { Session } from "./session";
import { percentile } from "./stats";
import type { Candidate, Measured, Parity, Plan } from "./wire";

/** Minimum length of a sample in steps of the clock; a shorter inference is repeated, and the mean is taken. */
const STEPS_PER_SAMPLE = 20;

export interface Conditions {
  threads: number;
  clockStepMs: number;
  /** Memory limit of all runtimes together; see `turns.ts`. */
  budgetMib: number;
  plan: Plan;
  /** The bundle's golden input. */
  picture: Picture | null;
  /** The golden picture of a name. */
  golden(name: string): Promise<Picture>;
}

interface Given {
  input: Values;
  shape: number[];
}

export class Entrant {
  /** Samples of each turn, in ms. */
  readonly rounds: number[][] = [];
  heapMib = 0;
  emulated: string | null = null;
  private given!: Given;
  private opened!: Answers["open"];
  private firstMs = 0;
  private parity: Parity | null = null;
  private others: Parity[] = [];
  private inferences = 1;
  private hidden = false;

  /** `company`: it is loaded as baseline only, without a row. */
  constructor(
    readonly candidate: Candidate,
    readonly company: boolean,
    private readonly session: Session,
    private readonly conditions: Conditions,
  ) {}

  /** Load it and run it once; returns the outputs. */
  async load(told: (stage: string) => void): Promise<Values> {
    const { unit, backend, input: spec, url } = this.candidate;
    told("fetching");
    const model = await download(url);
    this.given = await inputOf(this.candidate, this.conditions);
    told("loading");
    const { threads } = this.conditions;
    this.opened = await this.session.open({ model, unit, backend, threads, input: spec });
    this.emulated = this.opened.emulated;
    told("first inference");
    const first = await this.session.ask<"run">({ call: "run", ...this.given });
    this.firstMs = first.ms;
    this.heapMib = first.heap_mib ?? 0;
    return first.output;
  }

  /** Compare the output with the golden pictures; returns it as a picture, null without a golden picture. */
  async judge(output: Values): Promise<Picture | null> {
    if (this.candidate.golden === null) return null;
    const golden = await this.conditions.golden(this.candidate.golden);
    const picture = toPicture(output, this.candidate.output, golden.width, golden.height);
    const grid = golden.width / (this.conditions.picture?.width ?? golden.width);
    this.parity = compare(picture, golden, grid);
    this.others = [];
    for (const other of this.candidate.others) {
      this.others.push(compare(picture, await this.conditions.golden(other.golden), grid));
    }
    return picture;
  }

  async warmUp(): Promise<void> {
    const { plan, clockStepMs } = this.conditions;
    const warmed = await this.measure(plan.warmup, 1);
    const typical = Math.max(percentile(warmed, 50), clockStepMs / 100);
    this.inferences = Math.min(1000, Math.max(1, Math.ceil((STEPS_PER_SAMPLE * clockStepMs) / typical)));
  }

  async turn(): Promise<void> {
    this.rounds.push(await this.measure(this.conditions.plan.runs, this.inferences));
    this.hidden ||= document.hidden; // browsers throttle pages in the background
  }

  /** Total time of its samples so far, in ms. */
  spentMs(): number {
    return this.inferences * this.rounds.flat().reduce((sum, ms) => sum + ms, 0);
  }

  /** Its row; `reference` took part in the same rounds. */
  async row(reference: Entrant | undefined): Promise<Measured> {
    const found = await this.session.ask<"facts">({ call: "facts" });
    const { plan, clockStepMs } = this.conditions;
    const timed = this.rounds.length > 0; // times of an emulated unit are not latency
    return {
      outcome: "measured",
      key: this.candidate.key,
      runtime_versions: found.runtime_versions,
      unit_ran: found.unit_ran,
      threads: found.threads,
      init_ms: this.opened.init_ms,
      first_inference_ms: this.firstMs,
      warmup: timed ? plan.warmup + 1 : 1,
      runs_per_round: timed ? plan.runs : 1,
      inferences_per_sample: this.inferences,
      samples_ms: this.rounds.flat(),
      clock_step_ms: clockStepMs,
      heap_mib: found.heap_mib,
      emulated: this.emulated,
      operators_per_unit: found.operators_per_unit,
      parity: this.parity,
      others: this.others,
      reference: reference ? { key: reference.candidate.key, samples_ms: reference.rounds.flat() } : null,
      facts: { ...found.facts, library_ms: Math.round(this.opened.library_ms), hidden: this.hidden || document.hidden },
    };
  }

  close(): void {
    this.session.close();
  }

  private async measure(samples: number, inferences: number): Promise<number[]> {
    const found = await this.session.ask<"measure">({ call: "measure", ...this.given, samples, inferences });
    return found.samples_ms;
  }
}

async function inputOf(candidate: Candidate, conditions: Conditions): Promise<Given> {
  const spec = candidate.input;
  if (candidate.input_url !== null) {
    const bytes = await download(candidate.input_url);
    const sized = emptyValues(spec.dtype, 1);
    const input = emptyValues(spec.dtype, bytes.byteLength / sized.BYTES_PER_ELEMENT);
    new Uint8Array(input.buffer).set(bytes);
    return { input, shape: spec.shape.map(Number) };
  }
  const { picture } = conditions;
  if (!picture) throw new Error("the bundle has no golden input picture");
  const [height, width] = imageSize(spec);
  if ((typeof height === "number" && height !== picture.height) || (typeof width === "number" && width !== picture.width)) {
    throw new Error(`the artifact needs ${width}x${height}, but the golden picture is ${picture.width}x${picture.height}`);
  }
  return { input: toTensor(picture, spec), shape: shapeOf(spec, picture.width, picture.height) };
}
