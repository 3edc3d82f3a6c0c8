/** The outputs of a system: pictures to look at, arrays, and a button to save each. */

import { made } from "./dom";
import { npyOf } from "./npy";
import { drawLevels, offerFile, pngOf } from "./picture_io";
import { type ProgramOutput, type Tensors, told } from "./program";
import { toLevels } from "./values";

interface Pane {
  output: ProgramOutput;
  figure: HTMLElement;
  /** Where a picture is drawn; an array is told in words. */
  canvas: HTMLCanvasElement | null;
  words: HTMLElement;
  saved: Blob | null;
}

export class OutputView {
  private readonly panes: Pane[];

  constructor(box: HTMLElement, outputs: readonly ProgramOutput[]) {
    this.panes = outputs.map((output) => {
      const { name, kind } = output;
      const [figure, canvas, caption, words] = [made("figure", "", "pane"), made("canvas", "", "checker"), made("figcaption"), made("span", name)];
      const save = made("button", `Save ${name} as ${kind === "picture" ? "PNG" : "NPY"}`);
      const pane: Pane = { output, figure, canvas: kind === "picture" ? canvas : null, words, saved: null };
      figure.hidden = true;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", name);
      save.type = "button";
      save.addEventListener("click", () => pane.saved && offerFile(`${name}.${kind === "picture" ? "png" : "npy"}`, pane.saved));
      caption.append(words, save);
      if (pane.canvas) figure.append(canvas);
      figure.append(caption);
      box.append(figure);
      return pane;
    });
  }

  /** By the names of the outputs; throws where one is not what the program says. */
  show(found: Tensors): void {
    for (const pane of this.panes) {
      const { name, low, high } = pane.output;
      const value = found[name]!;
      if (pane.canvas) {
        const levels = toLevels(value, name, low, high);
        pane.saved = pngOf(levels);
        pane.figure.style.maxWidth = `${Math.max(256, 2 * levels.width)}px`; // small pictures are not blown up
        drawLevels(levels, pane.canvas);
      } else {
        if (!value.data.every(Number.isFinite)) throw new Error(`output '${name}' holds numbers that are not finite`);
        pane.saved = npyOf(value);
        pane.words.textContent = `${name}: an array of the shape ${told(value.shape)}`;
      }
      pane.figure.hidden = false;
    }
  }

  clear(): void {
    for (const pane of this.panes) {
      pane.saved = null;
      pane.figure.hidden = true;
    }
  }
}
