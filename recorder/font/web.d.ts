/** The one Web API that this folder uses; it compiles without Node's and the DOM's types. */
declare function atob(base64: string): string;
