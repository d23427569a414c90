/** The door of recorder/keyboard: what was typed on a desktop, from the keyboard events of an RDP client. */
export {
  Keyboard,
  type KeyEvent,
  Toggle,
  type Typed,
  type TypedKey,
  type TypedText,
} from './keyboard.ts';
export { type KeystrokeMask, RdpKeystrokeLog, type RdpKeystrokeLogOptions } from './rdp-keystroke-log.ts';
