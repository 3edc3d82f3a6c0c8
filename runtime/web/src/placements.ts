/** The unit of each operator of an ONNX graph, parsed from ONNX Runtime's verbose log. */

/** Unit -> operator -> count; operator "node" if the log only has counts. */
export type Placements = Record<string, Record<string, number>>;

const UNITS: Record<string, string> = {
  WebGpuExecutionProvider: "gpu",
  JsExecutionProvider: "gpu",
  WebNNExecutionProvider: "webnn",
  CPUExecutionProvider: "cpu",
  XnnpackExecutionProvider: "cpu",
};
const PLACED = /placed on \[(\w+)\]\. Number of nodes: (\d+)/;
const LISTED = /VerifyEachNodeIsAssignedToAnEp\]\s+([A-Za-z]\w*) \(/;

export function parsePlacements(lines: readonly string[]): Placements {
  const counts: Placements = {};
  const listed: Placements = {};
  let unit = "";
  for (const line of lines) {
    const placed = PLACED.exec(line);
    if (placed) {
      unit = UNITS[placed[1]!] ?? placed[1]!;
      counts[unit] = { node: (counts[unit]?.node ?? 0) + Number(placed[2]) };
      continue;
    }
    const operator = unit && LISTED.exec(line)?.[1];
    if (!operator) continue;
    const found = (listed[unit] ??= {});
    found[operator] = (found[operator] ?? 0) + 1;
  }
  return { ...counts, ...listed };
}

/** "gpu", or "gpu+cpu" if they share the graph; "unknown" for WebNN, which does not report its unit. */
export function unitOf(placements: Placements): string {
  const units = Object.keys(placements);
  if (!units.length || units.includes("webnn")) return "unknown";
  return ["npu", "gpu", "cpu"].filter((unit) => units.includes(unit)).join("+") || units.join("+");
}
