/** The one Web API that this folder uses; it compiles without Node's and the DOM's types. */
declare class TextDecoder {
  constructor(label: 'utf-8', options: { readonly ignoreBOM: boolean });
  decode(bytes: Uint8Array, options: { readonly stream: boolean }): string;
}
