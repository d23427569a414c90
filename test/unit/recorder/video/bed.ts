/** Recordings of desktops and terminals, made by the recorder itself at times of the test's choice. */
import { generateKeyPairSync } from 'node:crypto';
import type { Clock } from '../../../../recorder/container/clock.ts';
import {
  EventKind,
  generateIdentity,
  openRecording,
  Recorder,
  type RecordingReader,
} from '../../../../recorder/index.ts';
import { initOf, MemoryArchive, Signals, WINDOW } from '../bed.ts';
import { u16 } from '../screen/encoders.ts';
import { bitmapUpdate, fastPathUpdate } from '../screen/updates.ts';

/** What comes at a time, ms since the start; on channel 0 where none is said. */
export type Step = readonly [at: number, kind: EventKind, payload: Uint8Array | object, channel?: number];

export async function recorded(
  steps: readonly Step[],
  protocol: 'rdp' | 'ssh' = 'rdp',
): Promise<RecordingReader> {
  const { archive, identity } = await archived(steps, protocol);
  return await openRecording(archive, 's1', [identity]);
}

/** The archive with the recording, `s1`, and the age identity that opens it. */
export async function archived(
  steps: readonly Step[],
  protocol: 'rdp' | 'ssh' = 'rdp',
): Promise<{ readonly archive: MemoryArchive; readonly identity: string }> {
  let now = 0;
  // Nothing has to be flushed in time: seal() writes what there is.
  const clock: Clock = { now: () => now, after: () => () => {}, every: () => () => {} };
  const archive = new MemoryArchive();
  const identity = await generateIdentity();
  const recorder = new Recorder({
    archive,
    recipients: [identity.recipient],
    node: 'node1',
    signingKey: generateKeyPairSync('ed25519').privateKey,
    window: { ...WINDOW, bytes: 64 * 1024 * 1024 },
    clock,
  });
  const recording = await recorder.open({ ...initOf('s1'), protocol }, new Signals());
  for (const [at, kind, payload, channel = 0] of steps) {
    now = at;
    if (payload instanceof Uint8Array) recording.write(kind, channel, payload);
    else recording.note(kind, channel, payload);
  }
  await recording.seal('done');
  return { archive, identity: identity.identity };
}

export function desktop(at: number, width: number, height: number): Step {
  return [at, EventKind.desktop, { width, height, bitsPerPixel: 32 }];
}

/** A rectangle of one colour. */
export function fill(
  at: number,
  [left, top, width, height]: readonly [number, number, number, number],
  [red, green, blue]: readonly [number, number, number],
): Step {
  const data = Array.from({ length: width * height }, () => [blue, green, red, 255]).flat();
  const update = bitmapUpdate({ left, top, width, height, bits: 32, data });
  return [at, EventKind.fastPathOutput, Uint8Array.from(fastPathUpdate(1, update))];
}

export function terminal(at: number, columns: number, rows: number, channel = 0): Step {
  return [at, EventKind.terminal, { term: 'xterm-256color', columns, rows }, channel];
}

export function resize(at: number, columns: number, rows: number, channel = 0): Step {
  return [at, EventKind.resize, { columns, rows }, channel];
}

/** What a target sent to the screen. */
export function output(at: number, text: string, channel = 0): Step {
  return [at, EventKind.output, Buffer.from(text), channel];
}

export function mouse(at: number, flags: number, x: number, y: number): Step {
  return [at, EventKind.mouse, Uint8Array.from([flags, x, y].flatMap(u16))];
}

/** The server hides the pointer (TS_FP_SYSTEMPOINTERHIDDENATTRIBUTE). */
export function hidePointer(at: number): Step {
  return [at, EventKind.fastPathOutput, Uint8Array.from(fastPathUpdate(5, []))];
}
