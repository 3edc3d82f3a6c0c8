/** The output pictures of a system, each with a button to save it. */

import { made } from "./dom";
import { drawLevels, offerFile, pngOf } from "./picture_io";
import type { ProgramOutput } from "./program";
import type { Levels } from "./values";

interface Pane {
  name: string;
  figure: HTMLElement;
  canvas: HTMLCanvasElement;
  levels: Levels | null;
}

export class OutputView {
  private readonly panes: Pane[];

  constructor(box: HTMLElement, outputs: readonly ProgramOutput[]) {
    this.panes = outputs.map(({ name }) => {
      const [figure, canvas, caption, save] = [made("figure", "", "pane"), made("canvas", "", "checker"), made("figcaption"), made("button", `Save ${name} as PNG`)];
      const pane: Pane = { name, figure, canvas, levels: null };
      figure.hidden = true;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", name);
      save.type = "button";
      save.addEventListener("click", () => pane.levels && offerFile(`${name}.png`, pngOf(pane.levels)));
      caption.append(made("span", name), save);
      figure.append(canvas, caption);
      box.append(figure);
      return pane;
    });
  }

  /** In the order of the outputs. */
  show(pictures: readonly Levels[]): void {
    pictures.forEach((levels, i) => {
      const pane = this.panes[i]!;
      pane.levels = levels;
      pane.figure.hidden = false;
      pane.figure.style.maxWidth = `${Math.max(256, 2 * levels.width)}px`; // small pictures are not blown up
      drawLevels(levels, pane.canvas);
    });
  }

  clear(): void {
    for (const pane of this.panes) {
      pane.levels = null;
      pane.figure.hidden = true;
    }
  }
}
