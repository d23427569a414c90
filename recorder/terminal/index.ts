/** The door of this folder: what a terminal shows, as a picture. */
export { Emulator, type ScreenWatch, sizeWithin } from './emulator.ts';
export { Painter, pixelsOf } from './painter.ts';
