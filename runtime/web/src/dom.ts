/** The element of an id; the page is ours, so that a missing one is a defect. */
export function by<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found as T;
}

/** A new element with text in it: never markup. */
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

  /** A last word, without the bar. */
  end(text: string): void {
    this.show(text, 1);
  }
}
