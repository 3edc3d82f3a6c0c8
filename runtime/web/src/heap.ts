/** Size of the WebAssembly heaps of this worker: a heap never shrinks, so its size is its peak. */

const memories = new Set<WebAssembly.Memory>();

function remember(instance: WebAssembly.Instance): void {
  for (const part of Object.values(instance.exports)) if (part instanceof WebAssembly.Memory) memories.add(part);
}

/** Track heaps created from now on; call it before loading a runtime. */
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

/** MiB of all heaps together; null if none was created. */
export function heapMib(): number | null {
  let bytes = 0;
  for (const memory of memories) bytes += memory.buffer.byteLength;
  return bytes ? bytes / 2 ** 20 : null;
}
