/** What a visitor gives a system: photos, marks on the first one, and arrays. */

import { by, made } from "./dom";
import type { Noise } from "./noise";
import { readNpy } from "./npy";
import { draw, type Photo, readPhoto } from "./picture_io";
import { count, type ProgramInput, type Tensor, type Tensors } from "./program";
import { fromPicture } from "./values";
import { ClickView } from "./view_clicks";

export class InputView {
  readonly clicks: ClickView;
  private readonly photos = new Map<string, Photo>();
  private readonly arrays = new Map<string, Tensor>();
  private readonly pictures: ProgramInput[];

  /** `reading` is handed the work of reading a file; `marked` hears of changed marks. */
  constructor(
    private readonly inputs: readonly ProgramInput[],
    private readonly mostPixels: number,
    private readonly reading: (work: () => Promise<void>) => Promise<void>,
    marked: () => void,
  ) {
    this.pictures = inputs.filter(({ kind }) => kind === "picture");
    const wanted = by<HTMLInputElement>("mark-wanted");
    this.clicks = new ClickView(by<HTMLCanvasElement>("given"), () => wanted.checked, marked);
    by("seed-label").hidden = by("another").hidden = !this.takes("noise");
    by("system-file-label").hidden = !this.pictures.length;
    by("given-pane").hidden = true;
    this.pictures.forEach((input, number) => (number ? this.addPicture(input) : this.firstPicture(input)));
    for (const input of inputs.filter(({ kind }) => kind === "values")) this.addArray(input);
  }

  /** Whether all is there that the program cannot do without. */
  get ready(): boolean {
    const missing = this.inputs.some(
      ({ name, kind, default: number }) =>
        (kind === "picture" && !this.photos.has(name)) || (kind === "values" && number === null && !this.arrays.has(name)),
    );
    return !missing && (!this.takesPoints || this.clicks.count > 0);
  }

  get takesPoints(): boolean {
    return this.takes("points");
  }

  /** What was done to the photos, for people. */
  get remark(): string {
    return [...this.photos.values()].map(({ remark }) => remark).filter(Boolean).join(" ");
  }

  tensors(noise: Noise): Tensors {
    const found: Tensors = {};
    for (const { name, kind, shape, low, high } of this.inputs) {
      if (kind === "picture") found[name] = fromPicture(this.photos.get(name)!.picture, low, high);
      else if (kind === "points") found[name] = this.clicks.points();
      else if (kind === "noise") found[name] = { shape: shape.map(Number), data: noise.normal(count(shape.map(Number))) };
      else if (this.arrays.has(name)) found[name] = this.arrays.get(name)!;
    }
    return found;
  }

  private takes(wanted: ProgramInput["kind"]): boolean {
    return this.inputs.some(({ kind }) => kind === wanted);
  }

  /** The picture that is marked, where any is. */
  private firstPicture(input: ProgramInput): void {
    const several = this.pictures.length > 1;
    const file = by<HTMLInputElement>("system-file");
    if (several) {
      by("system-file-words").textContent = `Open ${input.name}`;
      by("given-name").textContent = input.name;
    }
    by("system-file-label").title = input.about;
    this.onFile(file, async (chosen) => {
      const photo = await this.read(input.name, chosen);
      by("given-pane").hidden = false;
      by("marks").hidden = !this.takesPoints;
      this.clicks.set(photo.picture);
    });
  }

  private addPicture(input: ProgramInput): void {
    const [pane, canvas, caption] = [made("figure", "", "pane"), made("canvas"), made("figcaption")];
    pane.hidden = true;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${input.name}, as given`);
    caption.append(made("span", input.name));
    pane.append(canvas, caption);
    by("outputs").before(pane);
    this.onFile(this.addFile(`Open ${input.name}`, input, "image/*"), async (chosen) => {
      const photo = await this.read(input.name, chosen);
      pane.hidden = false;
      draw(photo.picture, canvas);
    });
  }

  private addArray(input: ProgramInput): void {
    const words = `Open ${input.name} (.npy)`;
    const file = this.addFile(words, input, ".npy");
    const label = file.parentElement!.firstElementChild!;
    this.onFile(file, async (chosen) => {
      const array = readNpy(new Uint8Array(await chosen.arrayBuffer()));
      const fits = array.shape.length === input.shape.length && input.shape.every((axis, i) => typeof axis === "string" || axis === array.shape[i]);
      if (!fits) throw new Error(`${input.name} has the shape ${input.shape.join("x")}; ${chosen.name}: ${array.shape.join("x")}`);
      this.arrays.set(input.name, array);
      label.textContent = `${input.name}: ${chosen.name}`;
    });
  }

  private addFile(words: string, input: ProgramInput, accept: string): HTMLInputElement {
    const [label, file] = [made("label", "", "button"), made("input", "", "hidden")];
    Object.assign(file, { type: "file", accept, id: `system-file-${input.name}` });
    label.htmlFor = file.id;
    label.title = input.about;
    label.append(made("span", words), file);
    by("system-files").append(label);
    return file;
  }

  private async read(name: string, file: Blob): Promise<Photo> {
    const photo = await readPhoto(file, 1, this.mostPixels);
    this.photos.set(name, photo);
    return photo;
  }

  private onFile(file: HTMLInputElement, work: (chosen: File) => Promise<void>): void {
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      if (chosen) void this.reading(() => work(chosen));
    });
  }
}
