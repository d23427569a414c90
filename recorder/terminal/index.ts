/** The door of this folder: what a terminal shows, as a picture. */
export { Emulator, sizeWithin } from './emulator.ts';
export { Painter, pixelsOf } from './painter.ts';
