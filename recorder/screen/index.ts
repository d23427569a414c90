/** The door of this folder: what an RDP server draws, as a picture. */
export { ScreenError } from './cursor.ts';
export type { Rectangle } from './dirty.ts';
export type { Framebuffer } from './framebuffer.ts';
export type { Pointer, PointerShape } from './pointer.ts';
export { Screen, type ScreenProblem, ShareData } from './screen.ts';
