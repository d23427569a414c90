/** Three people at work through one gateway, each at another kind of work, and what becomes of their recordings. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { sentence } from '../../gateway/rdp/front/reception.ts';
import { banner } from '../../gateway/rdp/screen/banner.ts';
import type { DirtyRectangle } from '../../gateway/rdp/screen/canvas.ts';
import { COLOUR, PALETTE } from '../../gateway/rdp/screen/theme.ts';
import type { SessionRow } from '../../gateway/store/port.ts';
import { type Door, PASSWORD } from './bed.ts';
import {
  type ArchiveOf,
  assertProved,
  type Fault,
  lostAge,
  lostOf,
  lostUpdates,
  readRecorded,
  reportFault,
} from './faults.ts';
import type { ApplyDocument } from './gateway.ts';
import { type Output, recordedInFull, runOutput, startTyping, type Watched, watchDesktop } from './load.ts';
import { until } from './process.ts';
import type { RdpBed } from './rdp-bed.ts';
import type { Spy } from './rdp-spy.ts';
import { Sightings } from './sightings.ts';
import { temporaryFolder } from './temp.ts';
import type { Terminal } from './terminal.ts';
import { type Picture, screenshot } from './x11.ts';

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

type Work = 'output' | 'typing' | 'desktop';
const WORK: readonly Work[] = ['output', 'typing', 'desktop'];

/** What clients are started with. */
const DESKTOP = { width: 640, height: 480 };
/** A session that the archive ends has stood still for longer: for `archive.graceSeconds`. */
const STANDING_MS = 5_000;
/** Between looks at a display: much shorter than a message stands. */
const LOOK_MS = 300;
/** Of the ground of the smallest message. */
const MESSAGE_PIXELS = 2_000;

/** How often in a row nothing has come of anybody where everybody stands still. */
const STILL = 10;

export class People {
  readonly #bed: RdpBed;
  readonly output: Output;
  readonly typing: Terminal;
  readonly desktop: Watched;
  /** Of their sessions. */
  readonly ids: Readonly<Record<Work, string>>;
  readonly #seen: Readonly<Record<Work, Sightings>>;
  #fault: Fault | undefined;
  /** Who was told why it ended: bytes that came before those words, and when. */
  #beforeWords: Partial<Record<Work, { readonly at: number; readonly bytes: number }>> = {};
  /** Their sessions, as the store had them before anybody could seal a recording in its writer's place. */
  #told: readonly SessionRow[] = [];

  private constructor(
    bed: RdpBed,
    work: Pick<People, Work | 'ids'>,
    seen: Readonly<Record<Work, Sightings>>,
  ) {
    this.#bed = bed;
    this.output = work.output;
    this.typing = work.typing;
    this.desktop = work.desktop;
    this.ids = work.ids;
    this.#seen = seen;
  }

  /** Resolves when all three have begun. */
  static async atWork(bed: RdpBed, spy: Spy): Promise<People> {
    // Looked at from when each has begun.
    const [[desktop, seenDesktop], [typing, seenTyping]] = await Promise.all([
      watchDesktop(bed, spy).then((watched) => [watched, new Sightings(() => watched.size())] as const),
      startTyping(doorOf(bed, 'carol')).then(
        (terminal) => [terminal, new Sightings(() => terminal.screen.length)] as const,
      ),
    ]);
    const output = await runOutput(doorOf(bed, 'bob'), join(temporaryFolder('received'), 'output'));
    const seenOutput = new Sightings(() => output.size());
    const seen = { output: seenOutput, typing: seenTyping, desktop: seenDesktop };
    const idOf = async (user: string): Promise<string> => (await bed.evidence.session(user, 'active')).id;
    const ids = {
      output: await idOf('bob'),
      typing: await idOf('carol'),
      desktop: await idOf('alice'),
    };
    return new People(bed, { output, typing, desktop, ids }, seen);
  }

  /** To be called right before what may cost something: keeps what that is judged by. */
  async brace(): Promise<void> {
    this.#told = await this.#bed.evidence.sessions();
    const now = performance.now();
    this.#fault = { begun: now, at: now };
  }

