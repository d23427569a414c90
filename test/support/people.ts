/** Three people at work through one gateway, each at another kind of work, and what becomes of their recordings. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Door, PASSWORD } from './bed.ts';
import { type ArchiveOf, assertProved, lostOf, lostUpdates, readRecorded, reportFault } from './faults.ts';
import type { ApplyDocument } from './gateway.ts';
import { type Output, recordedInFull, runOutput, startTyping, type Watched, watchDesktop } from './load.ts';
import { until } from './process.ts';
import type { RdpBed } from './rdp-bed.ts';
import type { Spy } from './rdp-spy.ts';
import { temporaryFolder } from './temp.ts';
import type { Terminal } from './terminal.ts';

/** Packages that their clients and targets need. */
export const PEOPLE_NEED = [
  ...(['openssh-server', 'openssh-client', 'xrdp', 'xorgxrdp', 'freerdp2-x11'] as const),
  ...(['xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm'] as const),
] as const;

/** Who opens what: bob runs a command, carol types, alice has a desktop. All of it is recorded. */
export function peopleDocument(): ApplyDocument {
  return {
    users: ['bob', 'carol'].map((name) => ({ name, password: PASSWORD, role: 'requester' })),
    policies: [
      recordedInFull('bob'),
      recordedInFull('carol'),
      { name: 'desktops', users: ['alice'], accounts: ['*@win01'], allow: ['desktop'], record: true },
    ],
  };
}

export function doorOf(bed: RdpBed, user: string): Door {
  return bed.ssh.doorFor(bed.ssh.targetLogin(user), PASSWORD);
}

/** How often in a row nothing has come of anybody where everybody stands still. */
const STILL = 10;

export class People {
  readonly #bed: RdpBed;
  readonly output: Output;
  readonly typing: Terminal;
  readonly desktop: Watched;
  /** Of their sessions. */
  readonly ids: Readonly<Record<'output' | 'typing' | 'desktop', string>>;

  private constructor(bed: RdpBed, work: Pick<People, 'output' | 'typing' | 'desktop' | 'ids'>) {
    this.#bed = bed;
    this.output = work.output;
    this.typing = work.typing;
    this.desktop = work.desktop;
    this.ids = work.ids;
  }

  /** Resolves when all three have begun. */
  static async atWork(bed: RdpBed, spy: Spy): Promise<People> {
    const [desktop, typing] = await Promise.all([watchDesktop(bed, spy), startTyping(doorOf(bed, 'carol'))]);
    const output = await runOutput(doorOf(bed, 'bob'), join(temporaryFolder('received'), 'output'));
    const idOf = async (user: string): Promise<string> => (await bed.evidence.session(user, 'active')).id;
    const ids = {
      output: await idOf('bob'),
      typing: await idOf('carol'),
      desktop: await idOf('alice'),
    };
    return new People(bed, { output, typing, desktop, ids });
  }

  /** Bytes that each was shown so far. */
  sizes(): readonly number[] {
    return [this.output.size(), this.typing.screen.length, this.desktop.size()];
  }

  /** Resolves when nobody is shown anything any more. */
  async standStill(): Promise<void> {
    let [last, same] = ['', 0];
    await until('everybody to stand still', () => {
      const now = this.sizes().join();
      same = now === last ? same + 1 : 0;
      last = now;
      return same >= STILL ? true : undefined;
    });
  }

  /** Resolves when everybody has been shown more than `before`. */
  async goOn(before = this.sizes()): Promise<void> {
    const more = (): boolean => this.sizes().every((size, index) => size > (before[index] ?? 0));
    await until('everybody to go on', () => (more() ? true : undefined)).catch(async (error: unknown) => {
      const states = await Promise.all(
        Object.values(this.ids).map(async (id) => {
          const row = (await this.#bed.evidence.sessions()).find((each) => each.id === id);
          return `${row?.user} ${row?.state} ${row?.endReason ?? ''}`;
        }),
      );
      assert.fail(`${String(error)}: ${before} became ${this.sizes()}; ${states.join('; ')}`);
    });
  }

  /** Everybody leaves; resolves when all recordings are sealed. */
  async leave(): Promise<void> {
    this.output.stop();
    this.typing.kill();
    await this.desktop.client.stop();
    await this.sealed();
  }

  /** Resolves when the clients have noticed that the gateway is gone. */
  async cutOff(): Promise<void> {
    assert.equal(await this.output.ended, 255, 'ssh notices');
    assert.equal(await this.typing.ended, 255, 'ssh at a terminal notices');
    await this.desktop.ended;
    assert.notEqual(await this.desktop.client.exited, 0, 'xfreerdp notices');
  }

  /** Resolves when all recordings are sealed. */
  async sealed(): Promise<void> {
    for (const id of Object.values(this.ids)) await this.#bed.evidence.sealed(id);
  }

  /** Each person is told why the session ends, as far as the client shows it; so are store and audit log. */
  async assertToldWhy(words: RegExp): Promise<void> {
    await this.typing.expect(/sallyport: the recording cannot be kept: /, 90_000);
    assert.notEqual(await this.typing.ended, 0);
    assert.match(this.typing.screen.toString(), words);
    assert.notEqual(await this.output.ended, 0);
    assert.match(this.output.said(), words);
    await this.desktop.ended;
    assert.notEqual(await this.desktop.client.exited, 0);
    for (const id of Object.values(this.ids)) {
      const row = await until(`session ${id} is closed`, async () =>
        (await this.#bed.evidence.sessions()).find((each) => each.id === id && each.state === 'ended'),
      );
      assert.equal(row.endCode, 'archive-failed');
      assert.match(row.endReason ?? '', words);
      const event = await this.#bed.evidence.event('recording.failed', ({ sessionId }) => sessionId === id);
      assert.match(String(event.detail['reason']), words);
    }
  }

  /** Proves what the archive has of each, and tells how much of what was shown it has not: no more than `declared`. */
  async report(
    context: TestContext,
    archive: ArchiveOf,
    of: { readonly fault: string; readonly sink: string; readonly declared: number },
  ): Promise<void> {
    for (const what of ['output', 'typing', 'desktop'] as const) {
      const row = await this.#bed.evidence.sealed(this.ids[what]);
      await assertProved(archive, row);
      const kept = await readRecorded(archive, row.id);
      const lost =
        what === 'desktop'
          ? lostUpdates(this.desktop.shown(), kept.updates)
          : lostOf(what === 'output' ? this.output.shown() : this.typing.screen, kept.output);
      reportFault(context, { ...of, what, lost, recorded: kept.bytes });
    }
  }
}
