/** The part of the page that checks and measures. */

import type { DeviceFacts } from "./device";
import { Bar, by, made } from "./dom";
import type { Conditions } from "./entrant";
import { Run } from "./measure";
import { goldenPicture, offerFile } from "./picture_io";
import type { Picture } from "./pixels";
import type { Course } from "./race";
import { BACKENDS, Rows } from "./rows";
import { sendOutput, sendRow, sendRun } from "./server";
import { Stopped } from "./session";
import { budgetMib } from "./turns";
import type { Backend, Candidate, Offer, StoredRow } from "./wire";

export class MeasureView {
  private readonly rows: Rows;
  private readonly bar = new Bar(by("progress"), by<HTMLProgressElement>("bar"), by("stage"));
  private readonly goldens = new Map<string, Promise<Picture>>();
  private readonly found: Record<string, StoredRow>;
  private run: Run | null = null;

  constructor(
    private readonly offer: Offer,
    private readonly device: DeviceFacts,
    private readonly shown: (picture: Picture, before: Picture) => void,
  ) {
    this.found = { ...offer.done };
    const here = offer.candidates.filter((c) => c.key in this.found || !this.obstacle(c.backend));
    this.rows = new Rows(by<HTMLTableElement>("rows").tBodies[0]!, here);
    this.listBackends();
    this.listThreads();
    for (const candidate of here) {
      const row = this.found[candidate.key];
      if (row) this.rows.show(candidate, row);
    }
    this.leftOut();
    this.describe();
    this.showRecord();
    by("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.measure();
    });
    by("stop").addEventListener("click", () => this.run?.stop());
    by("copy").addEventListener("click", () => void this.copy());
    by("save").addEventListener("click", () => offerFile("clearport-record.json", new Blob([this.record()])));
  }

  /** The reason that a backend cannot be used on this device; empty if it can. */
  private obstacle(backend: Backend): string {
    if (backend === "webgpu" && !this.device.webgpu) return this.device.missing.webgpu ?? "no WebGPU here";
    if (backend === "webnn" && !this.device.webnn) return this.device.missing.webnn ?? "no WebNN here";
    return "";
  }

  private listBackends(): void {
    const used = new Set(this.offer.candidates.map((candidate) => candidate.backend));
    for (const backend of ["wasm", "webgpu", "webnn"] as const) {
      if (!used.has(backend)) continue;
      const box = made("input");
      Object.assign(box, { type: "checkbox", name: "backend", value: backend });
      box.disabled = Boolean(this.obstacle(backend));
      box.checked = !box.disabled;
      const unit = this.offer.candidates.find((candidate) => candidate.backend === backend)!.unit.toUpperCase();
      const label = made("label");
      label.append(box, ` ${unit} (${BACKENDS[backend]})`);
      by("backends").append(label);
    }
  }

  private listThreads(): void {
    const select = by<HTMLSelectElement>("threads");
    const most = this.device.wasm_threads ? Math.min(16, this.device.cores) : 1;
    for (let n = 1; n <= most; n++) select.add(new Option(String(n)));
    select.value = String(Math.min(most, this.offer.plan.threads));
    select.disabled = most === 1;
  }

  /** Candidates missing in the table, with reasons. */
  private leftOut(): void {
    const list = by("left-out").querySelector("ul")!;
    for (const backend of ["webgpu", "webnn"] as const) {
      const missing = this.obstacle(backend);
      const count = this.offer.candidates.filter((c) => c.backend === backend && !(c.key in this.found)).length;
      if (missing && count) list.append(made("li", `${count} files on ${BACKENDS[backend]}: ${missing}`));
    }
    for (const { what, reason } of this.offer.left_out) list.append(made("li", `${what}: ${reason}`));
    by("left-out").hidden = !list.childElementCount;
  }

  private describe(): void {
    const step = this.device.clock_step_ms;
    by("protocol").textContent =
      `Wall-clock time within a worker, including copies of input and output. The clock of this browser has steps of ` +
      `${step < 0.1 ? `${(step * 1000).toFixed(0)} µs` : `${step.toFixed(2)} ms`}; if an inference is shorter than ` +
      `20 of them, a sample is the mean of several. Load excludes the runtime's library. A few files ` +
      `are loaded at a time and take turns: what they take of another's time is the median over the rounds, with its ` +
      `95 % interval.`;
  }

  /** The candidates to run now: on the chosen backends, and without a row yet. */
  private wanted(): Candidate[] {
    const boxes = document.querySelectorAll<HTMLInputElement>("[name=backend]:checked");
    const chosen = new Set([...boxes].map((box) => box.value));
    const again = by<HTMLInputElement>("again").checked;
    const fitting = this.offer.candidates.filter((c) => chosen.has(c.backend) && !this.obstacle(c.backend));
    return fitting.filter((c) => again || !this.isDone(c));
  }

  private isDone(candidate: Candidate): boolean {
    const row = this.found[candidate.key];
    return row?.outcome === "measured" && row.threads === (candidate.backend === "wasm" ? this.threads() : 1);
  }

  private threads(): number {
    return Number(by<HTMLSelectElement>("threads").value);
  }

  async measure(): Promise<void> {
    if (this.run) return;
    const wanted = this.wanted();
    if (!wanted.length) return this.bar.end("Everything selected is measured; tick 'measure again' to repeat it.");
    const run = new Run();
    this.run = run;
    this.busy(true);
    const lock = await keepAwake();
    const began = performance.now();
    const done = new Set<string>();
    try {
      await sendRun("begins", wanted.length);
      const conditions = await this.conditions();
      await run.measure(wanted, this.offer.candidates, conditions, this.course(wanted, done, conditions));
      await sendRun("ends", wanted.length);
      this.bar.end(`Done: ${wanted.length} rows in ${((performance.now() - began) / 1000).toFixed(0)} s.`);
    } catch (error) {
      const words = error instanceof Stopped ? "Stopped; 'Measure' continues with the missing rows." : String(error);
      this.bar.end(words);
      for (const candidate of wanted) if (!done.has(candidate.key)) this.takeBack(candidate);
      if (error instanceof Stopped) await sendRun("ends", 0).catch(() => undefined);
    } finally {
      this.rows.mark([]);
      this.run = null;
      this.busy(false);
      await lock?.release();
    }
  }

  private async conditions(): Promise<Conditions> {
    const { golden_input: input, plan } = this.offer;
    return {
      plan,
      threads: this.threads(),
      clockStepMs: this.device.clock_step_ms,
      budgetMib: budgetMib(this.device.memory_gib),
      picture: input === null ? null : await this.golden(input),
      golden: (name) => this.golden(name),
    };
  }

  private golden(path: string): Promise<Picture> {
    const found = this.goldens.get(path) ?? goldenPicture(path);
    this.goldens.set(path, found);
    return found;
  }

  /** Restore the line of a candidate after a run without a row for it. */
  private takeBack(candidate: Candidate): void {
    const before = this.found[candidate.key];
    if (before) this.rows.show(candidate, before);
    else this.rows.say(candidate.key, "");
  }

  /** Callbacks that show progress while `wanted` are measured, and send rows; `done` collects the keys of finished ones. */
  private course(wanted: readonly Candidate[], done: Set<string>, conditions: Conditions): Course {
    return {
      told: (candidates, stage, partShare) => {
        const [only] = candidates;
        const where = candidates.length === 1 ? `${only!.artifact}, ${only!.runner} on ${BACKENDS[only!.backend]}: ` : "";
        const turns = candidates.length > 1 ? `${candidates.length} files interleaved: ` : "";
        const all = wanted.length;
        const share = (done.size + partShare * (candidates.length || 1)) / all;
        this.bar.show(`${done.size} of ${all} done; ${where}${turns}${stage}`, share);
        this.rows.mark(candidates.map((candidate) => candidate.key));
        for (const { key } of candidates) this.rows.say(key, stage);
      },
      shown: (picture) => conditions.picture && this.shown(picture, conditions.picture),
      gave: (of, output) => sendOutput(of.output_url!, new Uint8Array(output.buffer as ArrayBuffer)),
      row: async (candidate, row) => {
        const kept = await sendRow(row);
        done.add(candidate.key);
        this.found[candidate.key] = kept;
        this.rows.show(candidate, kept);
        this.showRecord();
      },
    };
  }

  private busy(is: boolean): void {
    by<HTMLButtonElement>("start").disabled = is;
    by("stop").hidden = !is;
  }

  private record(): string {
    return JSON.stringify({ title: this.offer.title, device: this.device, rows: this.found }, null, 2);
  }

  private showRecord(): void {
    by("json").textContent = this.record();
  }

  private async copy(): Promise<void> {
    const said = by("copied");
    try {
      await navigator.clipboard.writeText(this.record());
      said.textContent = "Copied.";
    } catch {
      getSelection()?.selectAllChildren(by("json"));
      said.textContent = "This browser does not allow copying here: the text is selected, copy it manually.";
    }
  }
}

/** Phones dim and slow down after half a minute without a touch. */
async function keepAwake(): Promise<WakeLockSentinel | null> {
  return (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
}
