/** How large the WebAssembly heaps of this worker are: a heap never shrinks, so that its size is its peak. */

const memories = new Set<WebAssembly.Memory>();

function remember(instance: WebAssembly.Instance): void {
  for (const part of Object.values(instance.exports)) if (part instanceof WebAssembly.Memory) memories.add(part);
}

/** Watch for heaps that are made from now on; to be called before a runtime is loaded. */
export function watchHeaps(): void {
  const { instantiate, instantiateStreaming } = WebAssembly;
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, [descriptor]: [WebAssembly.MemoryDescriptor]) {
      const memory = new target(descriptor);
      memories.add(memory);
      return memory;
    },
  });
  WebAssembly.instantiate = (async (source: BufferSource, imports?: WebAssembly.Imports) => {
    const made: unknown = await instantiate(source, imports);
    remember(made instanceof WebAssembly.Instance ? made : (made as WebAssembly.WebAssemblyInstantiatedSource).instance);
    return made;
  }) as typeof WebAssembly.instantiate;
  WebAssembly.instantiateStreaming = async (source, imports) => {
    const made = await instantiateStreaming(source, imports);
    remember(made.instance);
    return made;
  };
}

/** MiB of all heaps together; null where none was seen. */
export function heapMib(): number | null {
  let bytes = 0;
  for (const memory of memories) bytes += memory.buffer.byteLength;
  return bytes ? bytes / 2 ** 20 : null;
}
