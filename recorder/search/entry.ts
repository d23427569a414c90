/** One piece of text of a recording, as it is searched. */
export interface TextEntry {
  /** µs since the recording's start, when it could be seen. */
  readonly at: number;
  readonly channel: number;
  readonly kind: TextKind;
  /** One line, at most {@link MAX_LINE} characters. */
  readonly text: string;
}

/**
 * `shown`: on a terminal's screen or by a program without one; `typed`: with passwords masked; `command`: that
 * a client had run; `file`: names in SFTP, SCP and redirected drives; `clipboard`: text, or names of files.
 */
export const TEXT_KINDS = ['shown', 'typed', 'command', 'file', 'clipboard'] as const;
export type TextKind = (typeof TEXT_KINDS)[number];

/** Characters; a longer line is several. */
export const MAX_LINE = 4096;

const WORD = /[\p{L}\p{N}]/u;
/** Of most lines this tells sooner. */
const PLAIN_WORD = /[A-Za-z0-9]/;

/** Whether anybody could look for it. */
export function hasWords(text: string): boolean {
  return PLAIN_WORD.test(text) || WORD.test(text);
}
