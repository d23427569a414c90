/**
 * What a test file of desktops needs: an xrdp as target `win01`, a gateway before it, the display on which
 * people's clients show what they have opened, and what the gateway wrote down.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { type Bed, DIRECT, PASSWORD, startBed } from './bed.ts';
import { Evidence } from './evidence.ts';
import { type ClientOptions, type RdpClient, type Shadow, startShadow } from './freerdp.ts';
import { type ApplyDocument, type Gateway, startGateway } from './gateway.ts';
import { obstacle, type Package } from './packages.ts';
import { until } from './process.ts';
import { type Display, startDisplay, typeText } from './x11.ts';
import { startXrdp, type Xrdp, type XrdpOptions } from './xrdp.ts';

export interface RdpBedOptions {
  /** Pixels of the display; default 1024 by 768. */
  readonly size?: readonly [width: number, height: number];
  /** Keys of sallyport.yaml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Added to the environment of `serve`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Both, where something must be there first. */
  readonly gateway?: () => Promise<Pick<RdpBedOptions, 'config' | 'env'>>;
  readonly xrdp?: XrdpOptions;
  /**
   * What is applied: users and policies in the place of alice, who may open every desktop, recorded; systems
   * and accounts beside win01 and its account.
   */
  readonly document?: (xrdp: Xrdp) => ApplyDocument | Promise<ApplyDocument>;
  /** With a target that wants NLA, `nla01`, on which `operator` has {@link SHADOW_PASSWORD}. */
  readonly shadow?: { readonly certificate: 'pinned' | 'trust-on-first-use' };
  /** With an sshd as target `web01` too, of the same gateway. */
  readonly ssh?: boolean;
  /** What the file's tests need besides, once the bed stands: hooks of a file are not sure to wait for each other. */
  readonly prepare?: () => Promise<void>;
}

/** Each of its servers is there once the file's tests begin, and not before. */
export interface RdpBed {
  readonly xrdp: Xrdp;
  readonly shadow: Shadow;
  readonly ssh: Bed;
  readonly gateway: Gateway;
  readonly evidence: Evidence;
  readonly display: Display;
  /** What a person logs on as to be taken to the account of xrdp; default alice's at win01. */
  login(user?: string, system?: string): string;
  /** A client's options, as alice fills them in to open win01. */
  opening(more?: Partial<ClientOptions>): ClientOptions;
  /** Starts a client with {@link opening}'s options; closed after the test. */
  open(start: (options: ClientOptions) => RdpClient, more?: Partial<ClientOptions>): RdpClient;
  /** A client that is closed after the test. */
  keep(client: RdpClient): RdpClient;
  /** Types a command into the shell on win01 and waits for the file `name` that it writes there. */
  typeInto(window: string, name: string): Promise<void>;
}

export const SHADOW_PASSWORD = 'Target-only-9';

/**
 * The bed of a test file: started before its tests, its clients and sessions ended after each.
 *
 * @param needs without these packages nothing is started, as no test of the file is run then
 */
export function useRdpBed(needs: readonly Package[], options: RdpBedOptions = {}): RdpBed {
  let running: Running | undefined;
  const clients = new Set<RdpClient>();
  before(async () => {
    if (obstacle(needs) !== undefined || (options.ssh === true && DIRECT)) return;
    running = await start(options);
    await options.prepare?.();
  });
  afterEach(async () => {
    for (const client of clients) await client.stop();
    clients.clear();
    await running?.xrdp.endSessions();
  });
  after(async () => {
    if (running === undefined) return;
    const { evidence, gateway, ssh, xrdp, shadow, display } = running;
    await evidence.close();
    await (ssh ?? gateway).stop();
    await Promise.all([xrdp.stop(), shadow?.stop(), display.stop()]);
  });
  const get = (): Running => running ?? assert.fail('the bed is not started');
  const bed: RdpBed = {
    get xrdp() {
      return get().xrdp;
    },
    get shadow() {
      return get().shadow ?? assert.fail('the bed has no shadow');
    },
    get ssh() {
      return get().ssh ?? assert.fail('the bed has no sshd');
    },
    get gateway() {
      return get().gateway;
    },
    get evidence() {
      return get().evidence;
    },
    get display() {
      return get().display;
    },
    login: (user = 'alice', system = 'win01') => `${user}+${get().xrdp.account.name}+${system}`,
    opening: (more = {}) => ({
      port: get().gateway.rdpPort,
      user: bed.login(),
      password: PASSWORD,
      display: get().display,
      ...more,
    }),
    open: (program, more) => bed.keep(program(bed.opening(more))),
    keep(client) {
      clients.add(client);
      return client;
    },
    async typeInto(window, name) {
      const { xrdp, display } = get();
      await xrdp.ready();
      await typeAndWait(display, window, join(xrdp.account.home, name));
    },
  };
  return bed;
}

/** Types a command into a terminal and waits for the file that it writes. */
export async function typeAndWait(display: Display, window: string, file: string): Promise<void> {
  await typeText(display, window, `echo $((6*7)) > ${file}\n`);
  await until('the file that was typed', () =>
    existsSync(file) && readFileSync(file, 'utf8') !== '' ? true : undefined,
  );
  assert.equal(readFileSync(file, 'utf8'), '42\n');
}

interface Running {
  readonly xrdp: Xrdp;
  readonly shadow: Shadow | undefined;
  readonly ssh: Bed | undefined;
  readonly gateway: Gateway;
  readonly evidence: Evidence;
  readonly display: Display;
}

async function start(options: RdpBedOptions): Promise<Running> {
  const [xrdp, shadow, display] = await Promise.all([
    startXrdp(options.xrdp),
    options.shadow && startShadow({ user: 'operator', password: SHADOW_PASSWORD }),
    startDisplay(...(options.size ?? [1024, 768])),
  ]);
  const document = merged(xrdp, shadow, options, (await options.document?.(xrdp)) ?? {});
  const { config = {}, env = {} } = (await options.gateway?.()) ?? options;
  const ssh = options.ssh === true ? await startBed({ config, env, document: () => document }) : undefined;
  const gateway = ssh?.gateway ?? (await startGateway({ config, env, document }));
  return { xrdp, shadow, ssh, gateway, evidence: await Evidence.of(gateway), display };
}

function merged(
  xrdp: Xrdp,
  shadow: Shadow | undefined,
  options: RdpBedOptions,
  own: ApplyDocument,
): ApplyDocument {
  const { host, port, fingerprint, account } = xrdp;
  const systems = [{ name: 'win01', protocol: 'rdp', host, port, certificate: fingerprint }];
  const accounts = [{ name: account.name, system: 'win01', password: account.password }];
  if (shadow !== undefined) {
    const certificate = options.shadow?.certificate === 'pinned' ? shadow.fingerprint : 'trust-on-first-use';
    systems.push({ name: 'nla01', protocol: 'rdp', host, port: shadow.port, certificate });
    accounts.push({ name: 'operator', system: 'nla01', password: SHADOW_PASSWORD });
  }
  // A bed with an sshd has an alice already.
  const alice = options.ssh === true ? [] : [{ name: 'alice', password: PASSWORD, role: 'requester' }];
  const everything = { accounts: ['*'], allow: ['desktop'], record: true, keystrokes: true };
  return {
    users: own.users ?? alice,
    systems: [...systems, ...(own.systems ?? [])],
    accounts: [...accounts, ...(own.accounts ?? [])],
    policies: own.policies ?? [{ name: 'desktops', users: ['alice'], ...everything }],
  };
}
