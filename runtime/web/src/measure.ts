/** Measures all candidates, one group after the other. */

import type { Conditions } from "./entrant";
import { type Course, Race } from "./race";
import { Session } from "./session";
import { nextParty } from "./turns";
import type { Candidate } from "./wire";

/** A run that can be stopped. */
export class Run {
  private readonly sessions: Session[] = [];
  private stopped = false;

  stop(): void {
    this.stopped = true;
    for (const session of this.sessions) session.close();
  }

  /** The rows of `wanted`; others of `offered` are loaded as baselines. Throws `Stopped` when stopped. */
  async measure(
    wanted: readonly Candidate[],
    offered: readonly Candidate[],
    conditions: Conditions,
    course: Course,
  ): Promise<void> {
    const failed = new Set<string>();
    let waiting = [...wanted];
    while (waiting.length) {
      const party = nextParty(waiting, offered, conditions.plan.at_once, failed);
      const race = new Race(party, conditions, course, (candidate) => this.session(candidate, conditions));
      await race.run();
      for (const key of race.failed) failed.add(key);
      waiting = waiting.filter((one) => !party.members.includes(one) || race.left.includes(one));
    }
  }

  private session(candidate: Candidate, conditions: Conditions): Session {
    const session = new Session(candidate.runner, conditions.plan.timeout_s);
    this.sessions.push(session);
    if (this.stopped) session.close();
    return session;
  }
}
