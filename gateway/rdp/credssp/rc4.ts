/** RC4: the only cipher that NTLM has. OpenSSL 3 left it out. It protects nothing that TLS does not. */
export class Rc4 {
  readonly #state = new Uint8Array(256);
  #i = 0;
  #j = 0;

  /** @param key 1 to 256 bytes */
  constructor(key: Uint8Array) {
    const state = this.#state;
    for (let i = 0; i < 256; i++) state[i] = i;
    for (let i = 0, j = 0; i < 256; i++) {
      const old = state[i] ?? 0;
      j = (j + old + (key[i % key.length] ?? 0)) & 255;
      state[i] = state[j] ?? 0;
      state[j] = old;
    }
  }

  /** The next bytes of the stream over `bytes`, in new memory; encrypts and decrypts alike. */
  apply(bytes: Uint8Array): Uint8Array {
    const state = this.#state;
    const out = new Uint8Array(bytes.length);
    for (let n = 0; n < bytes.length; n++) {
      this.#i = (this.#i + 1) & 255;
      const old = state[this.#i] ?? 0;
      this.#j = (this.#j + old) & 255;
      const other = state[this.#j] ?? 0;
      state[this.#i] = other;
      state[this.#j] = old;
      out[n] = (bytes[n] ?? 0) ^ (state[(old + other) & 255] ?? 0);
    }
    return out;
  }
}
