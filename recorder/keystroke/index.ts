/** The door of recorder/keystroke: masked keystrokes and commands from the two directions of a terminal. */
export { KeystrokeLog, type KeystrokeLogOptions, type KeystrokePiece } from './keystroke-log.ts';
