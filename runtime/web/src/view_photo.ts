/** The part of the page that restores the user's own photo. */

import type { DeviceFacts } from "./device";
import { Bar, by } from "./dom";
import { asGray } from "./photo";
import { draw, offerFile, type Photo, readPhoto } from "./picture_io";
import { imageSize, type Picture, shapeOf, toPicture, toTensor } from "./pixels";
import { BACKENDS } from "./rows";
import { download } from "./server";
import { Session, Stopped } from "./session";
import { type Infer, plan, restore, type Size } from "./tiling";
import type { Candidate, Offer } from "./wire";

export class PhotoView {
  private readonly bar = new Bar(by("photo-progress"), by<HTMLProgressElement>("photo-bar"), by("photo-stage"));
  private readonly select = by<HTMLSelectElement>("candidate");
  private readonly usable: Candidate[];
  private session: Session | null = null;
  private own = false;

  constructor(
    private readonly offer: Offer,
    private readonly device: DeviceFacts,
  ) {
    this.usable = offer.candidates.filter((c) => c.backend === "wasm" || device[c.backend]);
    for (const c of this.usable) {
      this.select.add(new Option(`${c.artifact}, ${c.runner} on ${BACKENDS[c.backend]}`, c.key));
    }
    const first = this.usable.find((c) => c.artifact === "tflite/int8" && c.backend === "wasm") ?? this.usable[0];
    if (first) this.select.value = first.key;
    const file = by<HTMLInputElement>("file");
    file.addEventListener("change", () => file.files?.[0] && void this.restore(file.files[0]));
    this.select.addEventListener("change", () => file.files?.[0] && void this.restore(file.files[0]));
    by("photo-stop").addEventListener("click", () => this.session?.close());
    by("save-picture").addEventListener("click", () => {
      by<HTMLCanvasElement>("after").toBlob((blob) => blob && offerFile("restored.png", blob), "image/png");
    });
    this.slide();
  }

  private slide(): void {
    const slider = by<HTMLInputElement>("slider");
    const show = (): void => {
      by("stage-box").style.setProperty("--at", `${slider.value}%`);
      slider.setAttribute("aria-valuetext", `${slider.value} % before, the rest after`);
    };
    slider.addEventListener("input", show);
    show();
  }

  /** Show the bundle's restored golden picture until the user chooses a photo. */
  showGolden(after: Picture, before: Picture): void {
    if (!this.own) this.show(before, after, "The golden picture of the bundle, restored here.");
  }

  private show(before: Picture, after: Picture, note: string): void {
    by("compare").hidden = false;
    by("stage-box").style.maxWidth = `${Math.max(320, 2 * after.width)}px`; // small pictures are not blown up
    draw(before, by<HTMLCanvasElement>("before"));
    draw(after, by<HTMLCanvasElement>("after"));
    const larger = this.offer.tiling.scale > 1;
    by("before-name").textContent = larger ? `Before, enlarged by the browser ×${this.offer.tiling.scale}` : "Before";
    by("picture-note").textContent = note;
  }

  async restore(file: Blob): Promise<void> {
    this.session?.close();
    const candidate = this.usable.find((c) => c.key === this.select.value);
    if (!candidate) return this.bar.end("No file of this bundle runs in this browser.");
    const session = new Session(candidate.runner, this.offer.plan.timeout_s);
    this.session = session;
    by("photo-stop").hidden = false;
    try {
      this.bar.show("reading the photo", 0);
      const photo = await readPhoto(file, this.offer.tiling.scale);
      this.bar.show("loading the network", 0);
      await this.open(session, candidate);
      const began = performance.now();
      const fixed = fixedSize(candidate);
      const infer = inference(session, candidate);
      const made = await restore(photo.picture, infer, this.offer.tiling, fixed, (done, total) => {
        this.bar.show(`${done} of ${total} tiles, ${((performance.now() - began) / 1000).toFixed(1)} s`, done / total);
        return this.session === session;
      });
      if (!made) return;
      const after = photo.gray ? asGray(made) : made;
      this.own = true;
      const took = `${((performance.now() - began) / 1000).toFixed(1)} s`;
      this.bar.end(`Restored in ${took}: ${after.width}x${after.height} pixels.`);
      this.show(photo.picture, after, this.note(photo, fixed));
    } catch (error) {
      if (this.session !== session) return;
      this.bar.end(error instanceof Stopped ? "Stopped." : `That did not work: ${error instanceof Error ? error.message : error}`);
    } finally {
      session.close();
      if (this.session === session) {
        this.session = null;
        by("photo-stop").hidden = true;
      }
    }
  }

  private note({ picture, gray, remark }: Photo, fixed: Size | null): string {
    const cut = plan(picture, this.offer.tiling, fixed);
    const tiles = cut.rows.length * cut.columns.length;
    const seams =
      tiles > 1 && this.offer.whole_picture ? "The receptive field of this network is global: tiles may differ in tone." : "";
    return ["Restored here, and sent nowhere.", remark, gray ? "The photo is gray, so the luma of the output is shown." : "", seams].filter(Boolean).join(" ");
  }

  private async open(session: Session, candidate: Candidate): Promise<void> {
    const { unit, backend, input } = candidate;
    const threads = this.device.wasm_threads ? Math.min(4, this.device.cores) : 1;
    await session.open({ model: await download(candidate.url), unit, backend, threads, input });
  }
}

function fixedSize(candidate: Candidate): Size | null {
  const [height, width] = imageSize(candidate.input);
  return typeof height === "number" && typeof width === "number" ? { height, width } : null;
}

function inference(session: Session, { input, output }: Candidate): Infer {
  return async (tile) => {
    const shape = shapeOf(input, tile.width, tile.height);
    const found = await session.ask<"run">({ call: "run", input: toTensor(tile, input), shape });
    const scale = Math.sqrt(found.output.length / (tile.width * tile.height * 3));
    return toPicture(found.output, output, tile.width * scale, tile.height * scale);
  };
}
