/** The figures as tables for people. */
import { type Goal, goalTable } from '../figures/goals.ts';
import { figure, type Table } from '../figures/table.ts';
import { idleTable } from '../idle.ts';
import { latencyTable } from '../latency.ts';
import type { RdpFigures } from '../rdp.ts';
import { setUpTable } from '../set-ups.ts';
import type { Bed } from './bed.ts';
import { relayTable } from './relay.ts';
import type { Painted, Rendered } from './rendering.ts';
import type { Typing } from './sessions.ts';

const NAMES = {
  direct: 'direct',
  gateway: 'Sallyport, recorded',
  password: 'Sallyport, password over TLS',
};

const mib = (bytes: number): string => `${figure(bytes / 2 ** 20)} MiB`;

export function tablesOf(figures: RdpFigures, goals: readonly Goal[], bed: Bed): Table[] {
  const tables: Table[] = [];
  if (figures.relay !== undefined) tables.push(relayTable(bed, figures.relay));
  if (figures.latency !== undefined)
    tables.push(
      latencyTable(
        'Key to update',
        'each answered by the target with a small update',
        figures.latency,
        NAMES,
      ),
    );
  if (figures.setUps !== undefined)
    tables.push(
      setUpTable(
        'path',
        'TCP, TLS, log-on, joins, licensing, capabilities, to the active desktop; 4 at once; NLA on every leg. Through the gateway that is both legs, policy, vault, recording and audit. A password over TLS is checked with argon2id, which is to take its 50 ms of a core. CPU: of the gateway.',
        figures.setUps,
        ({ path }) => NAMES[path],
      ),
    );
  if (figures.typing !== undefined) tables.push(typingTable(figures.typing));
  if (figures.idle !== undefined) tables.push(idleTable(figures.idle, 'recorded desktops'));
  if (figures.video !== undefined) tables.push(videoTable(figures.video));
  if (figures.codecs !== undefined) tables.push(codecTable(figures.codecs));
  tables.push(goalTable(goals));
  return tables;
}

function typingTable({
  sessions,
  seconds,
  cpuMsPerSecond,
  bytesPerMinute,
  recordedBytesPerMinute,
}: Typing): Table {
  return {
    title: 'Desktops with ten lines of text a second',
    note: `${sessions} recorded sessions for ${seconds} s; synthetic lines of up to 80 characters, each an update of 640 by 16 pixels, planar at 32 bits per pixel. All figures are per session.`,
    columns: ['', 'CPU ms a second', 'KB a minute', 'KB recorded a minute', 'ratio'],
    rows: [
      [
        'Sallyport, recorded',
        figure(cpuMsPerSecond),
        figure(bytesPerMinute / 1000),
        figure(recordedBytesPerMinute / 1000),
        figure(recordedBytesPerMinute / bytesPerMinute),
      ],
    ],
  };
}

function videoTable(video: Rendered): Table {
  return {
    title: 'Rendering',
    note: `${video.recordingSeconds} s of synthetic desktop work at 1280 by 800 (typing, a log that scrolls, a window that is moved, reading), ${mib(video.drawnBytes)} of updates, exported as MP4. CPU: with ffmpeg's.`,
    columns: ['', 'seconds', 'CPU s', 'times real time per core', 'MP4'],
    rows: [
      [
        'export to MP4',
        figure(video.seconds),
        figure(video.cpuSeconds),
        figure(video.perCore),
        mib(video.videoBytes),
      ],
    ],
  };
}

function codecTable(rows: readonly Painted[]): Table {
  return {
    title: 'Codecs',
    note: 'Painted by the recorder in one thread. Session: what xrdp sent, over and over; text: a page full of text. Size: to that of the pixels in 32 bits.',
    columns: ['codec', 'bits per pixel', 'content', 'size', 'megapixels/s'],
    rows: rows.map((row) => [
      row.codec,
      String(row.bitsPerPixel),
      row.content,
      row.size.toFixed(3),
      figure(row.megapixelsPerSecond),
    ]),
  };
}
