/** The element of an id; a missing one is a bug. */
export function by<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found as T;
}

/** A new element with text content, never markup. */
export function made<K extends keyof HTMLElementTagNameMap>(tag: K, text = "", style = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.textContent = text;
  if (style) element.className = style;
  return element;
}

/** A bar with a line of text below it. */
export class Bar {
  constructor(
    private readonly box: HTMLElement,
    private readonly bar: HTMLProgressElement,
    private readonly line: HTMLElement,
  ) {}

  show(text: string, share: number): void {
    this.box.hidden = false;
    this.bar.value = share;
    if (this.line.textContent !== text) this.line.textContent = text;
  }

  hide(): void {
    this.box.hidden = true;
  }

  /** Hide the bar and show a final text. */
  end(text: string): void {
    this.show(text, 1);
  }
}