  /** kill -9 of the whole gateway; resolves when the clients have noticed. How many heads the store was told of. */
  async kill(): Promise<number> {
    await this.brace();
    await this.#bed.gateway.kill9();
    // Told up to the last moment; nobody has sealed anything yet.
    this.#told = await this.#bed.evidence.sessions();
    await this.cutOff();
    return WORK.filter((what) => this.#toldOf(what)?.headHash !== undefined).length;
  }

  #toldOf(what: Work): SessionRow | undefined {
    return this.#told.find(({ id }) => id === this.ids[what]);
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
    for (const seen of Object.values(this.#seen)) seen.stop();
  }

  /** Resolves when all recordings are sealed. */
  async sealed(): Promise<void> {
    for (const id of Object.values(this.ids)) await this.#bed.evidence.sealed(id);
  }

  /** Each person is told why the session ends, as far as the client shows it; so are store and audit log. */
  async assertToldWhy(words: RegExp): Promise<void> {
    const { begun } = this.#fault ?? assert.fail('nobody was braced');
    const overDesktop = this.#wordsOverDesktop();
    // Awaited when the others have been looked at.
    overDesktop.catch(() => {});
    await this.typing.expect(/sallyport: the recording cannot be kept: /, 90_000);
    assert.notEqual(await this.typing.ended, 0);
    assert.match(this.typing.screen.toString(), words);
    assert.notEqual(await this.output.ended, 0);
    assert.match(this.output.said(), words);
    const picture = await overDesktop;
    await this.desktop.ended;
    assert.notEqual(await this.desktop.client.exited, 0);
    for (const seen of Object.values(this.#seen)) seen.stop();
    this.#fault = { begun, at: performance.now() };
    for (const what of ['typing', 'desktop'] as const)
      this.#beforeWords[what] =
        this.#seen[what].beforeStanding(STANDING_MS) ?? assert.fail(`${what} never stood still`);
    for (const id of Object.values(this.ids)) {
      const row = await until(`session ${id} is closed`, async () =>
        (await this.#bed.evidence.sessions()).find((each) => each.id === id && each.state === 'ended'),
      );
      assert.equal(row.endCode, 'archive-failed');
      assert.match(row.endReason ?? '', words);
      const event = await this.#bed.evidence.event('recording.failed', ({ sessionId }) => sessionId === id);
      assert.match(String(event.detail['reason']), words);
      if (id === this.ids.desktop) assertShows(picture, banner(DESKTOP, sentence(row.endReason ?? '')));
    }
  }

  /** What the desktop's client shows once there is a message over it, whole. */
  async #wordsOverDesktop(): Promise<Picture> {
    let last: Picture | undefined;
    const look = async (): Promise<Picture | undefined> => {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      // Of the display, in whose corner its window is: that may be gone any moment.
      const picture = await screenshot(this.#bed.display);
      const still = last?.rgb.equals(picture.rgb) === true;
      last = picture;
      return still && pixelsOf(picture, PALETTE[COLOUR.warning]) > MESSAGE_PIXELS ? picture : undefined;
    };
    return await until('words over the desktop', look, 90_000);
  }

  /** Proves what the archive has of each, and tells how much of what was shown it has not: no more than `declared`. */
  async report(
    context: TestContext,
    archive: ArchiveOf,
    of: { readonly fault: string; readonly sink: string; readonly declared: number },
  ): Promise<void> {
    for (const what of WORK) {
      const row = await this.#bed.evidence.sealed(this.ids[what]);
      await assertProved(archive, row, this.#toldOf(what));
      const kept = await readRecorded(archive, row.id);
      const { bytes, ...until } = this.#beforeWords[what] ?? { bytes: this.sizes()[WORK.indexOf(what)] ?? 0 };
      const lost = {
        output: () => lostOf(this.output.shown().subarray(0, bytes), kept.output),
        typing: () => lostOf(this.typing.screen.subarray(0, bytes), kept.output),
        desktop: () => lostUpdates(firstOf(this.desktop.shown(), bytes), kept.updates),
      }[what]();
      const fault = this.#fault && { ...this.#fault, ...until };
      const age = fault === undefined ? {} : { age: lostAge(this.#seen[what], bytes - lost, fault) };
      reportFault(context, { ...of, what, lost, recorded: kept.bytes, ...age });
    }
  }
}

/** Of updates, those that make up the first `bytes`. */
function firstOf(updates: readonly Buffer[], bytes: number): readonly Buffer[] {
  let left = bytes;
  const end = updates.findIndex(({ length }) => {
    left -= length;
    return left < 0;
  });
  return end === -1 ? updates : updates.slice(0, end);
}

/** How many pixels have a colour, 0x00RRGGBB. */
function pixelsOf({ rgb }: Picture, colour: number | undefined): number {
  let count = 0;
  for (let at = 0; at < rgb.length; at += 3) if (rgb.readUIntBE(at, 3) === colour) count += 1;
  return count;
}

/** A part of the picture is this box, pixel by pixel. */
function assertShows(
  { width, rgb }: Picture,
  box: DirtyRectangle = assert.fail('nothing is to be shown'),
): void {
  const wrong = box.pixels.findIndex((colour, index) => {
    const [x, y] = [box.x + (index % box.width), box.y + Math.floor(index / box.width)];
    return rgb.readUIntBE(3 * (y * width + x), 3) !== colour;
  });
  assert.equal(wrong, -1, `the words are others, from pixel ${wrong} of ${box.width}x${box.height} on`);
}
