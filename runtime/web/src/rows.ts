/** The table: one row per candidate, filled as it runs. */

import { made } from "./dom";
import { percentile } from "./stats";
import type { Candidate, Measured, Ratio, StoredRow } from "./wire";

const COLUMNS = ["Runtime", "Ran on", "Golden picture", "Median ms", "p5–p95 ms", "First ms", "Load ms", "State"] as const;
type Column = (typeof COLUMNS)[number];
const NUMBERS: readonly Column[] = ["Median ms", "p5–p95 ms", "First ms", "Load ms"];

export const BACKENDS = { wasm: "WASM", webgpu: "WebGPU", webnn: "WebNN" } as const;

const ms = (value: number): string => (value < 10 ? value.toFixed(2) : value < 1000 ? value.toFixed(1) : value.toFixed(0));

export class Rows {
  private readonly lines = new Map<string, HTMLTableRowElement>();

  constructor(
    private readonly body: HTMLTableSectionElement,
    private readonly candidates: readonly Candidate[],
  ) {
    for (const candidate of candidates) this.lines.set(candidate.key, this.line(candidate));
  }

  private line(candidate: Candidate): HTMLTableRowElement {
    const line = this.body.insertRow();
    const head = made("th");
    head.scope = "row";
    head.append(made("code", candidate.artifact));
    line.append(head);
    for (const column of COLUMNS) {
      const cell = line.insertCell();
      cell.dataset.label = column;
      cell.className = NUMBERS.includes(column) ? "number blank" : "blank";
    }
    this.fill(line, "Runtime", candidate.runner);
    this.fill(line, "Ran on", `${candidate.unit}, ${BACKENDS[candidate.backend]}`, "muted");
    this.fill(line, "State", "not run yet", "muted");
    return line;
  }

  private fill(line: HTMLTableRowElement, column: Column, text: string, tone = "", more = ""): void {
    const cell = line.cells[1 + COLUMNS.indexOf(column)]!;
    const kind = NUMBERS.includes(column) ? "number" : column === "State" && text.length + more.length > 40 ? "long" : "";
    cell.className = [kind, text ? "" : "blank"].filter(Boolean).join(" ");
    const words = made("span", text, tone);
    if (more) words.append(made("small", more));
    cell.replaceChildren(words);
  }

  /** Show the current stage of a candidate. */
  say(key: string, text: string, tone = "muted"): void {
    this.fill(this.lines.get(key)!, "State", text, tone);
  }

  /** Mark the candidates that run. */
  mark(keys: readonly string[]): void {
    for (const [name, line] of this.lines) line.classList.toggle("now", keys.includes(name));
  }

  show(candidate: Candidate, row: StoredRow): void {
    const line = this.lines.get(candidate.key);
    if (!line) return;
    if (row.outcome === "skipped") this.fill(line, "State", "skipped", "bad", row.reason);
    else this.showMeasured(line, candidate, row);
  }

  /** A file's time relative to its baseline's, with its interval. */
  private relation(ratio: Ratio | null | undefined): string {
    const baseline = this.candidates.find((candidate) => candidate.key === ratio?.baseline);
    if (!ratio || !baseline) return "";
    const [value, low, high] = [ratio.value, ratio.low, ratio.high].map((number) => number.toFixed(2));
    const sameTarget = `${baseline.artifact.split("/")[0]}/`;
    return `${value} (${low}–${high}) of ${baseline.artifact.slice(sameTarget.length)}`;
  }

  private showMeasured(line: HTMLTableRowElement, candidate: Candidate, row: Extract<StoredRow, Measured>): void {
    const asked = row.unit_ran === candidate.unit;
    const on = `${row.unit_ran}, ${BACKENDS[candidate.backend]}`;
    const threads = candidate.backend === "wasm" ? `${row.threads} thread${row.threads > 1 ? "s" : ""}` : "";
    this.fill(line, "Ran on", on, asked ? "" : "bad", asked ? threads : `${candidate.unit} was requested`);
    if (row.parity) this.fill(line, "Golden picture", verdict(row), tone(row.passed), figures(row));
    if (!row.samples_ms.length) {
      this.fill(line, "State", "emulated", "muted", `${row.emulated ?? "the unit"}: its times are not latency`);
      return;
    }
    this.fill(line, "First ms", ms(row.first_inference_ms));
    this.fill(line, "Load ms", ms(row.init_ms));
    this.fill(line, "Median ms", ms(percentile(row.samples_ms, 50)), "", this.relation(row.ratio));
    this.fill(line, "p5–p95 ms", `${ms(percentile(row.samples_ms, 5))}–${ms(percentile(row.samples_ms, 95))}`);
    const hidden = row.facts.hidden ? "the page was in the background: not comparable" : "";
    this.fill(line, "State", "measured", hidden ? "bad" : "good", hidden || `${row.samples_ms.length} samples`);
  }
}

const verdict = (row: StoredRow): string => (row.passed === null ? "not judged" : row.passed ? "✓ passed" : "✗ failed");
const tone = (passed: boolean | null): string => (passed === null ? "muted" : passed ? "good" : "bad");

function figures(row: StoredRow & Measured): string {
  const { parity } = row;
  if (!parity) return "";
  const psnr = parity.psnr_db === null ? "equal" : `${parity.psnr_db.toFixed(1)} dB`;
  return [`${psnr}, max ${parity.max_abs} of 255`, ...row.failures].join("; ");
}
