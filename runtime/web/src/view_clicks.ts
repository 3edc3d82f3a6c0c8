/** A picture with clicks on foreground and background. */

import { draw } from "./picture_io";
import type { Picture } from "./pixels";
import type { Tensor } from "./program";

interface Mark {
  x: number;
  y: number;
  wanted: boolean;
}

/** Radius of a mark on the screen, in CSS pixels. */
const RADIUS = 10;
/** A key press moves the cross by this share of the longer side. */
const STEP = 1 / 60;

export class ClickView {
  private picture: Picture | null = null;
  private marks: Mark[] = [];
  private cross: { x: number; y: number } | null = null;

  /** `wanted` returns the meaning of a plain click; `changed` is called on every change of the marks. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly wanted: () => boolean,
    private readonly changed: () => void,
  ) {
    canvas.addEventListener("click", (event) => this.add(event, this.wanted() !== event.shiftKey));
    canvas.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      this.add(event, false);
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => {
      this.cross = null;
      this.show();
    });
    new ResizeObserver(() => this.show()).observe(canvas); // marks keep their size on the screen
  }

  /** Show another picture, without marks. */
  set(picture: Picture): void {
    this.picture = picture;
    this.marks = [];
    this.cross = null;
    this.show();
  }

  get count(): number {
    return this.marks.length;
  }

  /** The marks as points (N, 3): x and y in pixels, and 1 or -1. */
  points(): Tensor {
    const data = Float32Array.from(this.marks.flatMap(({ x, y, wanted }) => [x, y, wanted ? 1 : -1]));
    return { shape: [this.marks.length, 3], data };
  }

  undo(): void {
    if (this.marks.pop()) this.update();
  }

  clear(): void {
    if (!this.marks.length) return;
    this.marks = [];
    this.update();
  }

  private update(): void {
    this.show();
    this.changed();
  }

  private add({ offsetX, offsetY }: MouseEvent, wanted: boolean): void {
    if (!this.picture) return;
    const { width, height } = this.picture;
    const x = Math.floor((offsetX * width) / this.canvas.clientWidth);
    const y = Math.floor((offsetY * height) / this.canvas.clientHeight);
    this.mark(Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1), wanted);
  }

  private mark(x: number, y: number, wanted: boolean): void {
    this.marks.push({ x, y, wanted });
    this.update();
  }

  private key(event: KeyboardEvent): void {
    if (!this.picture) return;
    const { width, height } = this.picture;
    const ways: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    const at = this.cross ?? { x: width >> 1, y: height >> 1 };
    if (way) {
      const step = Math.max(1, Math.round(STEP * Math.max(width, height)));
      const moved = (from: number, by: number, end: number): number => Math.min(Math.max(from + by * step, 0), end - 1);
      this.cross = { x: moved(at.x, way[0], width), y: moved(at.y, way[1], height) };
      this.show();
    } else if (event.key === "Enter" || event.key === " ") {
      this.cross = at;
      this.mark(at.x, at.y, this.wanted() !== event.shiftKey);
    } else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) {
      this.undo();
    } else return;
    event.preventDefault();
  }

  private show(): void {
    if (!this.picture) return;
    draw(this.picture, this.canvas);
    const context = this.canvas.getContext("2d")!;
    const unit = this.picture.width / (this.canvas.clientWidth || this.picture.width);
    for (const mark of this.marks) drawMark(context, mark, unit);
    if (this.cross) drawCross(context, this.cross, unit);
  }
}

function drawMark(context: CanvasRenderingContext2D, { x, y, wanted }: Mark, unit: number): void {
  const [across, down, radius, arm] = [x + 0.5, y + 0.5, RADIUS * unit, (RADIUS / 2) * unit];
  context.beginPath();
  context.arc(across, down, radius, 0, 2 * Math.PI);
  context.fillStyle = wanted ? "#11683f" : "#b3261e";
  context.fill();
  context.strokeStyle = "#ffffff";
  context.lineWidth = 2 * unit;
  context.stroke();
  context.beginPath();
  context.moveTo(across - arm, down);
  context.lineTo(across + arm, down);
  if (wanted) {
    context.moveTo(across, down - arm);
    context.lineTo(across, down + arm);
  }
  context.stroke();
}

function drawCross(context: CanvasRenderingContext2D, { x, y }: { x: number; y: number }, unit: number): void {
  for (const [color, wide] of [["#000000", 4], ["#ffffff", 2]] as const) {
    context.beginPath();
    context.moveTo(x + 0.5 - 2 * RADIUS * unit, y + 0.5);
    context.lineTo(x + 0.5 + 2 * RADIUS * unit, y + 0.5);
    context.moveTo(x + 0.5, y + 0.5 - 2 * RADIUS * unit);
    context.lineTo(x + 0.5, y + 0.5 + 2 * RADIUS * unit);
    context.strokeStyle = color;
    context.lineWidth = wide * unit;
    context.stroke();
  }
}
