/** The door of recorder/keystroke: masked keystrokes and commands from the two directions of a terminal. */
export { KeystrokeLog, type KeystrokeLogOptions } from './keystroke-log.ts';
export type { KeystrokePiece } from './tally.ts';
