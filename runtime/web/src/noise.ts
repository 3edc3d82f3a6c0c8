/**
 * Noise from a seed, identical to NumPy's `default_rng(seed).standard_normal(..., dtype=float32)`, so that a seed gives the same
 * picture here and in `clearport run`: SeedSequence, PCG64 (O'Neill 2014, XSL-RR 128/64) and the ziggurat of 256 strips
 * (Marsaglia and Tsang 2000). Of three million values two differed, in the last bit: values of the tail need a logarithm.
 */

const POOL = 4;
const BITS_64 = (1n << 64n) - 1n;
const BITS_128 = (1n << 128n) - 1n;
const MULTIPLIER = (2549297995355413924n << 64n) + 4865540595714422341n;

const u32 = (value: number): number => value >>> 0;

/** NumPy's SeedSequence: mixes a seed into 32-bit words. */
function seedWords(seed: number, many: number): number[] {
  const entropy = [u32(seed), ...(seed > 0xffffffff ? [Math.floor(seed / 2 ** 32)] : [])];
  let mixing = 0x43b0d7e5;
  const hashed = (value: number): number => {
    const mixed = value ^ mixing;
    mixing = u32(Math.imul(mixing, 0x931e8875));
    return folded(Math.imul(mixed, mixing));
  };
  const pool = Array.from({ length: POOL }, (_, i) => hashed(entropy[i] ?? 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) {
      if (from === to) continue;
      const other = hashed(pool[from]!);
      pool[to] = folded(Math.imul(0xca01f9dd, pool[to]!) - Math.imul(0x4973f715, other));
    }
  }
  let spreading = 0x8b51f9dd;
  return Array.from({ length: many }, (_, i) => {
    const mixed = pool[i % POOL]! ^ spreading;
    spreading = u32(Math.imul(spreading, 0x58f38ded));
    return folded(Math.imul(mixed, spreading));
  });
}

function folded(value: number): number {
  const whole = u32(value);
  return u32(whole ^ (whole >>> 16));
}

/** Strips of equal area below exp(-x^2 / 2): their widths, the parts inside the next strip, and their heights. */
function ziggurat(): { widths: Float32Array; inner: Uint32Array; heights: Float32Array } {
  const widths = new Float64Array(256);
  const heights = new Float64Array(256);
  const inner = new Float64Array(256);
  let edge = TAIL;
  widths[255] = edge / STEPS;
  heights[255] = Math.exp(-0.5 * edge * edge);
  inner[0] = ((edge * heights[255]) / AREA) * STEPS;
  widths[0] = AREA / heights[255] / STEPS;
  heights[0] = 1;
  for (let i = 254; i >= 1; i--) {
    const next = Math.sqrt(-2 * Math.log(AREA / edge + heights[i + 1]!));
    inner[i + 1] = (next / edge) * STEPS;
    widths[i] = next / STEPS;
    heights[i] = Math.exp(-0.5 * next * next);
    edge = next;
  }
  return { widths: Float32Array.from(widths), inner: Uint32Array.from(inner), heights: Float32Array.from(heights) };
}

const TAIL = 3.6541528853610088;
const AREA = 0.00492867323399;
const STEPS = 2 ** 23;
const f = Math.fround;

export class Noise {
  private readonly strips = ziggurat();
  private readonly increment: bigint;
  private state = 0n;
  private kept: number | null = null;

  /** `seed`: a nonnegative integer. */
  constructor(seed: number) {
    const words = seedWords(seed, 8).map(BigInt);
    const [high, low, more, most] = [0, 2, 4, 6].map((i) => words[i]! | (words[i + 1]! << 32n)) as [bigint, bigint, bigint, bigint];
    this.increment = ((((more << 64n) | most) << 1n) | 1n) & BITS_128;
    this.step();
    this.state = (this.state + ((high << 64n) | low)) & BITS_128;
    this.step();
  }

  /** The next `many` values of a standard normal distribution. */
  normal(many: number): Float32Array {
    return Float32Array.from({ length: many }, () => this.next());
  }

  private step(): void {
    this.state = (this.state * MULTIPLIER + this.increment) & BITS_128;
  }

  private word(): number {
    if (this.kept !== null) {
      const kept = this.kept;
      this.kept = null;
      return kept;
    }
    this.step();
    const [mixed, turn] = [(this.state >> 64n) ^ (this.state & BITS_64), this.state >> 122n];
    const bits = ((mixed >> turn) | (mixed << (64n - turn))) & BITS_64;
    this.kept = Number(bits >> 32n);
    return Number(bits & 0xffffffffn);
  }

  /** From 0 to below 1, in steps of 2^-24. */
  private share(): number {
    return (this.word() >>> 8) / 2 ** 24;
  }

  private next(): number {
    const { widths, inner, heights } = this.strips;
    for (;;) {
      const word = this.word();
      const strip = word & 0xff;
      const at = (word >>> 9) & 0x7fffff;
      const size = f(at * widths[strip]!);
      const value = (word >>> 8) & 1 ? -size : size;
      if (at < inner[strip]!) return value;
      if (strip === 0) return this.tail((at >>> 8) & 1 ? -1 : 1);
      const height = f(f(f(heights[strip - 1]! - heights[strip]!) * this.share()) + heights[strip]!);
      if (height < Math.exp(-0.5 * value * value)) return value;
    }
  }

  private tail(sign: number): number {
    for (;;) {
      const beyond = f(f(-1 / TAIL) * f(Math.log1p(-this.share())));
      const limit = f(-f(Math.log1p(-this.share())));
      if (f(limit + limit) > f(beyond * beyond)) return sign * f(f(TAIL) + beyond);
    }
  }
}
