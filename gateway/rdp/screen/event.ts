/** What goes into the logon screen and what comes out of it. */

export const KEY_NAMES = [
  'Enter',
  'Tab',
  'Esc',
  'Backspace',
  'Delete',
  'Left',
  'Right',
  'Up',
  'Down',
  'Home',
  'End',
  'PageUp',
  'PageDown',
] as const;
export type KeyName = (typeof KEY_NAMES)[number];

/** Printable text as typed; control characters in it are ignored. */
export interface TextEvent {
  readonly kind: 'text';
  readonly text: string;
}

/** A key that is no text, when it goes down; repeats only of keys that move and erase. */
export interface KeyEvent {
  readonly kind: 'key';
  readonly name: KeyName;
  readonly shift: boolean;
  readonly ctrl: boolean;
}

/** Where the mouse is and what it holds, after each change. */
export interface MouseEvent {
  readonly kind: 'mouse';
  /** Pixels of the desktop. */
  readonly x: number;
  readonly y: number;
  /** Those that are down: bit 0 is the left one. */
  readonly buttons: number;
  /** Notches, positive away from the person. */
  readonly wheel: number;
  /** Milliseconds of any steady clock: it tells a double click from two. */
  readonly at: number;
}

export type InputEvent = TextEvent | KeyEvent | MouseEvent;

export interface Target {
  readonly account: string;
  readonly system: string;
}

/** What the screen asks or says. `error` is said above the buttons, in words for the person. */
export type View =
  | { readonly kind: 'log-on'; readonly user?: string; readonly error?: string }
  | { readonly kind: 'code'; readonly prompt?: string; readonly error?: string }
  | { readonly kind: 'targets'; readonly targets: readonly Target[]; readonly error?: string }
  | { readonly kind: 'reason'; readonly prompt?: string; readonly error?: string }
  | { readonly kind: 'waiting'; readonly text: string }
  | { readonly kind: 'locked'; readonly text: string }
  | { readonly kind: 'message'; readonly title: string; readonly text: string; readonly retry: boolean };

/** What the person decided. */
export type Action =
  | { readonly kind: 'log-on'; readonly user: string; readonly password: string }
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'target'; readonly account: string; readonly system: string }
  | { readonly kind: 'reason'; readonly text: string }
  | { readonly kind: 'retry' }
  | { readonly kind: 'cancel' };
