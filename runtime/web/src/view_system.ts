/** The part of the page that runs a system, several networks and their program, on the visitor's inputs. */

import type { DeviceFacts } from "./device";
import { Bar, by, made } from "./dom";
import { choices, execute } from "./interpreter";
import { Noise } from "./noise";
import { judged } from "./parity_outputs";
import { OpenParts } from "./parts";
import type { Tensors } from "./program";
import { BACKENDS } from "./rows";
import { readTensors } from "./safetensors";
import { download } from "./server";
import { Stopped } from "./session";
import { InputView } from "./view_inputs";
import { OutputView } from "./view_outputs";
import type { Offer, SystemOffer, Way } from "./wire";

const MOST_SEED = 2 ** 32;
const PRECISIONS = ["int8", "int8-weights", "fp16", "int8a16", "fp32"];

export class SystemView {
  private readonly bar = new Bar(by("system-progress"), by<HTMLProgressElement>("system-bar"), by("system-stage"));
  private readonly select = by<HTMLSelectElement>("way");
  private readonly seed = by<HTMLInputElement>("seed");
  private readonly system: SystemOffer;
  private readonly ways: Way[];
  private readonly inputs: InputView;
  private readonly outputs: OutputView;
  private readonly settings = new Map<string, HTMLInputElement>();
  private opened: OpenParts | null = null;
  private running = false;
  /** Marks changed while the program ran: it runs again with the new ones. */
  private again = false;

  constructor(
    private readonly offer: Offer,
    private readonly device: DeviceFacts,
  ) {
    this.system = offer.system!;
    this.ways = this.system.ways.filter((way) => way.backend === "wasm" || device[way.backend]);
    for (const way of this.ways) this.select.add(new Option(`${way.artifact}, ${way.runner} on ${BACKENDS[way.backend]}`, way.key));
    const first = smallest(this.ways);
    if (first) this.select.value = first.key;
    this.outputs = new OutputView(by("outputs"), this.system.program.outputs);
    const { program, most_pixels } = this.system;
    this.inputs = new InputView(program.inputs, most_pixels, (work) => this.read(work), () => void this.changed());
    this.build();
  }

