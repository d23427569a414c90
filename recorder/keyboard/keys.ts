/** Names of keys that are no characters, as recorder/keystroke calls them; scancodes of set 1. */

const F_KEYS: readonly (readonly [number, string])[] = [
  ...Array.from({ length: 10 }, (_, i) => [0x3b + i, `F${i + 1}`] as const),
  [0x57, 'F11'],
  [0x58, 'F12'],
  ...Array.from({ length: 11 }, (_, i) => [0x64 + i, `F${i + 13}`] as const),
  [0x76, 'F24'],
];

export const NAMES: ReadonlyMap<number, string> = new Map([
  [0x01, 'Esc'],
  [0x0e, 'Backspace'],
  [0x0f, 'Tab'],
  [0x1c, 'Enter'],
  // What PrintScreen sends while Alt is held.
  [0x54, 'PrintScreen'],
  ...F_KEYS,
]);

/** Behind the prefix E0. */
export const EXTENDED_NAMES: ReadonlyMap<number, string> = new Map([
  [0x1c, 'Enter'],
  [0x37, 'PrintScreen'],
  [0x46, 'Break'],
  [0x47, 'Home'],
  [0x48, 'Up'],
  [0x49, 'PageUp'],
  [0x4b, 'Left'],
  [0x4d, 'Right'],
  [0x4f, 'End'],
  [0x50, 'Down'],
  [0x51, 'PageDown'],
  [0x52, 'Insert'],
  [0x53, 'Delete'],
  [0x5d, 'Menu'],
]);

export interface KeypadKey {
  /** With Num Lock; `.` stands for the layout's decimal sign. */
  readonly char: string;
  /** Without Num Lock, or with Shift. */
  readonly name: string;
}

export const KEYPAD: ReadonlyMap<number, KeypadKey> = new Map([
  [0x47, { char: '7', name: 'Home' }],
  [0x48, { char: '8', name: 'Up' }],
  [0x49, { char: '9', name: 'PageUp' }],
  [0x4b, { char: '4', name: 'Left' }],
  [0x4c, { char: '5', name: 'Clear' }],
  [0x4d, { char: '6', name: 'Right' }],
  [0x4f, { char: '1', name: 'End' }],
  [0x50, { char: '2', name: 'Down' }],
  [0x51, { char: '3', name: 'PageDown' }],
  [0x52, { char: '0', name: 'Insert' }],
  [0x53, { char: '.', name: 'Delete' }],
]);

/** Keys that type the same on every layout. */
export const FIXED: ReadonlyMap<number, string> = new Map([
  [0x37, '*'],
  [0x39, ' '],
  [0x4a, '-'],
  [0x4e, '+'],
]);

/** Characters of Unicode events that are keys. */
export const CONTROL_NAMES: ReadonlyMap<number, string> = new Map([
  [0x08, 'Backspace'],
  [0x09, 'Tab'],
  [0x0a, 'Enter'],
  [0x0d, 'Enter'],
  [0x1b, 'Esc'],
  [0x7f, 'Delete'],
]);

export const Scancode = {
  control: 0x1d,
  leftShift: 0x2a,
  rightShift: 0x36,
  alt: 0x38,
  capsLock: 0x3a,
  numLock: 0x45,
  scrollLock: 0x46,
  leftWin: 0x5b,
  rightWin: 0x5c,
  slash: 0x35,
} as const;
