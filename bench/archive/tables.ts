/** The figures as tables for people, and what they are meant to be on any machine. */
import type { ArchiveFigures } from '../archive.ts';
import { type Goal, Goals, goalTable } from '../figures/goals.ts';
import { figure, type Table } from '../figures/table.ts';
import type { Background } from './background.ts';
import type { Seeking } from './seeking.ts';
import type { InSessions } from './sessions.ts';
import type { Throughput } from './throughput.ts';
import type { Typing } from './typing.ts';

export function goalsOf({ sessions, typing, background, seeking }: ArchiveFigures): Goal[] {
  const goals = new Goals();
  for (const { sink, direction, toMemory } of sessions ?? [])
    if (sink !== 'memory')
      goals.atLeast(`${direction}, recorded in full to ${sink}, to memory`, 0.9, toMemory);
  const s3 = typing?.find(({ sink }) => sink === 's3');
  goals.atMost('objects a second of all who type', 60, s3?.writesPerSecond);
  for (const busy of background ?? []) {
    const quiet = background?.find((each) => each.sink === busy.sink && each.while === 'quiet');
    if (busy.while === 'busy')
      goals.atMost(
        `echo while ${busy.sink} is worked on, added p99 in ms`,
        2,
        busy.p99Ms - (quiet?.p99Ms ?? Number.NaN),
      );
  }
  for (const { sink, p99Ms } of seeking ?? []) goals.atMost(`seek in ${sink}, p99 in ms`, 300, p99Ms);
  return goals.all;
}

export function tablesOf(figures: ArchiveFigures, goals: readonly Goal[], mib: number): Table[] {
  const { sessions, throughput, typing, background, seeking } = figures;
  return [
    ...(sessions === undefined ? [] : [sessionTable(sessions, mib)]),
    ...(throughput === undefined ? [] : [throughputTable(throughput, mib)]),
    ...(typing === undefined ? [] : [typingTable(typing)]),
    ...(background === undefined ? [] : [backgroundTable(background)]),
    ...(seeking === undefined ? [] : [seekingTable(seeking)]),
    goalTable(goals),
  ];
}

function sessionTable(rows: readonly InSessions[], mib: number): Table {
  return {
    title: 'An SSH session that is recorded in full',
    note: `${mib} MiB of random bytes through a gateway, AES-128-GCM. Memory: a folder that no disk is below. CPU: of the gateway, with what is made of the recording afterwards.`,
    columns: ['direction and archive', 'MB/s', 'to memory', 'CPU s/GB'],
    rows: rows.map(({ sink, direction, mbPerSecond, toMemory, cpuPerGb }) => [
      `${direction}, ${sink}`,
      figure(mbPerSecond),
      figure(toMemory),
      figure(cpuPerGb),
    ]),
  };
}

function throughputTable(rows: readonly Throughput[], mib: number): Table {
  return {
    title: 'One recording, as fast as it goes',
    note: `${mib} MiB in packets of 32 KiB, from the first byte to the seal, the recorder alone. Nowhere acknowledges at once. CPU: of the recorder's process.`,
    columns: ['content and archive', 'MB/s', 'to nowhere', 'CPU s/GB'],
    rows: rows.map(({ content, sink, mbPerSecond, toNowhere, cpuPerGb }) => [
      `${content}, ${sink}`,
      figure(mbPerSecond),
      figure(toNowhere),
      figure(cpuPerGb),
    ]),
  };
}

function typingTable(rows: readonly Typing[]): Table {
  return {
    title: 'Many who type',
    note: 'Two keys a second each, with their echo, before compaction; writes: objects, or appends to files. Late: how long after its time a key was recorded.',
    columns: ['archive', 'sessions', 'writes a second', 'CPU ms a second each', 'late p99 ms', 'paused'],
    rows: rows.map(({ sink, sessions, writesPerSecond, cpuMsPerSession, lateP99Ms, disturbed }) => [
      sink,
      String(sessions),
      figure(writesPerSecond),
      figure(cpuMsPerSession),
      figure(lateP99Ms),
      String(disturbed),
    ]),
  };
}

function backgroundTable(rows: readonly Background[]): Table {
  return {
    title: 'Typing beside recordings that are sealed, compacted and indexed',
    note: 'Echo through one gateway. Busy: half of the recordings are those of a peer that was killed, which are sealed; the other half its own, whose sessions end, and whose text is put beside them; a bucket is compacted, by a server on this machine. Priorities hold among all processes, as in a service (no autogroups, sched(7)). Quiet: just before, with all of these sessions open.',
    columns: ['archive', 'p50 ms', 'p99 ms', 'max ms', 'keys', 'recordings', 'MiB', 'done after s'],
    rows: rows.map(({ sink, while: kind, p50Ms, p99Ms, maxMs, keys, work }) => [
      `${sink}, ${kind}`,
      figure(p50Ms),
      figure(p99Ms),
      figure(maxMs),
      String(keys),
      String(work?.recordings ?? 0),
      String(work?.mib ?? 0),
      work === undefined ? '' : figure(work.seconds),
    ]),
  };
}

function seekingTable(rows: readonly Seeking[]): Table {
  return {
    title: 'Seeking in an hour',
    note: 'A sealed and compacted recording is opened, its key unwrapped, and the first event at a random moment read.',
    columns: ['archive', 'segments', 'MiB', 'p50 ms', 'p99 ms'],
    rows: rows.map(({ sink, segments, bytes, p50Ms, p99Ms }) => [
      sink,
      String(segments),
      figure(bytes / 2 ** 20),
      figure(p50Ms),
      figure(p99Ms),
    ]),
  };
}
