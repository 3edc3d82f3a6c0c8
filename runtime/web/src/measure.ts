/** One candidate from its file to its row: load, golden picture, warm-up, samples. */

import type { Answers } from "./engine";
import { compare } from "./parity";
import { emptyValues, imageSize, type Picture, shapeOf, toPicture, toTensor, type Values } from "./pixels";
import { download } from "./server";
import { Session, Stopped } from "./session";
import { percentile } from "./stats";
import type { Candidate, Measured, Parity, Plan, Row } from "./wire";

/** A sample is to be this many steps of the clock, or it is the mean of several inferences. */
const STEPS_PER_SAMPLE = 20;

export interface Conditions {
  threads: number;
  clockStepMs: number;
  plan: Plan;
  /** The bundle's golden input. */
  picture: Picture | null;
  /** The golden picture of a name. */
  golden(name: string): Promise<Picture>;
}

export interface Course {
  /** Hears what happens, and how far it is (0..1). */
  told(stage: string, share: number): void;
  /** Gets the picture that came out. */
  shown(picture: Picture): void;
  /** Gets the raw output where it was asked for. */
  gave(candidate: Candidate, output: Values): Promise<void>;
}

/** A run that can be stopped from outside. */
export class Run {
  private session: Session | null = null;
  private stopped = false;

  stop(): void {
    this.stopped = true;
    this.session?.close();
  }

  /** The row of a candidate; one that fails is a row with its reason. Throws ``Stopped`` when it is stopped. */
  async row(candidate: Candidate, conditions: Conditions, course: Course): Promise<Row> {
    try {
      return await this.measured(candidate, conditions, course);
    } catch (error) {
      if (this.stopped || error instanceof Stopped) throw new Stopped("stopped");
      const reason = error instanceof Error ? error.message : String(error);
      return { outcome: "skipped", key: candidate.key, reason: reason.slice(0, 1500) || "it failed without a word" };
    } finally {
      this.session?.close();
      this.session = null;
    }
  }

  private async measured(candidate: Candidate, conditions: Conditions, course: Course): Promise<Row> {
    const { plan, threads, clockStepMs } = conditions;
    course.told("fetching", 0);
    const model = await download(candidate.url);
    const { input, shape } = await inputOf(candidate, conditions);
    const session = new Session(candidate.runner, plan.timeout_s);
    this.session = session;
    course.told("loading", 0.1);
    const { unit, backend } = candidate;
    const opened = await session.open({ model, unit, backend, threads, input: candidate.input });
    course.told("first inference", 0.2);
    const first = await session.ask<"run">({ call: "run", input, shape });
    const parity = await judged(candidate, first.output, conditions, course);
    const samples = opened.emulated ? NO_SAMPLES : await this.sampled(session, { input, shape }, conditions, course);
    const facts = await session.ask<"facts">({ call: "facts" });
    return { ...rowOf(candidate, opened, first.ms, facts), ...samples, clock_step_ms: clockStepMs, parity };
  }

  /** Warm up, then rounds until the plan is satisfied. */
  private async sampled(session: Session, given: Given, conditions: Conditions, course: Course): Promise<Samples> {
    const { plan, clockStepMs } = conditions;
    const began = performance.now();
    const warmed = await session.ask<"measure">({ call: "measure", ...given, samples: plan.warmup, inferences: 1 });
    const typical = Math.max(percentile(warmed.samples_ms, 50), clockStepMs / 100);
    const inferences = Math.min(1000, Math.max(1, Math.ceil((STEPS_PER_SAMPLE * clockStepMs) / typical)));
    const samples_ms: number[] = [];
    let spent = 0;
    for (let round = 0; ; round++) {
      const question = { call: "measure", ...given, samples: plan.runs, inferences } as const;
      const turn = await session.ask<"measure">(question);
      samples_ms.push(...turn.samples_ms);
      spent += turn.samples_ms.reduce((sum, ms) => sum + ms * inferences, 0);
      const done = round + 1;
      course.told("measuring", 0.3 + 0.7 * Math.min(1, done / plan.rounds, spent / (plan.min_seconds * 1000) || 1));
      const late = performance.now() - began > plan.max_seconds * 1000;
      if (samples_ms.length >= MOST_SAMPLES || (late && done >= Math.min(3, plan.rounds))) break;
      if (done >= plan.rounds && spent >= plan.min_seconds * 1000) break;
    }
    return {
      samples_ms: samples_ms.slice(0, MOST_SAMPLES),
      warmup: plan.warmup + 1,
      runs_per_round: plan.runs,
      inferences_per_sample: inferences,
    };
  }
}

const MOST_SAMPLES = 5000;

interface Given {
  input: Values;
  shape: number[];
}

type Samples = Pick<Measured, "samples_ms" | "warmup" | "runs_per_round" | "inferences_per_sample">;

/** Of a unit that is emulated in software: what the clock says there is no latency. */
const NO_SAMPLES: Samples = { samples_ms: [], warmup: 1, runs_per_round: 1, inferences_per_sample: 1 };

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
    throw new Error(`the artifact takes ${width}x${height}, the golden picture is ${picture.width}x${picture.height}`);
  }
  return { input: toTensor(picture, spec), shape: shapeOf(spec, picture.width, picture.height) };
}

async function judged(
  candidate: Candidate,
  output: Values,
  conditions: Conditions,
  course: Course,
): Promise<Parity | null> {
  if (candidate.output_url !== null) await course.gave(candidate, output);
  if (candidate.golden === null) return null;
  const golden = await conditions.golden(candidate.golden);
  const picture = toPicture(output, candidate.output, golden.width, golden.height);
  course.shown(picture);
  return compare(picture, golden);
}

type Bare = Omit<Measured, keyof Samples | "clock_step_ms" | "parity">;

function rowOf(candidate: Candidate, opened: Answers["open"], firstMs: number, found: Answers["facts"]): Bare {
  return {
    outcome: "measured",
    key: candidate.key,
    runtime_versions: found.runtime_versions,
    unit_ran: found.unit_ran,
    threads: found.threads,
    init_ms: opened.init_ms,
    first_inference_ms: firstMs,
    heap_mib: found.heap_mib,
    emulated: opened.emulated,
    operators_per_unit: found.operators_per_unit,
    facts: { ...found.facts, library_ms: Math.round(opened.library_ms), hidden: document.hidden },
  };
}
