/** Interleaved measurement of loaded candidates: other load on the device then affects all of them alike. */

import { type Conditions, Entrant } from "./entrant";
import type { Picture, Values } from "./pixels";
import { type Session, Stopped, TimedOut } from "./session";
import { order, type Party } from "./turns";
import type { Candidate, Row } from "./wire";

/** Maximum samples per row that the server accepts. */
const MOST_SAMPLES = 5000;
const LOADING = 0.3;

export interface Course {
  /** Called with the stage of candidates, and the progress of their group (0..1). */
  told(candidates: readonly Candidate[], stage: string, share: number): void;
  /** Called with the output picture. */
  shown(picture: Picture): void;
  /** Called with the raw output, if requested. */
  gave(candidate: Candidate, output: Values): Promise<void>;
  /** Called with each row. */
  row(candidate: Candidate, row: Row): Promise<void>;
}

/** One group of candidates, from files to rows. */
export class Race {
  /** Candidates of the group still to be measured, since memory was short or they failed beside others. */
  readonly left: Candidate[] = [];
  /** Keys of failed candidates, beside others or alone. */
  readonly failed = new Set<string>();
  private entrants: Entrant[] = [];

  constructor(
    private readonly party: Party<Candidate>,
    private readonly conditions: Conditions,
    private readonly course: Course,
    private readonly sessionOf: (candidate: Candidate) => Session,
  ) {}

  /** Load all, measure them interleaved, and return their rows: a failed one is a row with its reason. */
  async run(): Promise<void> {
    try {
      for (const candidate of this.party.company) await this.enter(candidate, true);
      for (const candidate of this.party.members) {
        if (this.hasRoom()) await this.enter(candidate, false);
        else this.left.push(candidate);
      }
      await this.takeTurns();
      for (const entrant of this.entrants) await this.finish(entrant);
    } finally {
      for (const entrant of this.entrants) entrant.close();
    }
  }

  /** Whether one more may be loaded; the first one, alone or with its baseline, always may. */
  private hasRoom(): boolean {
    const taken = this.entrants.reduce((sum, entrant) => sum + entrant.heapMib, 0);
    return taken < this.conditions.budgetMib || this.entrants.every((entrant) => entrant.company);
  }

  private async enter(candidate: Candidate, company: boolean): Promise<void> {
    const entrant = new Entrant(candidate, company, this.sessionOf(candidate), this.conditions);
    try {
      const output = await entrant.load((stage) => this.tellLoading(entrant, stage));
      if (!company) await this.present(entrant, output);
      if (!entrant.emulated) await entrant.warmUp();
      this.tellLoading(entrant, "loaded");
    } catch (error) {
      return this.lose(entrant, error);
    }
    if (!entrant.emulated) this.entrants.push(entrant);
    else await this.finish(entrant); // it has no latency, so it is not timed
  }

  private tellLoading(entrant: Entrant, stage: string): void {
    const { company, members } = this.party;
    const share = (LOADING * this.entrants.length) / (company.length + members.length);
    if (entrant.company) this.course.told([], `${entrant.candidate.artifact} again, as baseline: ${stage}`, share);
    else this.course.told([entrant.candidate], stage, share);
  }

  private async present(entrant: Entrant, output: Values): Promise<void> {
    if (entrant.candidate.output_url !== null) await this.course.gave(entrant.candidate, output);
    const picture = await entrant.judge(output);
    if (picture) this.course.shown(picture);
  }

  private async takeTurns(): Promise<void> {
    const { plan } = this.conditions;
    const began = performance.now();
    for (let done = 0; !this.isEnough(done, performance.now() - began); done++) {
      const members = this.entrants.filter((entrant) => !entrant.company);
      const rounds = Math.max(plan.rounds, done + 1);
      const share = LOADING + ((1 - LOADING) * done) / rounds;
      this.course.told(members.map((entrant) => entrant.candidate), `round ${done + 1} of ${rounds}`, share);
      for (const entrant of order(this.entrants, done)) {
        await entrant.turn().catch((error: unknown) => this.lose(entrant, error));
      }
    }
  }

  private isEnough(done: number, elapsedMs: number): boolean {
    const { plan } = this.conditions;
    if (this.entrants.every((entrant) => entrant.company) || (done + 1) * plan.runs > MOST_SAMPLES) return true;
    if (elapsedMs > plan.max_seconds * 1000 * this.entrants.length && done >= plan.least_rounds) return true;
    const leastMs = Math.min(...this.entrants.map((entrant) => entrant.spentMs()));
    return done >= plan.rounds && leastMs >= plan.min_seconds * 1000;
  }

  private async finish(entrant: Entrant): Promise<void> {
    if (entrant.company) return entrant.close();
    const reference = this.entrants.find((other) => other.candidate.key === entrant.candidate.baseline);
    const row = await entrant.row(reference).catch((error: unknown) => failure(entrant.candidate, error));
    entrant.close();
    await this.course.row(entrant.candidate, row);
  }

  /** Remove a failed candidate. If others are loaded, it may only have lacked memory: it is tried again alone. */
  private async lose(entrant: Entrant, error: unknown): Promise<void> {
    const { candidate } = entrant;
    entrant.close();
    const row = failure(candidate, error);
    const others = this.entrants.filter((other) => other !== entrant);
    this.entrants = others;
    this.failed.add(candidate.key);
    if (entrant.company) return;
    if (others.length && !(error instanceof TimedOut)) {
      this.course.told([candidate], "failed beside others: once more alone, later", LOADING);
      this.left.push(candidate);
    } else {
      await this.course.row(candidate, row);
    }
  }
}

/** The row of a failed candidate; none if it was stopped. */
function failure(candidate: Candidate, error: unknown): Row {
  if (error instanceof Stopped) throw error;
  const reason = error instanceof Error ? error.message : String(error);
  return { outcome: "skipped", key: candidate.key, reason: reason.slice(0, 1500) || "it failed without a message" };
}