  /** Show the controls that the program's settings need. */
  private build(): void {
    const { settings } = this.system.program;
    by("system-notice").textContent = this.system.notice;
    by("system-notice").hidden = !this.system.notice;
    for (const [name, setting] of Object.entries(settings)) {
      const label = made("label", `${name} `);
      const field = Object.assign(made("input"), { type: "number", min: String(setting.low), max: String(setting.high), value: String(setting.default) });
      label.title = setting.about;
      label.append(field);
      by("settings").append(label);
      this.settings.set(name, field);
      field.addEventListener("change", () => void this.changed());
    }
    for (const { what, reason } of this.offer.left_out) by("system-left-out-list").append(made("li", `${what}: ${reason}`));
    by("system-left-out").hidden = !this.offer.left_out.length;
    by("system-controls").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.run();
    });
    by("another").addEventListener("click", () => {
      this.seed.value = String((Number(this.seed.value) + 1) % MOST_SEED);
      void this.run();
    });
    this.select.addEventListener("change", () => this.stop());
    by("system-stop").addEventListener("click", () => this.stop());
    by("undo").addEventListener("click", () => this.inputs.clicks.undo());
    by("clear").addEventListener("click", () => this.inputs.clicks.clear());
    by("system-check").addEventListener("click", () => void this.check());
    this.refresh();
  }

  private get ready(): boolean {
    return this.ways.length > 0 && this.inputs.ready;
  }

  /** Whether it runs by itself as soon as everything is there; noise is drawn when it is asked for. */
  private get live(): boolean {
    return this.system.program.inputs.some(({ kind }) => kind === "picture");
  }

  private refresh(): void {
    by<HTMLButtonElement>("system-run").disabled = by<HTMLButtonElement>("another").disabled = !this.ready || this.running;
    by<HTMLButtonElement>("system-check").disabled = !this.ways.length || this.running;
    by<HTMLButtonElement>("undo").disabled = by<HTMLButtonElement>("clear").disabled = this.inputs.clicks.count === 0;
    by("system-stop").hidden = !this.running;
    if (!this.ways.length) this.bar.end("No files of this system run in this browser.");
  }

  /** Read a file of the visitor's; the program runs where nothing more is wanted. */
  private async read(work: () => Promise<void>): Promise<void> {
    try {
      this.bar.show("reading the file", 0);
      await work();
      this.outputs.clear();
      this.bar.end(this.inputs.ready ? "" : this.inputs.takesPoints ? "Now click on the foreground." : "Another input is missing.");
    } catch (error) {
      this.bar.end(`That did not work: ${words(error)}`);
    }
    this.refresh();
    await this.changed();
  }

  /** Marks, files or settings are others now: what was drawn is drawn anew. */
  private async changed(): Promise<void> {
    this.refresh();
    if (this.running) this.again = true;
    else if (this.ready && this.live) await this.run();
    else if (!this.ready) this.outputs.clear();
  }

  /** Stop the current run, and release the files. */
  private stop(): void {
    this.again = false;
    this.opened?.close();
    this.opened = null;
  }

  private async run(): Promise<void> {
    await this.busy(async () => {
      do {
        this.again = false;
        const settings = Object.fromEntries([...this.settings].map(([name, field]) => [name, field.valueAsNumber]));
        choices(this.system.program, settings);
        const parts = await this.parts();
        const began = performance.now();
        this.outputs.show(await this.execute(parts, this.given(), settings));
        this.bar.end(`Done in ${seconds(performance.now() - began)}: ${timesTold(parts)}.`);
        by("system-note").textContent = `Made here, and sent nowhere. ${this.inputs.remark}`.trim();
      } while (this.again && this.ready);
    });
    if (!this.ready) this.outputs.clear();
  }

  /** Run the proof's inputs, and compare the outputs with the proof's. */
  private async check(): Promise<void> {
    const list = by("checks");
    list.replaceChildren();
    await this.busy(async () => {
      const golden = readTensors(await download(this.system.golden));
      const parts = await this.parts();
      const inputs = Object.fromEntries(this.system.program.inputs.flatMap(({ name }) => (golden[`input.${name}`] ? [[name, golden[`input.${name}`]!]] : [])));
      const found = await this.execute(parts, inputs, {});
      for (const output of this.system.program.outputs) {
        const { name } = output;
        const { wrong, said } = judged(output, found[name]!, golden[`output.${name}`]!, parts.way.limits[name]!);
        const verdict = wrong.length ? `failed: ${wrong.join("; ")}` : "passed";
        const item = made("li");
        item.dataset.passed = String(!wrong.length);
        item.append(made("strong", `${name} of ${parts.way.key}: ${verdict}`, wrong.length ? "bad" : "good"), `; ${said}.`);
        list.append(item);
      }
      this.bar.end(`Checked: ${timesTold(parts)}.`);
    });
  }

  /** One run at a time; errors are shown. */
  private async busy(work: () => Promise<void>): Promise<void> {
    if (this.running) return;
    this.running = true;
    this.refresh();
    try {
      await work();
    } catch (error) {
      this.bar.end(error instanceof Stopped ? "Stopped." : `That did not work: ${words(error)}`);
      this.stop();
    } finally {
      this.running = false;
      this.refresh();
    }
  }

  private async execute(parts: OpenParts, inputs: Tensors, settings: Record<string, number>): Promise<Tensors> {
    parts.begin();
    const began = performance.now();
    this.bar.show("running", 0);
    return execute(this.system.program, parts.call, inputs, settings, (done, total) =>
      this.bar.show(`${done} of ${total} rounds, ${seconds(performance.now() - began)}`, done / total),
    );
  }

  /** The files of the selected configuration, loaded. */
  private async parts(): Promise<OpenParts> {
    const way = this.ways.find(({ key }) => key === this.select.value)!;
    if (this.opened?.way !== way) {
      this.stop();
      const fresh = new OpenParts(way, this.offer.plan.timeout_s);
      this.opened = fresh;
      this.bar.show("loading the networks", 0);
      await fresh.open(this.device.wasm_threads ? Math.min(4, this.device.cores) : 1);
    }
    return this.opened;
  }

  private given(): Tensors {
    const seed = this.seed.valueAsNumber;
    if (!Number.isInteger(seed) || seed < 0 || seed >= MOST_SEED) throw new Error(`the seed must be an integer from 0 to ${MOST_SEED - 1}`);
    return this.inputs.tensors(new Noise(seed));
  }
}

/** The default of `clearport run`: the smallest precision in which the whole is proven, on the CPU, preferably TFLite. */
function smallest(ways: readonly Way[]): Way | undefined {
  const rank = ({ artifact, backend }: Way): number => {
    const [target, precision] = artifact.split("/") as [string, string];
    return 4 * PRECISIONS.indexOf(precision) + (backend === "wasm" ? 0 : 2) + (target === "tflite" ? 0 : 1);
  };
  return [...ways].sort((a, b) => rank(a) - rank(b))[0];
}

function timesTold({ times }: OpenParts): string {
  return Object.entries(times)
    .map(([name, { calls, ms }]) => `part ${name} ${calls === 1 ? "once" : `${calls} times`}, ${seconds(ms)}`)
    .join("; ");
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 1000 ? 2 : 1)} s`;

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));
