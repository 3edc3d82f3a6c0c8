/** Requests to `clearport serve`. URLs are relative: the token is part of the page's URL. */

import type { DeviceFacts } from "./device";
import type { Offer, Row, StoredRow } from "./wire";

/** An identifier of this browser, so that a later visit continues where this one ended. */
function deviceId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const fresh = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    const kept = localStorage.getItem("clearport-device") ?? fresh;
    localStorage.setItem("clearport-device", kept);
    return /^[0-9a-f]{32}$/.test(kept) ? kept : fresh;
  } catch {
    return fresh; // a private window without storage
  }
}

const DEVICE = deviceId();

async function checked(answer: Response): Promise<Response> {
  if (answer.ok) return answer;
  const words = (await answer.text()).slice(0, 300);
  throw new Error(`the server answered ${answer.status}${words ? `: ${words}` : ""}`);
}

async function post(path: string, content: unknown): Promise<Response> {
  const headers = { "Content-Type": "application/json", "X-Device": DEVICE };
  return checked(await fetch(path, { method: "POST", body: JSON.stringify(content), headers }));
}

/** Send the device's facts; the server answers with the offer and earlier results. */
export async function greet(device: DeviceFacts): Promise<Offer> {
  return (await post("device", device)).json() as Promise<Offer>;
}

export async function sendRow(row: Row): Promise<StoredRow> {
  return (await post("row", row)).json() as Promise<StoredRow>;
}

/** Report that a run begins or ends, so that the server can report an interrupted run when the page is closed. */
export async function sendRun(state: "begins" | "ends", rows: number): Promise<void> {
  await post("run", { state, rows });
}

export async function sendOutput(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const headers = { "Content-Type": "application/octet-stream", "X-Device": DEVICE };
  await checked(await fetch(path, { method: "POST", body: bytes, headers }));
}

export async function download(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await checked(await fetch(path))).arrayBuffer());
}

/** Keep a connection open, so that the server knows whether the page is open; `changed` is called when the server's state changes. */
export function stayInTouch(changed: (there: boolean) => void): void {
  const line = new EventSource(`alive?device=${DEVICE}`);
  line.onopen = () => changed(true);
  line.onerror = () => changed(false);
}
