/** The page: sends the device's facts to the server, then measures and restores. */

import { type DeviceFacts, deviceFacts } from "./device";
import { by, made } from "./dom";
import { greet, stayInTouch } from "./server";
import { MeasureView } from "./view_measure";
import { PhotoView } from "./view_photo";
import { SystemView } from "./view_system";
import type { Offer } from "./wire";

function listFacts(device: DeviceFacts): void {
  const memory = device.memory_gib === null ? "not reported" : `about ${device.memory_gib} GiB, as browsers round it`;
  const clock = device.clock_step_ms;
  const facts: [string, string][] = [
    ["Browser", device.browser],
    ["System", [device.model, device.platform].filter(Boolean).join(", ")],
    ["Processor", `${device.cores} logical cores`],
    ["Memory", memory],
    ["GPU (WebGPU)", device.gpu === null ? "none" : `${device.gpu}${device.gpu_emulated ? ", emulated in software" : ""}`],
    ["WebNN", device.webnn ? "yes" : "no"],
    ["WASM threads", device.wasm_threads ? "yes" : "no"],
    ["Clock", `steps of ${clock < 0.1 ? `${(clock * 1000).toFixed(0)} µs` : `${clock.toFixed(2)} ms`}`],
  ];
  if (device.battery) facts.push(["Battery", device.battery]);
  for (const [name, value] of facts) {
    const box = made("div");
    box.append(made("dt", name), made("dd", value));
    by("facts").append(box);
  }
  const names: Record<string, string> = { threads: "WASM threads", webgpu: "WebGPU", webnn: "WebNN" };
  for (const [name, reason] of Object.entries(device.missing)) {
    by("missing").append(made("li", `${names[name] ?? name}: ${reason}.`));
  }
  if (!device.secure) {
    const forward = `adb reverse tcp:${location.port} tcp:${location.port}`;
    const way = `For all features, serve with --certificate and --key, or open it as localhost over a USB cable: ${forward}`;
    by("missing").append(made("li", way));
  }
}

async function start(): Promise<void> {
  stayInTouch((there) => (by("lost").hidden = there));
  const device = await deviceFacts();
  const offer: Offer = await greet(device);
  document.title = `${offer.title}: clearport in this browser`;
  by("title").textContent = offer.title;
  by("about").textContent = offer.about;
  listFacts(device);
  by("system").hidden = !offer.system;
  by("measure").hidden = by("photo").hidden = Boolean(offer.system);
  by("main").hidden = false;
  if (offer.system) new SystemView(offer, device);
  else await ofBundle(offer, device);
}

async function ofBundle(offer: Offer, device: DeviceFacts): Promise<void> {
  const photo = new PhotoView(offer, device);
  const measure = new MeasureView(offer, device, (after, before) => photo.showGolden(after, before));
  if (offer.automatic) await measure.measure();
}

start().catch((error: unknown) => {
  by("about").textContent = `The page cannot start: ${error instanceof Error ? error.message : String(error)}`;
});
