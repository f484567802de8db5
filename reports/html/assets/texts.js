// The texts of the samples: gzipped blocks in the page, unpacked when they are needed.

async function unpacked(base64) {
  const packed = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

class Texts {
  /** `starts`: the number of each block's first text; `elements`: the blocks, still packed. */
  constructor(starts, elements) {
    this.starts = starts;
    this.elements = elements;
    this.blocks = elements.map(() => null);
    this.lowered = elements.map(() => null);
  }

  /** The text of a number. */
  async get(number) {
    const block = this.starts.findLastIndex((start) => start <= number);
    const texts = await this.block(block);
    return texts[number - this.starts[block]];
  }

  /** Unpack a block once, however often it is asked for; the packed form is then let go. */
  block(k) {
    this.blocks[k] ??= unpacked(this.elements[k].textContent).then((texts) => {
      this.elements[k].remove();
      return texts;
    });
    return this.blocks[k];
  }

  /** Unpack whatever is left, for searching; `tell(done, of)` after each block. */
  async all(tell) {
    for (let k = 0; k < this.blocks.length; k += 1) {
      const texts = await this.block(k);
      this.lowered[k] ??= texts.map((text) => text.toLowerCase());
      tell(k + 1, this.blocks.length);
    }
  }

  get ready() {
    return this.lowered.every(Boolean);
  }

  /** By number, whether a text holds what is sought; only once all are `ready`. */
  holding(sought) {
    const found = new Set();
    const low = sought.toLowerCase();
    this.lowered.forEach((block, k) => block.forEach((text, place) => {
      if (text.includes(low)) found.add(this.starts[k] + place);
    }));
    return found;
  }
}
