/** Seamless tiling for artifacts of fixed size or with bounded memory: pixel-identical to `runtime/tiling.py`. */

import type { Picture } from "./pixels";
import type { Tiling } from "./wire";

export interface Size {
  height: number;
  width: number;
}

/** One tile along one axis, in input pixels: its start, and the range of the picture's pixels that it restores. */
export interface Span {
  start: number;
  keepFrom: number;
  keepTo: number;
}

export interface Cut {
  tile: Size;
  rows: Span[];
  columns: Span[];
}

const up = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/** Tile a picture of this size for an artifact of `fixed` size (null: dynamic). Throws if a tile would be all halo. */
export function plan(picture: Size, tiling: Tiling, fixed: Size | null): Cut {
  const whole = { height: up(picture.height, tiling.multiple), width: up(picture.width, tiling.multiple) };
  const tile = fixed ?? tileOfAnySize(whole, tiling);
  const padded = { height: Math.max(whole.height, tile.height), width: Math.max(whole.width, tile.width) };
  return {
    tile,
    rows: spans(padded.height, tile.height, picture.height, tiling),
    columns: spans(padded.width, tile.width, picture.width, tiling),
  };
}

function tileOfAnySize(padded: Size, tiling: Tiling): Size {
  if (padded.height * padded.width <= tiling.whole_pixels) return padded;
  const side = Math.floor(Math.sqrt(tiling.whole_pixels));
  const narrow = Math.floor(tiling.whole_pixels / Math.min(padded.height, padded.width));
  const least = Math.max(side, narrow, 4 * tiling.halo + 2 * tiling.multiple);
  const limit = Math.floor(least / tiling.multiple) * tiling.multiple;
  return { height: Math.min(padded.height, limit), width: Math.min(padded.width, limit) };
}

function spans(padded: number, tile: number, picture: number, tiling: Tiling): Span[] {
  if (padded > tile && tile - 2 * tiling.halo < tiling.multiple) {
    throw new Error(
      `this artifact needs ${tile} pixels along an axis where the picture has ${picture}, and cannot be tiled: its ` +
        `receptive field reaches ${tiling.halo} pixels to each side; export it again with sides of at least ` +
        `${up(4 * tiling.halo + 2 * tiling.multiple, tiling.multiple)}`,
    );
  }
  const found: Span[] = [];
  for (let kept = 0; kept < picture; ) {
    const wanted = kept === 0 ? 0 : Math.floor((kept - tiling.halo) / tiling.multiple) * tiling.multiple;
    const start = Math.min(wanted, padded - tile);
    const end = start + tile === padded ? padded : start + tile - tiling.halo;
    found.push({ start, keepFrom: kept, keepTo: Math.min(end, picture) });
    kept = end;
  }
  return found;
}

/** The source of an index beyond the end with symmetric padding (NumPy's "symmetric"). */
export function mirrored(index: number, length: number): number {
  const at = index % (2 * length);
  return at < length ? at : 2 * length - 1 - at;
}

/** A tile of the picture, padded at its far borders like `numpy.pad(part, ..., "symmetric")`. */
export function tileOf(picture: Picture, top: number, left: number, size: Size): Picture {
  const data = new Uint8Array(size.height * size.width * 3);
  const rows = Math.min(size.height, picture.height - top);
  const columns = Math.min(size.width, picture.width - left);
  for (let y = 0; y < size.height; y++) {
    const row = (top + mirrored(y, rows)) * picture.width;
    for (let x = 0; x < size.width; x++) {
      const from = (row + left + mirrored(x, columns)) * 3;
      const to = (y * size.width + x) * 3;
      data[to] = picture.data[from]!;
      data[to + 1] = picture.data[from + 1]!;
      data[to + 2] = picture.data[from + 2]!;
    }
  }
  return { width: size.width, height: size.height, data };
}

export type Infer = (tile: Picture) => Promise<Picture>;

/** Restore a picture of any size; `told` is called with the number of finished tiles, and may return false to stop. */
export async function restore(
  picture: Picture,
  infer: Infer,
  tiling: Tiling,
  fixed: Size | null,
  told: (done: number, total: number) => boolean,
): Promise<Picture | null> {
  const cut = plan(picture, tiling, fixed);
  const total = cut.rows.length * cut.columns.length;
  const { scale } = tiling;
  const result: Picture = {
    width: picture.width * scale,
    height: picture.height * scale,
    data: new Uint8Array(picture.width * picture.height * scale * scale * 3),
  };
  let done = 0;
  for (const row of cut.rows) {
    for (const column of cut.columns) {
      const block = await infer(tileOf(picture, row.start, column.start, cut.tile));
      keep(block, row, column, scale, result);
      done += 1;
      if (!told(done, total)) return null;
    }
  }
  return result;
}

function keep(block: Picture, row: Span, column: Span, scale: number, result: Picture): void {
  const from = (column.keepFrom - column.start) * scale;
  const to = (column.keepTo - column.start) * scale;
  for (let y = row.keepFrom * scale; y < row.keepTo * scale; y++) {
    const line = (y - row.start * scale) * block.width;
    const part = block.data.subarray((line + from) * 3, (line + to) * 3);
    result.data.set(part, (y * result.width + column.keepFrom * scale) * 3);
  }
}
